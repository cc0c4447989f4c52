"""The envelope: what an answer means, whoever gave it, and what is shown of it."""

import html
import json
import re
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from dpa_async.errors import (
    APIError,
    AuthenticationError,
    BusinessError,
    DPAError,
    EndpointNotFoundError,
    InvalidParameterError,
    OperationFailedError,
    ServerError,
    UnexpectedResponseError,
    UserNotFoundError,
)
from dpa_async.wire import envelope, json_text
from dpa_async.wire.envelope import read_data, scrub, unexpected
from dpa_async.wire.messages import Reply, Request

patiently = settings(deadline=None)

SECRETS = ("made+up/Secret==", "the-token-1234")
REQUEST = Request(
    operation="listAll",
    method="POST",
    url="https://dpa.example.com",
    headers={},
    body=b"{}",
    max_body_bytes=2**20,
    secrets=SECRETS,
)
WINDOW = envelope._SEARCHED_BYTES


@pytest.fixture(scope="module", params=["active", "standard"], autouse=True)
def decoder(request):
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "standard":
            patch.setattr(json_text, "_decode", json_text._standard_decode)
        yield


def reply(body, status=200, **headers):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return Reply(status, named, raw)


def raised(kind, body, status=200, *, request=REQUEST, **headers):
    """The error, of this very class, that a reply ends in."""
    with pytest.raises(DPAError) as caught:
        read_data(request, reply(body, status, **headers))
    assert type(caught.value) is kind
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    assert caught.value.http_status == status
    assert caught.value.operation == "listAll"
    return caught.value


@pytest.mark.parametrize(
    ("body", "data"),
    [
        (
            {"code": 200, "message": "success", "data": [1, {"a": None}]},
            [1, {"a": None}],
        ),
        ({"code": 200, "message": "success", "data": None}, None),
        ({"code": 200, "message": "success"}, None),
        ({"code": 200, "message": None, "data": {}}, {}),
        ({"code": 200, "message": "", "data": "text"}, "text"),
        ({"code": 200, "data": 0, "time": 5, "more": {"code": 999}}, 0),
        ({"code": "200", "data": 1}, 1),
        ({"code": " 200\n", "data": 1}, 1),
        ({"code": " " * 30 + "200", "data": 1}, 1),
        (b'\xef\xbb\xbf {"code":200,"data":1}\n', 1),
        ('{"code":200,"data":"执行"}'.encode(), "执行"),
    ],
)
@pytest.mark.parametrize("status", [200, 201, 400, 404, 500])
def test_code_200_is_the_truth_and_gives_the_data(body, data, status):
    assert read_data(REQUEST, reply(body, status)) == data
    assert read_data(REQUEST, reply(body, status, content_encoding="Identity")) == data


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (400, InvalidParameterError),
        (403, AuthenticationError),
        (404, EndpointNotFoundError),
        (500, ServerError),
        (503, ServerError),
        (997, OperationFailedError),
        (998, UserNotFoundError),
        (999, BusinessError),
        (0, APIError),
        (201, APIError),
        (401, APIError),
        (1000, APIError),
        (-1, APIError),
    ],
)
@pytest.mark.parametrize("status", [200, 404, 500])
def test_another_code_is_the_error_of_its_class(code, kind, status):
    error = raised(kind, {"code": code, "message": "words", "data": [1]}, status)
    assert (error.code, error.message) == (code, "words")
    if code >= 0:
        as_text = raised(kind, {"code": f"{code}", "message": "words"}, status)
        assert (as_text.code, as_text.message) == (code, "words")


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("", ""),
        (None, ""),
        ("参数校验异常", "参数校验异常"),
        (5, "5"),
        ({"field": "n"}, "{'field': 'n'}"),
        ("x" * 600, "x" * 512),
        ("异" * 200, "异" * 170),
        ("not made+up/Secret== nor made%2Bup%2FSecret%3D%3D", "not *** nor ***"),
        ("Bearer abc.def is out of date", "*** is out of date"),
    ],
)
def test_the_platforms_words_are_kept_short_and_without_secrets(message, words):
    body = {"code": 999, "message": message}
    assert raised(BusinessError, body).message == words
    assert raised(AuthenticationError, body, 401).message == words


def test_no_message_is_an_empty_one():
    assert raised(BusinessError, {"code": 999}).message == ""


