"""`Settings`: what is refused when they are made, and the URLs that they give."""

import re
import ssl
from datetime import timedelta, timezone
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import event, example, given, settings
from hypothesis import strategies as st
from yarl import URL

from dpa_async import ConfigurationError, Dialect, Limits, Settings

SECRET = "s3cret+/="
GOOD = {
    "base_url": "https://dpa.example.com",
    "client_id": "made+Up/Id==",
    "client_secret": SECRET,
}
OTHER = "https://other.example.com"
TEMPLATE = "/e/{workflow_id}/run"


def made(**changes):
    return Settings(**{**GOOD, **changes})


def refused(make, *words):
    """The message of the `ConfigurationError`; nothing secret is in it or behind it."""
    with pytest.raises(ConfigurationError) as caught:
        make()
    message = str(caught.value)
    for word in words:
        assert word in message
    for secret in (SECRET, "hidden"):
        assert secret not in message
    assert caught.value.__context__ is None
    assert caught.value.__cause__ is None
    return message


REFUSED = {
    # addresses
    "no address": ({"base_url": ""}, "base_url is missing: give"),
    "no address at all": ({"base_url": None}, "base_url is of type NoneType: give"),
    "no scheme": (
        {"base_url": "dpa.example.com"},
        "base_url needs http:// or https://",
    ),
    "other scheme": ({"base_url": "ftp://dpa.example.com"}, "base_url needs http://"),
    "no host": ({"base_url": "https:///path"}, "base_url needs http://"),
    "user info": ({"base_url": "https://me:hidden@dpa.example.com"}, "has user info"),
    "empty user info": ({"base_url": "https://@dpa.example.com"}, "has user info"),
    "query": ({"base_url": "https://dpa.example.com?k=hidden"}, "base_url has a query"),
    "fragment": ({"base_url": "https://dpa.example.com/#hidden"}, "has a query or a"),
    "blank": ({"base_url": "https://dpa.example.com/a b"}, "base_url has a blank"),
    "line's end": ({"base_url": "https://dpa.example.com\n"}, "base_url has a blank"),
    "control": ({"base_url": "https://dpa.example.com/\x7f"}, "control character"),
    "no port": ({"base_url": "https://dpa.example.com:port"}, "base_url is not a URL"),
    "port 0": ({"base_url": "https://dpa.example.com:0"}, "base_url is not a URL"),
    "port too big": ({"base_url": "https://dpa.example.com:65536"}, "is not a URL"),
    "half IPv6": ({"base_url": "https://[::1"}, "base_url is not a URL"),
    "plain http": ({"base_url": "http://dpa.example.com"}, "base_url is plain http"),
    "auth: plain http": (
        {"auth_base_url": "http://10.0.0.1"},
        "auth_base_url is plain",
    ),
    "auth: none": ({"auth_base_url": ""}, "auth_base_url is missing"),
    "auth: type": ({"auth_base_url": 5}, "auth_base_url is of type int"),
    "almost loopback": ({"base_url": "http://localhost.evil.com"}, "is plain http"),
    # credentials
    "no id": ({"client_id": ""}, "client_id is missing: it is in the platform's"),
    "blank id": ({"client_id": " \n"}, "client_id is missing"),
    "no secret": ({"client_secret": ""}, "client_secret is missing"),
    "secret is None": ({"client_secret": None}, "client_secret is missing"),
    "secret is bytes": ({"client_secret": b"hidden"}, "client_secret is missing"),
    "blank in secret": ({"client_secret": "hid den"}, "client_secret has a blank"),
    "tab in secret": ({"client_secret": "hid\tden"}, "client_secret has a blank"),
    "wide blank": ({"client_secret": "hid\u3000den"}, "client_secret has a blank"),
    "control in secret": ({"client_secret": "hid\x00den"}, "client_secret has a blank"),
    "surrogate in secret": (
        {"client_secret": "hid\ud800"},
        "client_secret has a blank",
    ),
    "blank in id": ({"client_id": "a b"}, "client_id has a blank"),
    "scope": ({"scope": "some"}, "scope is 'some': give one of 'default', 'all'"),
    "user": ({"user_id": 5}, "user_id is of type int: give text"),
    # execute URLs
    "no placeholder": ({"execute_urls": "/e/md1"}, "execute_urls needs {workflow_id}"),
    "empty template": ({"execute_urls": ""}, "execute_urls needs {workflow_id}"),
    "no path": ({"execute_urls": "e/{workflow_id}"}, "neither a URL with a scheme nor"),
    "id is host": (
        {"execute_urls": "https://{workflow_id}/e"},
        "leads to https://a.ex",
    ),
    "id in host": (
        {"execute_urls": "https://dpa.example.com{workflow_id}/e"},
        "leads to https://dpa.example.coma.example,",
    ),
    "id is port": ({"execute_urls": "https://h:{workflow_id}/e"}, "is not a URL"),
    "id is user": (
        {"execute_urls": "https://{workflow_id}@dpa.example.com/e"},
        "execute_urls has user info",
    ),
    "id is scheme": ({"execute_urls": "{workflow_id}://h/e"}, "needs http:// or https"),
    "id in fragment": ({"execute_urls": "/e#{workflow_id}"}, "has a fragment"),
    "template: user info": (
        {"execute_urls": "https://me:hidden@dpa.example.com/{workflow_id}"},
        "execute_urls has user info",
    ),
    "template: elsewhere": (
        {"execute_urls": OTHER + "/{workflow_id}"},
        f"leads to {OTHER}, and the token would go there: list that in extra_origins",
    ),
    "template: other port": (
        {"execute_urls": "https://dpa.example.com:8443/{workflow_id}"},
        "leads to https://dpa.example.com:8443,",
    ),
    "template: plain http": (
        {"execute_urls": "http://dpa.example.com/{workflow_id}"},
        "execute_urls is plain http",
    ),
    "card: user info": (
        {"execute_urls": {"md1": "https://me:hidden@dpa.example.com/e"}},
        "execute_urls['md1'] has user info",
    ),
    "card: elsewhere": (
        {"execute_urls": {"md0": "/e", "md1": OTHER + "/e?k=hidden"}},
        f"execute_urls['md1'] leads to {OTHER},",
    ),
    "card: fragment": ({"execute_urls": {"md1": "/e#hidden"}}, "has a fragment"),
    "card: blank": (
        {"execute_urls": {"md1": "/e /x"}},
        "execute_urls['md1'] has a blank",
    ),
    "card: nothing": ({"execute_urls": {"md1": ""}}, "nor a path that starts with /"),
    "card: type": (
        {"execute_urls": {"md1": 5}},
        "execute_urls['md1'] is neither a URL",
    ),
    "cards: type": ({"execute_urls": None}, "execute_urls is of type NoneType"),
    "extra: plain http": (
        {"extra_origins": ["http://h"]},
        "extra_origins is plain http",
    ),
    "extra: path": ({"extra_origins": [OTHER + "/e"]}, "extra_origins has a path"),
    "extra: text": ({"extra_origins": OTHER}, "extra_origins is no list"),
    "extra: None": ({"extra_origins": None}, "extra_origins is no list"),
    "extra: number": ({"extra_origins": [5]}, "extra_origins is no list"),
    # the rest
    "proxy: no scheme": ({"proxy": "me:hidden@proxy:3128"}, "proxy is not http(s)://"),
    "proxy: slash": (
        {"proxy": "http://me:1/hidden@proxy:3128"},
        "proxy is not http(s)",
    ),
    "proxy: hash": ({"proxy": "http://me:1#hidden@proxy:3128"}, "are percent-encoded"),
    "proxy: question": ({"proxy": "http://me:1?hidden@proxy"}, "are percent-encoded"),
    "proxy: letters": ({"proxy": "http://me:hidden/1@proxy"}, "proxy is not a URL"),
    "proxy: socks": ({"proxy": "socks5://proxy:1080"}, "proxy is not http(s)://"),
    "proxy: no host": ({"proxy": "http://me:hidden@:3128"}, "proxy is not http(s)://"),
    "proxy: type": ({"proxy": 5}, "proxy is of type int"),
    "TLS": ({"ssl": "no"}, "ssl is of type str"),
    "allow_http": ({"allow_http": "no"}, "allow_http is of type str: give a bool"),
    "limits": ({"limits": {}}, "limits is of type dict: give Limits(...)"),
    "dialect": ({"dialect": None}, "dialect is of type NoneType: give Dialect(...)"),
    "headers": ({"headers": None}, "headers is of type NoneType"),
    "header: number": ({"headers": {"X-N": 5}}, "headers has 'X-N', which is not text"),
    "header: no name": ({"headers": {"": "hidden"}}, "headers has a control character"),
    "header: two": ({"headers": {"X": "a\r\nY: hidden"}}, "control character at 'X'"),
    "header: name": ({"headers": {"X\n": "hidden"}}, "control character at 'X\\n'"),
    **{
        f"header: {name}": ({"headers": {name: "hidden"}}, f"headers has {name!r}")
        for name in (
            "authorization",
            "Host",
            "Content-Type",
            "CONTENT-LENGTH",
            "Content-Encoding",
            "Accept-Encoding",
            "Transfer-Encoding",
            "Connection",
        )
    },
    **{
        f"{name}: {value!r}": ({name: value}, f"{name} is {value!r}: give a")
        for name in (
            "request_timeout",
            "connect_timeout",
            "max_body_bytes",
            "max_outputs_bytes",
        )
        for value in (0, -1, float("nan"), float("inf"), True, "5", None)
    },
    "half a byte": ({"max_body_bytes": 0.5}, "give a whole number of 1 or more"),
    "no time": ({"request_timeout": 1e-4}, "give a finite number of 0.001 or more"),
}


