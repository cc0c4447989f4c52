"""The two forms that progress is shown in: lines on a terminal, and lines in a log."""

import os
from typing import Protocol, TextIO

from typing_extensions import override

from dpa_async.progress.screen import Screen, has_room, is_terminal, size_of
from dpa_async.progress.text import Snapshot, block, line


class Form(Protocol):
    """How it is shown; everything raises what writing to the file does."""

    interval: float
    """Seconds between two showings, unless somebody wants others."""

    def show(self, snapshot: Snapshot) -> None:
        """Show how far it is, unless the file has no room now."""
        ...

    def close(self, snapshot: Snapshot) -> None:
        """Show how far it came, and be gone."""
        ...


def form_for(file: TextIO) -> Form:
    """Give the form that suits a file."""
    return OnTerminal(file) if is_terminal(file) else InLines(file)


class InLines(Form):
    """A line of plain text each time; the first one after a while.

    Args:
        file: Where to write.
    """

    def __init__(self, file: TextIO) -> None:
        self.interval = 5.0
        self._file = file

    @override
    def show(self, snapshot: Snapshot) -> None:
        if has_room(self._file):
            self.close(snapshot)

    @override
    def close(self, snapshot: Snapshot) -> None:
        self._file.write(line(snapshot) + "\n")
        self._file.flush()


class OnTerminal(Form):
    """A few lines, redrawn in place.

    Args:
        file: The terminal.
    """

    def __init__(self, file: TextIO) -> None:
        self.interval = 0.25
        self._file = file
        self._screen = Screen(file)
        self._unicode = (file.encoding or "").lower().startswith("utf")
        self._colour = not os.environ.get("NO_COLOR")
        self._screen.open()

    @override
    def show(self, snapshot: Snapshot) -> None:
        if has_room(self._file):
            self._draw(snapshot)

    @override
    def close(self, snapshot: Snapshot) -> None:
        try:
            self._draw(snapshot)
        finally:
            self._screen.close()

    def _draw(self, snapshot: Snapshot) -> None:
        columns, rows = size_of(self._file)
        # The last column and row are left free: what is written there moves the rest.
        lines = block(
            snapshot,
            width=max(1, columns - 1),
            height=rows - 1,
            unicode=self._unicode,
            colour=self._colour,
        )
        self._screen.draw(lines)
