"""Where a batch comes from: a file, read in place, or a copy of what passes once."""

import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO, Literal

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

    def __init__(self, file: BinaryIO, name: str, format: Format) -> None:  # noqa: A002
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
    with ExitStack() as stack:
        file = _opened(path, stack)
        name = "stdin" if path == STDIN else path
        yield BatchSource(file, name, format or _format(path))


def _opened(path: str, stack: ExitStack) -> BinaryIO:
    try:
        if path == STDIN:
            return _copied(sys.stdin.buffer, stack)
        file = stack.enter_context(Path(path).open("rb"))  # noqa: SIM115 - it is one
        if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            return file
        return _copied(file, stack)
    except OSError as error:
        problem = f"cannot be read: {error.strerror}"
    msg = f"{path} {problem}"
    raise UsageError(msg)


def _copied(stream: BinaryIO, stack: ExitStack) -> BinaryIO:
    copy = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 - it is one
    shutil.copyfileobj(stream, copy)
    return copy


def _format(path: str) -> Format:
    suffix = Path(path).suffix.lower()
    if path == STDIN:
        return "jsonl"
    if suffix not in _SUFFIXES:
        known = ", ".join(_SUFFIXES)
        msg = f"{path} is in which format? Its name ends in none of {known}: --format"
        raise UsageError(msg)
    return _SUFFIXES[suffix]


def _state(file: BinaryIO) -> tuple[int, int]:
    # Of the open file: one that takes its place under its name is another file.
    now = os.fstat(file.fileno())
    return now.st_size, now.st_mtime_ns
