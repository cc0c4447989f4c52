"""How long: what a token's claims and an answer's headers say of time."""

import base64
import json
from email.utils import formatdate

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dpa_async.wire import json_text
from dpa_async.wire.http_headers import http_date, refused_for
from dpa_async.wire.lifetime import token_lifetime
from dpa_async.wire.messages import Reply

patiently = settings(deadline=None)

DEFAULT = 1800.0
T = 1_700_000_000
DAY = 86_400
DATE = formatdate(T, usegmt=True)


@pytest.fixture(scope="module", params=["active", "standard"], autouse=True)
def decoder(request):
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "standard":
            patch.setattr(json_text, "_decode", json_text._standard_decode)
        yield


def jwt(claims, padding=""):
    """A token with these claims: text, or what is to be JSON."""
    text = claims if isinstance(claims, bytes) else json.dumps(claims).encode()
    payload = base64.urlsafe_b64encode(text).decode().rstrip("=")
    return f"eyJhbGciOiJIUzI1NiJ9.{payload}{padding}.c2lnbmF0dXJl"


def reply(status=200, **headers):
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return Reply(status, named, b"")


@pytest.mark.parametrize(
    ("claims", "seconds"),
    [
        ({"exp": T + 3600, "iat": T}, 3600),
        ({"exp": T + 3600, "orig_iat": T}, 3600),
        ({"exp": T + 3600, "iat": T + 600, "orig_iat": T}, 3000),
        ({"exp": T + 3600.5, "iat": T}, 3600.5),
        ({"exp": T + 1, "iat": T}, 1),
        # by the platform's clock, whatever that is
        ({"exp": 3600, "iat": 0}, 3600),
        ({"exp": T + 9 * DAY + 60, "iat": T + 9 * DAY}, 60),
        # a garbled issue: the next that there is
        ({"exp": T + 3600, "iat": T + 3600, "orig_iat": T}, 3600),
        ({"exp": T + 3600, "iat": T + 7200, "orig_iat": T}, 3600),
        ({"exp": T + 3600, "iat": "yesterday", "orig_iat": T}, 3600),
        ({"exp": T + 3600, "iat": True, "orig_iat": T + 1}, 3599),
        ({"exp": T + 366 * DAY, "iat": T}, 366 * DAY),
        ({"exp": T + 367 * DAY, "iat": T, "orig_iat": T + 2 * DAY}, 365 * DAY),
    ],
)
def test_a_token_lives_from_its_issue_to_its_expiry(claims, seconds):
    for token in (jwt(claims), jwt(claims, padding="=")):
        # The answer's date is the second choice, and here it would be another.
        answer = reply(date=formatdate(T - 5 * DAY, usegmt=True))
        assert token_lifetime(token, answer, DEFAULT) == seconds


@pytest.mark.parametrize("iat", [None, 0, T + 3600, "text", [], 1e300])
def test_without_an_issue_it_lives_from_the_answers_date(iat):
    claims = {"exp": T + 3600} | ({} if iat is None else {"iat": iat})
    assert token_lifetime(jwt(claims), reply(date=DATE), DEFAULT) == 3600


@pytest.mark.parametrize(
    "token",
    [
        jwt({"exp": T + 3600}),
        jwt({"iat": T}),
        jwt({"exp": T, "iat": T + 60}),
        jwt({"exp": T + 367 * DAY, "iat": T}),
        jwt({"exp": "soon", "iat": T}),
        jwt({"exp": True, "iat": 0}),
        jwt({"exp": None, "iat": T}),
        jwt({"exp": 10**300, "iat": T}),
        jwt({"exp": 1e15, "iat": 1e15 - 60}),
        jwt(b'{"exp": 1e999, "iat": 1}'),
        jwt(b'{"exp": NaN, "iat": 1}'),
        jwt(b'{"exp": ' + b"9" * 5000 + b"}"),
        jwt([T, T + 60]),
        jwt(b"not JSON"),
        jwt(b"\xff\xfe"),
        jwt(b"[" * 50_000),
        "opaque",
        "",
        "..",
        "a.b.c",
        "a.é.c",
        "a.\ud800.c",
        "a.b.c.d",
        jwt({"exp": T + 60, "iat": T}).rpartition(".")[0],
        "+/=.+/=.+/=",
    ],
    ids=lambda token: f"{len(token)} {token[-40:]!r}",
)
@pytest.mark.parametrize("headers", [{}, {"date": "today"}], ids=["", "bad date"])
def test_what_does_not_say_how_long_it_lives_lives_as_long_as_usual(token, headers):
    assert token_lifetime(token, reply(**headers), DEFAULT) == DEFAULT


@patiently
@given(
    st.text(st.characters())
    | st.binary().map(jwt)
    | st.dictionaries(
        st.sampled_from(["exp", "iat", "orig_iat"]),
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    ).map(jwt),
    st.text() | st.just(DATE),
)
@example(jwt({"exp": T + 1, "iat": T}), DATE)
def test_no_claim_makes_it_fail_and_no_life_is_absurd(token, date):
    seconds = token_lifetime(token, reply(date=date), DEFAULT)
    assert isinstance(seconds, float)
    assert seconds == DEFAULT or 0 < seconds <= 366 * DAY


# Headers.


def test_a_date_of_http_is_epoch_seconds():
    assert http_date(reply(date="Tue, 14 Nov 2023 22:13:20 GMT")) == T
    assert http_date(reply(retry_after=DATE), "retry-after") == T
    assert http_date(reply(retry_after=DATE)) is None


@pytest.mark.parametrize(
    "text", ["", "today", "Tue, 99 Nov 2023 22:13:20 GMT", "1 Jan 99999 00:00:00 GMT"]
)
def test_what_is_no_date_is_none(text):
    assert http_date(reply(date=text)) is None


@pytest.mark.parametrize(
    ("status", "wait", "seconds"),
    [
        (429, None, 0.0),
        (429, "", 0.0),
        (429, "7", 7.0),
        (429, " 7 ", 7.0),
        (429, "0", 0.0),
        (429, "7.5", 7.5),
        (429, "9" * 12, 999_999_999_999.0),
        (429, "9" * 400, 0.0),
        (429, "-7", 0.0),
        (429, ".5", 0.0),
        (429, "\N{ARABIC-INDIC DIGIT SEVEN}", 0.0),
        (429, "soon", 0.0),
        (429, formatdate(T + 30, usegmt=True), 30.0),
        (429, formatdate(T - 30, usegmt=True), 0.0),
        (503, "7", 7.0),
        (503, formatdate(T + 30, usegmt=True), 30.0),
        (503, "soon", 0.0),
        (503, None, None),
        (503, " ", None),
        (200, "7", None),
        (500, "7", None),
        (502, "7", None),
        (301, "7", None),
    ],
)
def test_an_answer_says_for_how_long_to_leave_the_platform_alone(status, wait, seconds):
    headers = {"date": DATE} | ({} if wait is None else {"retry_after": wait})
    assert refused_for(reply(status, **headers)) == seconds


def test_without_a_date_of_its_own_our_clock_has_to_do():
    assert refused_for(reply(429, retry_after="Thu, 01 Jan 1970 00:00:01 GMT")) == 0.0
    assert refused_for(reply(429, retry_after="Fri, 01 Jan 9999 00:00:00 GMT")) > 1e9


@patiently
@given(st.text(), st.text() | st.just(DATE), st.sampled_from([429, 503]))
def test_no_header_makes_it_fail(wait, date, status):
    seconds = refused_for(reply(status, retry_after=wait, date=date))
    assert seconds is None or seconds >= 0
