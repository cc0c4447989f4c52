"""Large JSON text, a piece at a time, so that a thread that reads it holds up nobody.

A decoder in C keeps the interpreter to itself until it is done: 64 MiB are half a
second in which the event loop stands still, in whichever thread it is. Here it is
called for one row of a list at a time, and in between others have their turn.
"""

import codecs
import re
from collections.abc import Callable, Iterator
from typing import NoReturn, TypeAlias

Scan: TypeAlias = Callable[[str, int], tuple[object, int]]
"""Decodes the value that begins there: gives it, and where it ends."""

_WINDOW = 2**18
_LOOSE_END = len("e+")  # by as much a number can seem to end too early
_BLANKS = re.compile(r"[ \t\n\r]*")


def decode_in_pieces(body: bytes, scan: Scan) -> object:
    """Decode JSON text: objects member by member, lists item by item.

    Raises:
        ValueError: It is not UTF-8 or not JSON.
        RecursionError: It is nested too deep.
    """
    text = _Text(body, scan)
    value = _value(text)
    if text.ahead() is not None:
        _refuse("there is more behind its end")
    return value


def _value(text: "_Text") -> object:
    match text.ahead():
        case "{":
            return dict(_members(text))
        case "[":
            return list(_items(text))
        case _:
            return text.value()


def _members(text: "_Text") -> Iterator[tuple[str, object]]:
    for _ in _until(text, "}"):
        name = text.value()
        if not isinstance(name, str):
            _refuse("a member has no name")
        text.take(":")
        yield name, _value(text)


def _items(text: "_Text") -> Iterator[object]:
    for _ in _until(text, "]"):
        yield text.value()


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

    def value(self) -> object:
        """Decode what is ahead as a whole."""
        self.ahead()
        problem = ""
        while True:
            try:
                value, end = self._scan(self._text, self._at)
            except ValueError as error:
                problem = str(error)  # it can be that the rest is only not here yet
            else:
                if end + _LOOSE_END < len(self._text) or not self._more():
                    self._at = end
                    return value
                continue
            if not self._more():
                _refuse(problem)

    def _more(self) -> bool:
        """Decode some more of it: ever more, for a value that does not end."""
        size = max(_WINDOW, len(self._text) - self._at)
        piece = self._body[self._decoded : self._decoded + size]
        if not piece:
            return False
        self._decoded += len(piece)
        is_last = self._decoded == len(self._body)
        self._text = self._text[self._at :] + self._utf8.decode(piece, is_last)
        self._at = 0
        return True


def _refuse(words: str) -> NoReturn:
    raise ValueError(words)