@pytest.mark.parametrize(("changes", "words"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_right_is_refused_by_its_name(changes, words):
    refused(lambda: made(**changes), words, next(iter(changes)))


@pytest.mark.parametrize(
    ("kind", "name", "values"),
    [
        (Limits, "requests_per_second", [0, -1.0, float("nan"), "5", True]),
        (Limits, "reads_in_flight", [0, 1.5, "64", None, True]),
        (Limits, "submissions_in_flight", [0, -16, 2.0, None]),
        (Dialect, "flags", ["text", None, True]),
        (Dialect, "params", ["form", ""]),
        (Dialect, "token_body", ["strings", None]),
        (Dialect, "busy_codes", [999, "999", ["999"], [True], None]),
        (Dialect, "execute_reader", ["reader", 5]),
        (Dialect, "callback_reply", [None, b"SUCCESS"]),
        (Dialect, "list_all_body", [None, "{}", []]),
        (Dialect, "timezone", ["Asia/Shanghai", None, 8]),
        (Dialect, "token_lifetime", [0, -5, float("inf"), None]),
    ],
)
def test_limits_and_dialects_are_checked(kind, name, values):
    assert kind() == kind()
    for value in values:
        refused(lambda value=value: kind(**{name: value}), name)


GIVEN = {
    "http to 127.0.0.1": {"base_url": "http://127.0.0.1:8080"},
    "http to 127.9.9.9": {"base_url": "http://127.9.9.9"},
    "http to ::1": {"base_url": "http://[::1]:8080"},
    "http to localhost": {"base_url": "http://localhost/prefix"},
    "http to a name of localhost": {"base_url": "http://dpa.localhost"},
    "http where it is allowed": {"base_url": "http://10.0.0.1", "allow_http": True},
    "http for tokens": {"auth_base_url": "http://10.0.0.1", "allow_http": True},
    "a scope": {"scope": "all"},
    "a user": {"user_id": "u1"},
    "no TLS checks": {"ssl": False},
    "TLS": {"ssl": ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)},
    "a proxy": {"proxy": "http://me:p%2Fw@proxy:3128/"},
    "headers": {"headers": {"X-Gateway": "key 1", "accept": "*/*"}},
    "limits": {"limits": Limits(requests_per_second=0.5, reads_in_flight=1)},
    "dialect": {
        "dialect": Dialect(
            flags="json",
            params="strings",
            token_body="form",
            busy_codes=[999, 500],
            execute_reader=dict,
            callback_reply="SUCESS",
            list_all_body={"page": 1},
            timezone=timezone(timedelta(hours=8)),
            token_lifetime=60,
        )
    },
}


@pytest.mark.parametrize("changes", GIVEN.values(), ids=GIVEN)
def test_what_can_be_right_is_taken_as_it_is(changes):
    taken = made(**changes)
    for name, value in changes.items():
        assert getattr(taken, name) == value


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("https://dpa.example.com/", "https://dpa.example.com"),
        ("HTTPS://DPA.Example.com:443/Prefix//", "https://dpa.example.com/Prefix"),
        ("https://dpa.example.com:8443/a/b", "https://dpa.example.com:8443/a/b"),
        ("https://[2001:DB8::1]:443", "https://[2001:db8::1]"),
        ("http://127.0.0.1:80", "http://127.0.0.1"),
        ("http://127.0.0.1:443", "http://127.0.0.1:443"),
    ],
)
def test_addresses_are_kept_in_one_spelling(given, kept):
    taken = made(base_url=given, auth_base_url=given)
    assert (taken.base_url, taken.auth_base_url) == (kept, kept)


