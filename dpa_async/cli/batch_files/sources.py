"""Where a batch comes from: a file, read in place, or a copy of what passes once."""

import os
import shutil
import tempfile
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Literal

from dpa_async.cli.batch_files.as_csv import read_csv
from dpa_async.cli.batch_files.as_jsonl import read_jsonl
from dpa_async.cli.batch_files.as_toml import read_toml
from dpa_async.cli.batch_files.lines import Lines
from dpa_async.cli.batch_files.records import Records
from dpa_async.cli.working import UsageError

Format = Literal["jsonl", "csv", "toml"]

STDIN = "-"

_SUFFIXES: dict[str, Format] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".toml": "toml",
}


class BatchSource:
    """A batch that can be read again and again; made by `open_source`.

    Args:
        file: It, open for reading.
        name: What it is called.
        format: How it is written.
    """

    def __init__(
        self,
        file: IO[bytes],
        name: str,
        format: Format,  # noqa: A002 - as the option is called
    ) -> None:
        self._file = file
        self._format: Format = format
        self._state = _state(file)
        self.name = name

    def records(self) -> Records:
        """Read it from its beginning, line by line; one reader at a time.

        Raises:
            OSError: It cannot be read.
        """
        self._file.seek(0)
        if self._format == "toml":
            return read_toml(self._file)
        lines = Lines(self._file)
        return read_csv(lines) if self._format == "csv" else read_jsonl(lines)

    @property
    def has_changed(self) -> bool:
        """Whether somebody wrote to it since it was opened."""
        return _state(self._file) != self._state


@contextmanager
def open_source(
    path: str,
    format: Format | None = None,  # noqa: A002 - as the option is called
) -> Generator[BatchSource]:
    """Open a batch file, or copy standard input (`-`) and what else passes but once.

    Raises:
        UsageError: It cannot be read, or how it is written cannot be told.
    """
    written = format or _format(path)
    name = "stdin" if path == STDIN else path
    with ExitStack() as stack:
        try:
            passes = path == STDIN or Path(path).is_fifo()
            opened = _copied(path) if passes else _stream(path)
            file = stack.enter_context(opened)
        except OSError as error:
            problem = f"cannot be read: {error.strerror}"
        else:
            yield BatchSource(file, name, written)
            return
    msg = f"{name} {problem}"
    raise UsageError(msg)


def _copied(path: str) -> IO[bytes]:
    """Copy what passes but once, to the end.

    Raises:
        OSError: It cannot be read, or there is no room.
    """
    copy = tempfile.TemporaryFile()  # noqa: SIM115 - closed by whoever gets it
    try:
        with _stream(path) as stream:
            shutil.copyfileobj(stream, copy)
        copy.flush()  # from here on it does not change
    except BaseException:
        copy.close()
        raise
    return copy


def _stream(path: str) -> IO[bytes]:
    return os.fdopen(0, "rb", closefd=False) if path == STDIN else Path(path).open("rb")


def _format(path: str) -> Format:
    suffix = Path(path).suffix.lower()
    if path == STDIN:
        return "jsonl"
    if suffix not in _SUFFIXES:
        known = ", ".join(_SUFFIXES)
        msg = f"{path} is in which format? Its name ends in none of {known}: --format"
        raise UsageError(msg)
    return _SUFFIXES[suffix]


def _state(file: IO[bytes]) -> tuple[int, int]:
    # Of the open file: one that takes its place under its name is another file.
    now = os.fstat(file.fileno())
    return now.st_size, now.st_mtime_ns
