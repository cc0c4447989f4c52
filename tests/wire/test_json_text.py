"""JSON both ways; without orjson it is read to the same values and refusals."""

import json
import subprocess
import sys

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dpa_async.wire import json_text

patiently = settings(deadline=None)

DECODERS = {"orjson": orjson.loads, "standard library": json_text._standard_decode}
BOM = b"\xef\xbb\xbf"


@pytest.fixture(params=DECODERS)
def decode(request, monkeypatch):
    """`json_text.decode`, on top of one decoder and then the other."""
    monkeypatch.setattr(json_text, "_decode", DECODERS[request.param])
    return json_text.decode


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'{"code": 200, "data": null}', {"code": 200, "data": None}),
        (b" [true, false, 1, -1.5, 1e3]\n", [True, False, 1, -1.5, 1000.0]),
        (BOM + b'{"a": "b"}', {"a": "b"}),
        ('"执行中 é 😀"'.encode(), "执行中 é 😀"),
        (b'"\\u6267\\ud83d\\ude00\\u0000\\/"', "执😀\x00/"),
        (b'"\\\\ud800"', "\\ud800"),
        (b'{"a": 1, "a": 2}', {"a": 2}),
        (b"18446744073709551615", 2**64 - 1),
        (b"18446744073709551616", 2.0**64),
        (b"-9223372036854775808", -(2**63)),
        (b"-9223372036854775809", -(2.0**63)),
        (b"1" * 300, float("1" * 300)),
        (b"-0", 0),
        (b"1e-400", 0.0),
        (b"[" * 500 + b"]" * 500, json.loads("[" * 500 + "]" * 500)),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_what_is_json_is_decoded(decode, body, value):
    decoded = decode(body)
    assert repr(decoded) == repr(value)  # 1, 1.0 and True are not the same


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        BOM,
        BOM + BOM + b"1",
        b"<html>",
        b"{'a': 1}",
        b'{"a": 1,}',
        b'{"a": 1} 2',
        b'{"a": 1',
        b"01",
        b"+1",
        b".5",
        b"NaN",
        b"[Infinity]",
        b'{"code": -Infinity}',
        b"1e400",
        b"[-1e400]",
        b"1" * 400,
        b"1" * 5000,
        b"-" + b"1" * 5000,
        b"[" * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        b'"\xff"',
        b'"\xed\xa0\x80"',
        "{'状态'}".encode("gbk"),
        '{"a": 1}'.encode("utf-16"),
        b'"\x01"',
        b'"a\nb"',
        b'"\\x41"',
        b'"\\ud800"',
        b'{"\\udfff": 1}',
        b'["\\uDC00\\ud83d"]',
        b"1\x00",
    ],
    ids=lambda body: repr(body)[:30] + f" {len(body)}",
)
def test_what_is_not_json_is_a_value_error(decode, body):
    with pytest.raises(ValueError, match=r"."):
        decode(body)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
json_texts = json_values.map(lambda value: json.dumps(value, ensure_ascii=False))
fragments = st.lists(
    st.sampled_from([*'{}[]:,"', "\\", "\\u", "d8", "00", "1", "-", ".", "e5", "NaN"])
    | st.characters(),
    max_size=12,
).map("".join)


def outcome(decoder, body):
    try:
        return repr(decoder(body))
    except ValueError:
        return ValueError


@patiently
@given(
    st.binary()
    | (json_texts | fragments).map(lambda text: text.encode("utf-8", "surrogatepass"))
)
@example(b'"\\ud83d\\ude00\\ud83d"')
def test_both_decoders_agree_on_everything(body):
    assert len({str(outcome(decoder, body)) for decoder in DECODERS.values()}) == 1


@patiently
@given(json_values)
def test_what_is_encoded_is_decoded(value):
    body = json_text.encode(value)
    assert repr(json.loads(body)) == repr(value)


def test_what_is_encoded_is_compact_utf_8():
    value = {"name": "流程", "list": [1, None, True], "nested": {"a": "b"}}
    written = '{"name":"流程","list":[1,null,true],"nested":{"a":"b"}}'
    assert json_text.encode(value) == written.encode("utf-8")


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (float("nan"), ValueError),
        (float("-inf"), ValueError),
        ("\ud800", ValueError),
        ({"\udfff": 1}, ValueError),
        ({1, 2}, TypeError),
        (b"bytes", TypeError),
        ({("a", "b"): 1}, TypeError),
    ],
    ids=repr,
)
def test_what_is_no_json_is_not_encoded(value, kind):
    with pytest.raises(kind):
        json_text.encode([value])


def test_what_holds_itself_is_not_encoded():
    loop = []
    loop.append(loop)
    with pytest.raises(ValueError, match="Circular"):
        json_text.encode(loop)


@pytest.mark.parametrize(
    "value", [None, True, 1, 1.5, "text", "", {}, {"a": 1}, [], [1]]
)
def test_objects_and_arrays_are_told_from_the_rest(value):
    assert json_text.as_object(value) is (value if isinstance(value, dict) else None)
    assert json_text.as_list(value) is (value if isinstance(value, list) else None)


@pytest.mark.parametrize(
    ("installed", "name"), [(True, "loads"), (False, "_standard_d")]
)
def test_orjson_is_used_where_it_is_installed(installed, name):
    code = (
        f"import sys; {installed} or sys.modules.update(orjson=None)\n"
        "from dpa_async.wire import json_text\n"
        "assert json_text.decode(b'[1]') == [1]\n"
        "print(json_text._decode.__name__)"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    assert shown.stdout.startswith(name)