def test_blanks_around_a_credential_are_no_part_of_it():
    taken = made(client_id=" an-id\n", client_secret=f"\t{SECRET}\n")
    assert (taken.client_id, taken.client_secret) == ("an-id", SECRET)


# Execute URLs.


@pytest.mark.parametrize(
    ("changes", "url"),
    [
        ({"execute_urls": TEMPLATE}, "https://dpa.example.com/e/md%201/run"),
        (
            {"execute_urls": TEMPLATE, "base_url": "https://dpa.example.com/prefix/"},
            "https://dpa.example.com/prefix/e/md%201/run",
        ),
        (
            {"execute_urls": "https://DPA.example.com:443/e?id={workflow_id}&x=1"},
            "https://DPA.example.com:443/e?id=md%201&x=1",
        ),
        (
            {"execute_urls": OTHER + TEMPLATE, "extra_origins": [OTHER + ":443/"]},
            OTHER + "/e/md%201/run",
        ),
        ({"execute_urls": {"md 1": "/card"}}, "https://dpa.example.com/card"),
        (
            {"execute_urls": {"md 1": OTHER + "/e?k=1"}, "extra_origins": (OTHER,)},
            OTHER + "/e?k=1",
        ),
    ],
)
def test_an_execute_url_is_absolute(changes, url):
    assert made(**changes).execute_url("md 1") == url