@pytest.mark.parametrize("depth", [500, 990, 1015])
def test_a_message_that_is_nested_deep_is_no_harm(depth):
    deep = b'{"code":999,"message":' + b"[" * depth + b"]" * depth + b"}"
    for status in (200, 403):
        with pytest.raises(DPAError):
            read_data(REQUEST, reply(deep, status))


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"code": 403, "message": "身份验证失败"}, "身份验证失败"),
        ({"code": 200, "message": "fine", "data": 1}, "fine"),
        ({"code": 999, "message": None}, ""),
        (["message"], ""),
        (b"<html>401 Authorization Required</html>", ""),
        (b"", ""),
        (b"\xff", ""),
        (b"[" * 100_000, ""),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_http_401_and_403_are_code_403_whatever_the_body_is(status, body, message):
    error = raised(AuthenticationError, body, status, content_encoding="gzip")
    assert (error.code, error.message) == (403, message)


@pytest.mark.parametrize("status", [300, 301, 302, 304, 307, 308, 399])
def test_a_redirect_is_not_followed(status):
    error = raised(UnexpectedResponseError, {"code": 200}, status, location="/login")
    assert "redirect" in error.reason
    assert "login" not in str(error)


@pytest.mark.parametrize("coding", ["gzip", "br", "deflate, identity"])
def test_a_compressed_answer_is_not_read(coding):
    body = {"code": 200, "data": []}
    error = raised(UnexpectedResponseError, body, content_encoding=coding)
    assert "compressed" in error.reason


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "an empty body"),
        (b"<html><h1>502</h1></html>", "not a JSON object"),
        (b"SUCCESS", "not a JSON object"),
        (b'{"code":200,"data":[]', "not a JSON object"),
        (b'{"code":200,}', "not a JSON object"),
        (b'{"code":200,"data":NaN}', "not a JSON object"),
        (b'{"code":200,"data":1e999}', "not a JSON object"),
        (b'{"code":200,"data":"\\ud800"}', "not a JSON object"),
        ('{"code":200,"data":"执行"}'.encode("gbk"), "not a JSON object"),
        (b'{"code":200,"data":' + b"9" * 5000 + b"}", "not a JSON object"),
        (b'{"code":200,"data":' + b"[" * 100_000, "not a JSON object"),
        ([{"code": 200}], "not a JSON object"),
        ("200", "not a JSON object"),
        (200, "not a JSON object"),
        (None, "not a JSON object"),
        ({}, "no envelope with a code"),
        ({"data": []}, "no envelope with a code"),
        ({"Code": 200}, "no envelope with a code"),
        *(
            ({"code": code, "data": []}, "no envelope with a code")
            for code in (
                *(None, True, 1.0, 200.0, "abc", "", " ", "200.0", "-1", "٢٠٠"),
                *([200], {"code": 200}, 10**30),
            )
        ),
    ],
    ids=lambda value: repr(value)[:40],
)
@pytest.mark.parametrize("status", [200, 502])
def test_what_is_no_envelope_is_unexpected(body, reason, status):
    error = raised(UnexpectedResponseError, body, status)
    assert reason in error.reason
    assert error.ref is None
    assert error.retry_after is None


def test_a_code_of_many_digits_is_a_code_nobody_knows():
    assert raised(APIError, {"code": "9" * 5000}).code == int("9" * 20)


# What is shown of a foreign body.


def excerpt(body, secrets=SECRETS, **options):
    request = Request(
        operation="listAll",
        method="GET",
        url="",
        headers={},
        body=None,
        max_body_bytes=1,
        secrets=tuple(secrets),
        **options,
    )
    with pytest.raises(UnexpectedResponseError) as caught:
        unexpected(request, reply(body, 502), "why")
    shown = caught.value.excerpt
    assert str(caught.value).endswith(f": {shown!r}" if shown else "settings' URLs")
    return shown


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (b"<html>502</html>", "<html>502</html>"),
        (b"", ""),
        (b"a" * 600, "a" * 512),
        ("é".encode() * 300, "é" * 256),
        (b"a" + "é".encode() * 300, "a" + "é" * 255),
        (b"\xffabc", "\ufffdabc"),
        (b"?a=made%2Bup%2FSecret%3D%3D&b=1", "?a=***&b=1"),
        (b'{"access_token" : "opaque", "x": 1}', '{***", "x": 1}'),
        (b'{"access_token":"opaque', "{***"),
        (b"Authorization: Bearer opaque.token,", "Authorization: ***"),
        (b"bearer  'x'", "bearer  'x'"),
        (b"token eyJhbGciOiJIUzI1NiJ9.eyJhIjoxfQ.sig-_=, more", "token ***, more"),
        (b"eyJshort", "eyJshort"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_an_excerpt_is_short_and_without_secrets(body, shown):
    assert excerpt(body) == shown


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (b'{"access_token": "opaque"}', ""),
        (b'{"code": "an-authorization-code"}', ""),
        (b"an-authorization-code", ""),
        (b"\n <html>login</html>", "\n <html>login</html>"),
        (b"<p>made+up/Secret==</p>", "<p>***</p>"),
    ],
)
def test_of_an_answer_that_is_a_secret_only_a_proxys_page_is_shown(body, shown):
    assert excerpt(body, secret_answer=True) == shown


