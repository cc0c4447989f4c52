"""Large JSON is read a piece at a time, to the same values and the same refusals."""

import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dpa_async.wire import json_pieces, json_text

patiently = settings(deadline=None)

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
json_texts = st.tuples(json_values, st.booleans(), st.sampled_from([None, 1])).map(
    lambda made: json.dumps(made[0], ensure_ascii=made[1], indent=made[2])
)
fragments = st.lists(
    st.sampled_from([*'{}[]:,"', "\\", "\\u", "d8", "00", "1", "-", ".", "e5", "NaN"])
    | st.characters(),
    max_size=12,
).map("".join)
bodies = st.binary() | (json_texts | fragments).map(
    lambda text: text.encode("utf-8", "surrogatepass")
)


def outcome(decoder, body):
    try:
        return repr(decoder(body))
    except ValueError:
        return ValueError


@pytest.fixture(params=[1, 2, 7, 2**18])
def window(request, monkeypatch):
    """How much is decoded at first: as little as a byte, so that all is cut."""
    monkeypatch.setattr(json_pieces, "_WINDOW", request.param)


@patiently
@given(bodies)
@example(b'{"a": [1, 23], "b": {"c": ["\\ud83d\\ude00"]}}')
@example(b'{"a": ["\\ud83d"]}')
@example(b"[1,]")
@example(b'{"a" 1}')
@example(b'{1: "a"}')
@example(b"[-1.5e3, true, null, 10]")
@example(rb'["\ud83d\ude00", "\\ud83d", "\\\ude00\"\u6d41", "\u00e9"]')
@example(rb'["a\ud83d"]')
@example(rb'["\udE00"]')
@example(rb'["\ud83d\u0041"]')
@example(rb'["\u12"]')
@example(b'["a\nb"]')
@example(b'["a')
def check_it_agrees(body):
    alike = outcome(json_text._standard_decode, body)
    assert outcome(json_text._decode_large, body) == alike


@pytest.mark.usefixtures("window")
def test_it_agrees_with_the_decoder_of_small_bodies():
    check_it_agrees()


@pytest.mark.usefixtures("window")
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[",
        b'{"a": [1, 2',
        b'{"a": [1 2]}',
        b'{"a": 1]',
        b'{"a": 1}}',
        b'{"a": NaN}',
        b'{"a": [1e999]}',
        b'["' + b"9" * 5_000,
        b'{"a": "\xff"}',
        b'{"a": "\xe6\xb5',
        b"[" * 3_000,
        b'{"a":' * 3_000,
    ],
    ids=lambda body: repr(body)[:20],
)
def test_what_is_not_json_is_a_value_error(body):
    with pytest.raises(ValueError, match=r"."):
        json_text._decode_large(body)


@pytest.mark.parametrize("is_large", [False, True])
def test_only_large_bodies_are_read_in_pieces(is_large, monkeypatch):
    def refuse(*_):
        raise RecursionError

    monkeypatch.setattr(json_text, "decode_in_pieces", refuse)
    body = b'"' + b"a" * (2**21 - 2 + is_large) + b'"'
    if is_large:
        with pytest.raises(ValueError, match="too deep"):
            json_text.decode(body)
    else:
        assert json_text.decode(body) == "a" * (2**21 - 2)


def test_a_large_answer_is_decoded_whole():
    rows = [{"name": f"流程 {n}", "n": n, "list": [n, [n]]} for n in range(60_000)]
    body = json_text.encode({"code": 200, "data": rows, "message": ""})
    assert len(body) > 2**21
    assert json_text.decode(b"\xef\xbb\xbf" + body) == json.loads(body)


def test_a_number_that_goes_on_and_on_is_refused():
    with pytest.raises(ValueError, match="no value"):
        json_text.decode(b"[0." + b"1" * 2**21 + b"]")


def test_a_list_can_be_too_long_to_keep(monkeypatch):
    monkeypatch.setattr(json_pieces, "_MOST_ITEMS", 10)
    monkeypatch.setattr(json_pieces, "_WINDOW", 7)
    body = b'{"data": [' + b"[1], " * 9 + b'[1], "text in pieces"]}'
    with pytest.raises(json_pieces.TooManyItemsError, match="more than 10 items"):
        json_pieces.decode_in_pieces(body.ljust(2**19), json_text._scan)
    whole = body.replace(b"[1], ", b"", 1)
    assert len(json_text._decode_large(whole)["data"]) == 10


TEXT = '流程 "quoted" \\ud83d 😀 \u0001\n'


@pytest.mark.parametrize("is_ascii", [False, True])
@pytest.mark.parametrize(
    "value",
    [
        {"data": [{"nodeName": "n", "result": TEXT * 100_000}]},
        {"data": [{"nodeName": "n", "result": [[n, TEXT] for n in range(50_000)]}]},
        {TEXT * 50_000: {"a": {"b": [[[TEXT] * 50_000]]}}},
        [TEXT] * 90_000,
    ],
    ids=["a text", "a list in a row", "a name", "a list"],
)
def test_whatever_is_large_is_never_decoded_at_once(value, is_ascii):
    longest = 0

    def scan(text, at):
        nonlocal longest
        longest = max(longest, len(text) - at)
        return json_text._scan(text, at)

    body = json.dumps(value, ensure_ascii=is_ascii).encode()
    assert len(body) > 4 * json_pieces._WINDOW
    assert json_pieces.decode_in_pieces(body, scan) == value
    assert longest <= 2 * json_pieces._WINDOW + 2