@pytest.mark.parametrize(
    ("workflow_id", "segment"),
    [
        ("mddaebe8b163", "mddaebe8b163"),
        ("a/b", "a%2Fb"),
        ("../../x?y=1", "..%2F..%2Fx%3Fy%3D1"),
        ("a#b", "a%23b"),
        ("a%2Fb", "a%252Fb"),
        ("流程", "%E6%B5%81%E7%A8%8B"),
        ("...", "..."),
        ("{workflow_id}", "%7Bworkflow_id%7D"),
    ],
)
def test_an_id_is_one_segment(workflow_id, segment):
    url = made(execute_urls=TEMPLATE).execute_url(workflow_id)
    assert url == f"https://dpa.example.com/e/{segment}/run"


@pytest.mark.parametrize(
    "workflow_id",
    [
        "",
        ".",
        "..",
        "a\nb",
        "a\x00",
        "\x7f",
        "\u3000",
        "\u200b",
        "\ud800",
        None,
        5,
        b"a",
    ],
)
@pytest.mark.parametrize("urls", [TEMPLATE, {"": "/", "..": "/", None: "/"}])
def test_what_is_no_id_is_refused(workflow_id, urls):
    refused(lambda: made(execute_urls=urls).execute_url(workflow_id), "workflow_id is ")


@settings(deadline=None)
@given(st.text(st.characters()))
@example("..")
@example("a/../b")
def test_an_id_fills_one_segment_or_is_refused(workflow_id):
    base = "https://dpa.example.com/e/"
    try:
        url = made(execute_urls=TEMPLATE).execute_url(workflow_id)
    except ConfigurationError:
        event("refused")
        assert not workflow_id.isprintable() or workflow_id in {"", ".", ".."}
        return
    event("taken")
    filled = re.fullmatch(
        rf"{re.escape(base)}((?:[\w.~-]|%[0-9A-F]{{2}})+)/run", url, re.ASCII
    )
    assert filled
    assert unquote(filled[1], errors="strict") == workflow_id
    parts = urlsplit(url)
    assert (parts.netloc, parts.query, parts.fragment) == ("dpa.example.com", "", "")
    assert len(URL(url).parts) == len(URL(base + "x/run").parts)


def test_a_workflow_without_a_url_is_told_where_people_find_it():
    message = refused(lambda: made().execute_url("md1"), "'md1'", "「API按钮」", "card")
    for place in ("execute_urls", "DPA_EXECUTE_URL", "[workflows]"):
        assert place in message
