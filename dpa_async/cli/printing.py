"""Data on stdout, talk on stderr; nothing that is printed can drive the terminal."""

import io
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, TextIO, TypeAlias, cast

from dpa_async.cli.options import Format, Options
from dpa_async.cli.safe_text import json_text, shown, shown_lines

if TYPE_CHECKING:
    from rich.console import Console

    from dpa_async.errors import DPAError

Record: TypeAlias = Mapping[str, object]
"""One thing that is printed, by the names of its fields; values as JSON has them."""

_STYLES = {
    "SUCCEEDED": "green",
    "FAILED": "red",
    "RUNNING": "cyan",
    "SUSPENDED": "yellow",
}


def prepare_streams() -> None:
    """See that there are standard streams, and that each can take any character.

    A stream that is closed is opened on nothing: else the next file or connection
    would take its number, and what is printed would go there.
    """
    while (nothing := os.open(os.devnull, os.O_RDWR)) <= 2:  # noqa: PLR2004 - stderr
        pass
    os.close(nothing)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


class Printer:
    """What a command says, in the format that was asked for.

    Args:
        options: The format, and whether to be quiet.
    """

    def __init__(self, options: Options) -> None:
        self.format: Format = options.output or _usual_format()
        self._quiet = options.quiet
        self._console: Console | None = None

    def rows(self, rows: Iterable[Record], columns: Sequence[str]) -> None:
        """Print many of a kind: a table, an array, or a line each."""
        if self.format == "table":
            self._table(rows, columns)
        elif self.format == "json":
            self._write(self._json(list(rows), indent=2) + "\n")
        else:
            for row in rows:
                self.line(row)

    def record(self, record: Record) -> None:
        """Print one thing: its fields below each other, or one JSON document."""
        if self.format == "table":
            self._fields(record)
        else:
            indent = 2 if self.format == "json" else None
            self._write(self._json(record, indent=indent) + "\n")

    def line(self, record: Record) -> None:
        """Print one of a stream, as a line of its own at once; a table has no end."""
        if self.format == "table":
            self._fields(record)
        else:
            self._write(self._json(record) + "\n")

    def text(self, line: str) -> None:
        """Print a line that has its form already, in place of a table's row."""
        self._write(shown(line) + "\n")

    def talk(self, text: str) -> None:
        """Tell a person something, on stderr; nothing when quiet."""
        if not self._quiet:
            tell(text)

    def problem(self, error: "DPAError") -> None:
        """Tell what went wrong; what exists on the platform is data, on stdout."""
        tell(f"dpa: {error}")
        for note in getattr(error, "__notes__", ()):
            tell(f"dpa: {note}")
        if (left := _left_behind(error)) is not None:
            self.record(left)

    def _write(self, text: str) -> None:
        write(sys.stdout, text)

    def _json(self, value: object, *, indent: int | None = None) -> str:
        encoding = getattr(sys.stdout, "encoding", None) or ""
        ascii_only = not encoding.lower().startswith("utf")
        return json_text(value, indent=indent, ascii_only=ascii_only)

    def _table(self, rows: Iterable[Record], columns: Sequence[str]) -> None:
        from rich import box  # noqa: PLC0415 - only who wants a table pays for it
        from rich.table import Table  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415

        table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
        for column in columns:
            table.add_column(Text(column), overflow="fold")
        for row in rows:
            cells = (_cell(row.get(column)) for column in columns)
            table.add_row(*(Text(cell, _STYLES.get(cell, "")) for cell in cells))
        self._rich(table)

    def _fields(self, record: Record) -> None:
        from rich.text import Text  # noqa: PLC0415

        width = max(map(len, record), default=0)
        text = Text()
        for name, value in record.items():
            lines = _lines(value)
            for number, line in enumerate(lines):
                text.append(f"{'' if number else name:{width}}  ", "bold")
                text.append(line + "\n", _STYLES.get(line, ""))
        self._rich(text, soft_wrap=True)

    def _rich(self, renderable: object, *, soft_wrap: bool = False) -> None:
        from rich.console import Console  # noqa: PLC0415

        if self._console is None:
            self._console = Console(
                highlight=False,
                markup=False,
                emoji=False,
                color_system=None if os.environ.get("NO_COLOR") else "auto",
            )
        with self._console.capture() as captured:
            self._console.print(renderable, end="", soft_wrap=soft_wrap)
        self._write(captured.get())


def tell(text: str) -> None:
    """Write a line for a person on stderr."""
    write(sys.stderr, shown(text) + "\n")


def show_traceback(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    """Show what nobody caught; an exception can quote the platform, too."""
    from traceback import format_exception  # noqa: PLC0415 - seldom needed

    for line in shown_lines("".join(format_exception(kind, error, traceback))):
        write(sys.stderr, line + "\n")


def write(stream: TextIO | None, text: str) -> None:
    """Write at once; where nobody reads any more, nothing, and without a word.

    Raises:
        OSError: It cannot be written, as on a full disk.
    """
    if stream is None:
        return
    try:
        stream.write(text)
        stream.flush()
    except OSError as error:
        # What is still buffered goes to nothing, now and when the interpreter ends.
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, stream.fileno())
        os.close(nothing)
        if not isinstance(error, BrokenPipeError):
            raise


def _usual_format() -> Format:
    terminal = sys.stdout is not None and sys.stdout.isatty()
    return "table" if terminal else "jsonl"


def _left_behind(error: "DPAError") -> Record | None:
    """Give what exists on the platform, or may, in spite of an error."""
    from dpa_async.errors import SubmissionUncertainError  # noqa: PLC0415

    if error.ref is not None:
        return {"ref": str(error.ref), "error": str(error)}
    if isinstance(error, SubmissionUncertainError):
        return {"submission": str(error.submission), "error": str(error)}
    return None


def _cell(value: object) -> str:
    return "\n".join(_lines(value))


def _lines(value: object) -> list[str]:
    match value:
        case None:
            return ["-"]
        case str():
            return shown_lines(value)
        case dict():
            parts = cast("dict[str, object]", value).values()
            return shown_lines(": ".join("-" if p is None else str(p) for p in parts))
        case list():
            items = cast("list[object]", value)
            return [line for item in items for line in _lines(item)] or ["-"]
        case _:
            return [str(value)]
