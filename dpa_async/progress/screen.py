"""A few lines at the bottom of a terminal, redrawn in place.

What others print meanwhile goes above them: the streams' `write` is ours for as long as
it lasts. A logging handler holds the stream itself, so nothing less would do. The
cursor is never hidden and nothing else of the terminal is changed: a process that is
killed leaves a half-done picture, and a terminal that works.
"""

import os
import re
import select
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TextIO

from dpa_async.progress.text import cells

_TO_END_OF_LINE = "\x1b[K"
_TO_END_OF_SCREEN = "\x1b[J"
_COLOUR = re.compile("\x1b\\[[0-9]*m")
_USUAL_SIZE = (80, 24)


def is_terminal(file: TextIO) -> bool:
    """Tell whether lines can be redrawn there."""
    try:
        return file.isatty() and os.environ.get("TERM", "dumb") not in ("", "dumb")
    except ValueError:  # it is closed
        return False


def size_of(file: TextIO) -> tuple[int, int]:
    """Give columns and lines as they are now."""
    try:
        columns, rows = os.get_terminal_size(file.fileno())
    except (OSError, ValueError):
        return _USUAL_SIZE
    return columns or _USUAL_SIZE[0], rows or _USUAL_SIZE[1]


def has_room(file: TextIO) -> bool:
    """Tell whether writing a little will not wait: Ctrl-S must not stop the runs."""
    try:
        poll = select.poll()
        poll.register(file.fileno(), select.POLLOUT)
        return bool(poll.poll(0))
    except (AttributeError, OSError, ValueError):  # no poll here, or no real file
        return True


class Screen:
    """The lines, and where they are.

    Args:
        file: The terminal.
    """

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._write = file.write  # ours to draw with, whatever happens to the name
        self._lines: Sequence[str] = ()
        self._is_drawn = False
        self._within_line = False  # somebody's line has no end yet
        self._lock = threading.RLock()
        self._taken: list[tuple[TextIO, object]] = []

    def open(self) -> None:
        """Take up the streams that lead to terminals."""
        for stream in {id(s): s for s in (self._file, sys.stdout, sys.stderr)}.values():
            if stream is not None and is_terminal(stream):
                self._take(stream)

    def _take(self, stream: TextIO) -> None:
        original, before = stream.write, vars(stream).get("write")

        def write(text: str) -> int:
            return self._let_through(stream, original, text)

        try:
            setattr(stream, "write", write)  # noqa: B010 - mypy knows it as a method
        except AttributeError:  # it takes none: then it may garble us, and no more
            return
        self._taken.append((stream, before))

    def draw(self, lines: Sequence[str]) -> None:
        """Draw lines over those that are there.

        Raises:
            OSError: They cannot be written.
            ValueError: They cannot be written: the file is closed.
        """
        # Another thread that prints waits for the terminal, maybe: we do not.
        if not self._lock.acquire(blocking=False):
            return
        try:
            self._draw(lines)
        finally:
            self._lock.release()

    def close(self) -> None:
        """Leave the lines as they are, the cursor below; give back the streams.

        Raises:
            OSError: The last line's end cannot be written.
            ValueError: As `draw`.
        """
        with self._lock:
            for stream, before in self._taken:
                if before is None:
                    del stream.write
                else:
                    setattr(stream, "write", before)  # noqa: B010 - as above
            self._taken.clear()
            if self._is_drawn:
                self._put("\r\n")
                self._is_drawn = False
            self._lines = ()

    def _draw(self, lines: Sequence[str]) -> None:
        start = self._to_start() if self._is_drawn else ""
        if self._within_line:
            start, self._within_line = "\r\n", False
        text = f"{_TO_END_OF_LINE}\r\n".join(lines)
        self._lines, self._is_drawn = lines, True
        self._put(start + text + _TO_END_OF_SCREEN)

    def _to_start(self) -> str:
        """Go to where the lines begin: in a window made narrower they take more."""
        columns, _ = size_of(self._file)
        widths = (cells(_COLOUR.sub("", line)) for line in self._lines)
        rows = sum(max(1, -(-width // columns)) for width in widths)
        return f"\r\x1b[{rows - 1}A" if rows > 1 else "\r"

    def _put(self, text: str) -> None:
        self._write(text)
        self._file.flush()

    def _let_through(
        self, stream: TextIO, write: Callable[[str], int], text: str
    ) -> int:
        """Write what somebody else has to say, above the lines."""
        with self._lock:
            if not text:
                return write(text)
            if self._is_drawn:
                self._is_drawn = False
                with suppress(OSError, ValueError):  # our trouble is not theirs
                    self._put(self._to_start() + _TO_END_OF_SCREEN)
            written = write(text)
            self._within_line = not text.endswith("\n")
            if self._lines and not self._within_line:
                stream.flush()
                with suppress(OSError, ValueError):
                    self._draw(self._lines)
        return written
