"""Large JSON text, a piece at a time, so that a thread that reads it holds up nobody.

A decoder in C keeps the interpreter to itself until it is done: 64 MiB are half a
second in which the event loop stands still, in whichever thread it is. Here it is
called for what fits a window, and in between others have their turn: an object that
does not fit is read member by member, a list item by item, a text in pieces.
"""

import codecs
import contextlib
import re
from collections.abc import Callable, Iterator
from typing import NoReturn, TypeAlias, cast

Scan: TypeAlias = Callable[[str, int], tuple[object, int]]
"""Decodes the value that begins there: gives it, and where it ends."""

_WINDOW = 2**18
_LONGEST_WORD = 2**16  # a number, or true, false and null
_LOOSE_END = len("e+")  # by as much a number can seem to end too early
_MOST_ITEMS = 100_000
"""A list may have so many. No platform has more workflows, no run more nodes, and as
many objects as 64 MiB can hold keep the garbage collector busy for a second."""

_BLANKS = re.compile(r"[ \t\n\r]*")
_CHARACTERS = re.compile(
    r"""(?:[^"\\]+
      | \\ [^u]
      | \\u (?![dD][89abAB]) .{4}
      | \\u [dD][89abAB].. \\u .{4}   # two that are one character stay together
    )*+""",
    re.DOTALL | re.VERBOSE,
)
_LONGEST_CHARACTER = len(r"\ud83d\ude00")


class TooManyItemsError(ValueError):
    """A list is too long to be kept."""


def decode_in_pieces(body: bytes, scan: Scan) -> object:
    """Decode JSON text: what is large member by member, item by item.

    Raises:
        TooManyItemsError: A list is too long to be kept.
        ValueError: It is not UTF-8 or not JSON.
        RecursionError: It is nested too deep.
    """
    text = _Text(body, scan)
    value = _value(text)
    if text.ahead() is not None:
        _refuse("there is more behind its end")
    return value


def _value(text: "_Text") -> object:
    first = text.ahead()
    if short := text.short():
        return short[0]
    match first:
        case "{":
            return dict(_members(text))
        case "[":
            return list(_items(text))
        case '"':
            return _text(text)
        case _:
            return _refuse("there is no value")


def _text(text: "_Text") -> str:
    whole = ""
    for piece in text.pieces():
        whole += piece  # it grows in place; to join 64 MiB would take its time
    return whole


def _members(text: "_Text") -> Iterator[tuple[str, object]]:
    for _ in _until(text, "}"):
        name = _value(text)
        if not isinstance(name, str):
            _refuse("a member has no name")
        text.take(":")
        yield name, _value(text)


def _items(text: "_Text") -> Iterator[object]:
    for count, _ in enumerate(_until(text, "]")):
        if count == _MOST_ITEMS:
            words = f"a list of more than {_MOST_ITEMS:,} items"
            raise TooManyItemsError(words)
        yield _value(text)


def _until(text: "_Text", end: str) -> Iterator[None]:
    """Go from comma to comma, up to this bracket."""
    text.skip()
    if text.ahead() == end:
        text.skip()
        return
    while True:
        yield
        if text.take(",", end) == end:
            return


class _Text:
    """Bytes that become text by and by; what was read is let go."""

    def __init__(self, body: bytes, scan: Scan) -> None:
        self._body = memoryview(body)
        self._scan = scan
        self._utf8 = codecs.getincrementaldecoder("utf-8")()
        self._decoded = 0
        self._text = ""
        self._at = 0

    def ahead(self) -> str | None:
        """Give the next character that is not blank; None at the end."""
        while True:
            blanks = _BLANKS.match(self._text, self._at)
            self._at = len(self._text) if blanks is None else blanks.end()
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more():
                return None

    def skip(self) -> None:
        """Go past the character that is ahead."""
        self._at += 1

    def take(self, *wanted: str) -> str:
        """Go past one of these characters, and give it."""
        found = self.ahead()
        if found is None or found not in wanted:
            _refuse(f"{' or '.join(wanted)} is missing")
        self.skip()
        return found

    def short(self) -> tuple[object, ...]:
        """Decode what is ahead, where it ends within a window; or else give nothing."""
        is_word = self.ahead() not in {"{", "[", '"'}
        room = _LONGEST_WORD if is_word else _WINDOW
        while True:
            found = self._scanned()
            is_long = len(self._text) - self._at >= room
            # Of a number, what is here can be the beginning only.
            is_sure = found and not (
                is_word and found[1] + _LOOSE_END >= len(self._text)
            )
            if is_sure or is_long or not self._more():
                break
        if found is None or (is_long and not is_sure):
            return ()
        value, self._at = found
        return (value,)

    def pieces(self) -> Iterator[str]:
        """Decode the text that is ahead, a window at a time."""
        self.skip()
        while True:
            end = self._end_of_characters()
            piece = f'"{self._text[self._at : end]}"'
            yield cast("str", self._scan(piece, 0)[0])
            self._at = end
            if self._text.startswith('"', end):
                break
            if len(self._text) - end >= _LONGEST_CHARACTER or not self._more():
                _refuse("a text has no end")
        self.skip()

    def _scanned(self) -> tuple[object, int] | None:
        with contextlib.suppress(ValueError):  # maybe its end is only not here yet
            return self._scan(self._text, self._at)
        return None

    def _end_of_characters(self) -> int:
        found = _CHARACTERS.match(self._text, self._at)
        return self._at if found is None else found.end()

    def _more(self) -> bool:
        """Decode a window more of it, behind what is left."""
        piece = self._body[self._decoded : self._decoded + _WINDOW]
        if not piece:
            return False
        self._decoded += len(piece)
        is_last = self._decoded == len(self._body)
        self._text = self._text[self._at :] + self._utf8.decode(piece, is_last)
        self._at = 0
        return True


def _refuse(words: str) -> NoReturn:
    raise ValueError(words)
