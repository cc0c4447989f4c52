"""JSON both ways: orjson where it is installed, the standard library elsewhere."""

import json
import math
import re
from collections.abc import Callable
from typing import NoReturn, cast

from dpa_async.wire.json_pieces import decode_in_pieces

_BOM = b"\xef\xbb\xbf"
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_ESCAPED_SURROGATE = re.compile(_SURROGATE.pattern.decode())
_LARGE = 2**21  # 20 ms or so, and a thread that decodes would hold up all the others
_SMALLEST = -(2**63)
_LARGEST = 2**64 - 1  # what is beyond comes as a float


def decode(body: bytes) -> object:
    """Decode JSON text; a byte order mark may lead.

    Raises:
        ValueError: It is not UTF-8, not JSON, nested too deep, or holds NaN, a number
            too long to read or a list too long to keep.
    """
    text = body.removeprefix(_BOM)
    return _decode(text) if len(text) <= _LARGE else _decode_large(text)


def as_object(value: object) -> dict[str, object] | None:
    """Give a decoded value as a JSON object; None where it is none."""
    return cast("dict[str, object]", value) if isinstance(value, dict) else None


def as_list(value: object) -> list[object] | None:
    """Give a decoded value as a JSON array; None where it is none."""
    return cast("list[object]", value) if isinstance(value, list) else None


def encode(value: object) -> bytes:
    """Encode as compact UTF-8 JSON text.

    Raises:
        ValueError: A value is NaN or infinite, holds itself or an unpaired surrogate.
        TypeError: A value is of a type that JSON does not have.
    """
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode()


def _decode_large(text: bytes) -> object:
    """Decode to the same values and the same refusals, a piece at a time."""
    try:
        return decode_in_pieces(text, _scan)
    except RecursionError:
        deep = "nested too deep"
    raise ValueError(deep)


def _scan(text: str, at: int) -> tuple[object, int]:
    value, end = _DECODER.raw_decode(text, at)
    if _ESCAPED_SURROGATE.search(text, at, end):
        _ = json.dumps(value, ensure_ascii=False).encode()
    return value, end


def _standard_decode(text: bytes) -> object:
    """Decode as orjson does, to the same values and the same refusals."""
    try:
        value: object = json.loads(
            text.decode("utf-8"),
            parse_int=_whole,
            parse_float=_finite,
            parse_constant=_no_constant,
        )
        if _SURROGATE.search(text):  # alone it is no character, and nothing encodes it
            _ = json.dumps(value, ensure_ascii=False).encode()
    except RecursionError:
        deep = "nested too deep"
    else:
        return value
    raise ValueError(deep)


def _whole(digits: str) -> int | float:
    value = int(digits)
    return value if _SMALLEST <= value <= _LARGEST else _finite(digits)


def _finite(digits: str) -> float:
    value = float(digits)
    return value if math.isfinite(value) else _no_constant(digits[:20])


def _no_constant(name: str) -> NoReturn:
    msg = f"{name} is not JSON"
    raise ValueError(msg)


_DECODER = json.JSONDecoder(
    parse_int=_whole, parse_float=_finite, parse_constant=_no_constant
)

_decode: Callable[[bytes], object]
try:
    import orjson

    _decode = orjson.loads
except ImportError:  # the extra `speed` is not installed
    _decode = _standard_decode