def lower_hex(text):
    return re.sub("%[0-9A-F]{2}", lambda match: match[0].lower(), text)


SPELLINGS = {
    "plain": str,
    "path": quote,
    "query": lambda text: quote(text, safe=""),
    "form": quote_plus,
    "query in lower case": lambda text: lower_hex(quote(text, safe="")),
    "form in lower case": lambda text: lower_hex(quote_plus(text)),
    "JSON": lambda text: json.dumps(text)[1:-1],
    "JSON in UTF-8": lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    "JSON of PHP": lambda text: json.dumps(text)[1:-1].replace("/", "\\/"),
    "JSON of Gson": lambda text: re.sub(
        "[=&<>']", lambda match: f"\\u{ord(match[0]):04x}", json.dumps(text)[1:-1]
    ),
    "HTML": html.escape,
}
a_secret = st.text(
    # nothing of our blot, and as the settings take it
    st.just(" ") | st.characters(exclude_categories=("C", "Z"), exclude_characters="*"),
    min_size=4,
    max_size=40,
)
filler = st.text(st.characters(exclude_categories=("Cs",)), max_size=40)


@pytest.mark.parametrize("name", SPELLINGS)
def test_a_secret_is_blotted_out_whole(name):
    secret = "/a+b =&<>'\"\\é流z\t/"
    assert scrub(f"<{SPELLINGS[name](secret)}>", [secret]) == "<***>"


def assert_hidden(secret, shown):
    for name, spell in SPELLINGS.items():
        assert spell(secret) not in shown, name
    assert len(shown.encode()) <= 512


@patiently
@given(
    st.lists(a_secret, min_size=1, max_size=3),
    st.lists(st.tuples(filler, st.sampled_from([*SPELLINGS]), st.integers(0, 2))),
    filler,
)
@example(["abcd", "abcdefgh"], [("", "plain", 1)], "")
@example(["a+/=&<'\"é"], [("", name, 0) for name in SPELLINGS], "")
def test_no_spelling_of_a_secret_is_shown(secrets, pieces, tail):
    page = "".join(
        text + SPELLINGS[name](secrets[which % len(secrets)])
        for text, name, which in pieces
    )
    shown = scrub(page + tail, secrets)
    for secret in secrets:
        assert_hidden(secret, shown)
        assert_hidden(secret, excerpt((page + tail).encode(), secrets))


OPAQUE = "".join(f"{n:04}+" for n in range(300))  # every 8 characters stand once


@patiently
@given(
    st.sampled_from([*SPELLINGS]),
    st.integers(0, 2000),
    st.integers(4, 1500),
    st.integers(0, 100),
)
@example("plain", 0, 1500, 0)
def test_a_secret_that_is_cut_in_two_is_not_shown(name, before, length, blanks):
    """However little is left of a body that holds nearly nothing but a secret."""
    secret = OPAQUE[:length]
    spelled = SPELLINGS[name](secret) + " " * blanks
    body = " " * before + spelled * (WINDOW // len(spelled) + 2)
    shown = excerpt(body.encode(), [secret])
    assert_hidden(secret, shown)
    for start in range(len(spelled.rstrip()) - 7):
        assert spelled[start : start + 8] not in shown


def test_a_body_longer_than_is_searched_is_shown_all_the_same():
    assert excerpt(b"x" * (WINDOW + 1)) == "x" * 512
    assert excerpt(b"x" * (WINDOW + 1), []) == "x" * 512


def test_what_is_too_short_to_be_a_secret_is_left():
    assert scrub("abc abcd", ["abc"]) == "abc abcd"
    assert scrub("abc abcd", ["abcd", ""]) == "abc ***"


@patiently
@given(st.binary(), st.integers(100, 599), st.sampled_from(["", "gzip", "identity"]))
def test_whatever_comes_is_data_or_an_error_of_ours(body, status, coding):
    assume(status != 200 or b"200" not in body)
    with pytest.raises(DPAError) as caught:
        read_data(REQUEST, reply(body, status, content_encoding=coding))
    assert caught.value.http_status == status
