"""The outcome file: a line for each outcome as it comes, mended when it is opened."""

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from typing_extensions import override

from dpa_async.cli.outcome_formats import Fields, format_of
from dpa_async.cli.outcomes import ENDS
from dpa_async.cli.working import UsageError
from dpa_async.journal import Journal
from dpa_async.models import RunStatus

_MENDING = ".mending"
_OURS_ALONE = 0o600  # as the journal: it holds outputs


class OutcomeFile:
    """A file of outcomes, each written whole and at once; a context manager.

    When it is entered it is mended, by what the journal says: half a line at its end is
    cut, and whatever is not the last word on a run is left out, as it is about to be
    said again. So it never has a line twice, and a line that is missing is written when
    its outcome comes again.

    Args:
        path: The file; its name says how it is written. It is made where there is none.
        journal: What has ended.
        retry_failed: Whether failed runs are about to be run again.

    Raises:
        UsageError: Its name does not say how it is written.
    """

    def __init__(
        self, path: Path, journal: Journal, *, retry_failed: bool = False
    ) -> None:
        self._format = format_of(path)
        self._shown = path
        # Through links: what takes its place is put where the file itself is.
        self._path = Path(os.path.realpath(path))
        self._journal = journal
        self._retry_failed = retry_failed
        self._file: IO[bytes] | None = None
        self._written: set[object] = set()

    def __enter__(self) -> Self:
        """Mend it and open it for more.

        Raises:
            UsageError: It is a file of something else, or it has outcomes that
                are not of this journal: it is left as it is.
            JournalError: The journal cannot be read.
            OSError: It cannot be read or written.
        """
        self._mend()
        self._file = self._path.open("ab", buffering=0)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """See that it is on the disk, and close it."""
        if self._file is not None:
            with contextlib.suppress(OSError), self._file as file:
                os.fsync(file.fileno())

    def add(self, record: Fields) -> None:
        """Write an outcome, but for one that is there already.

        Raises:
            OSError: It cannot be written: the journal has it, and it is written when
                the batch goes on.
        """
        if record["status"] in ENDS:
            if record["key"] in self._written:
                return
            self._written.add(record["key"])
        if self._file is not None:
            _write(self._file, self._format.write(record))

    def _mend(self) -> None:
        """Put what is right of it in its place, as a whole or not at all.

        Raises:
            UsageError: It is a file of something else.
            OSError: It cannot be read or written.
        """
        beside = self._path.with_name(self._path.name + _MENDING)
        mode = self._mode()
        with _made(beside, mode) as new:
            new.write(self._format.head)
            for line in self._kept():
                new.write(self._format.write(line))
            new.flush()
            os.fsync(new.fileno())
        beside.replace(self._path)

    def _mode(self) -> int:
        try:
            mode = self._path.stat().st_mode
        except FileNotFoundError:
            return _OURS_ALONE
        if not stat.S_ISREG(mode):
            raise self._refusal("is no file that outcomes can be kept in")
        return stat.S_IMODE(mode)

    def _kept(self) -> Iterator[Fields]:
        """Give what is right of the file as it is.

        Raises:
            UsageError: It is a file of something else.
        """
        try:
            old = self._path.open("rb")
        except FileNotFoundError:
            return
        with old:
            lines = _WholeLines(old)
            try:
                for record in self._format.read(lines):
                    if self._is_last_word(record, lines.number):
                        self._written.add(record["key"])
                        yield record
            except ValueError as error:
                problem = f"is no outcome file: line {lines.number} {error}"
            else:
                return
        raise self._refusal(f"{problem}; give another name")

    def _is_last_word(self, record: Fields, line: int) -> bool:
        key, status = record.get("key"), record.get("status")
        if not (isinstance(key, str) and isinstance(status, str)):
            msg = "has no key or no status"
            raise ValueError(msg)  # noqa: TRY004 - of the text
        if status not in ENDS or key in self._written:
            return False
        entry = self._journal.find(key)
        if entry is None:
            raise self._refusal(
                f"has outcomes of another journal (line {line}, key {key!r}): give "
                "another name, or the journal that it belongs to"
            )
        result = entry.result
        if result is None or status != result.status.name:
            return False
        if self._retry_failed and result.status is RunStatus.FAILED:
            return False
        return record.get("ref") == str(result.ref)

    def _refusal(self, words: str) -> UsageError:
        return UsageError(f"--out: {self._shown} {words}")


class _WholeLines(Iterator[bytes]):
    """The lines of a file that have their ends; what is after the last is left out."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.number = 0

    @override
    def __next__(self) -> bytes:
        line = self._file.readline()
        if not line.endswith(b"\n"):
            raise StopIteration
        self.number += 1
        return line


def _made(path: Path, mode: int) -> IO[bytes]:
    number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    return os.fdopen(number, "wb")


def _write(file: IO[bytes], line: bytes) -> None:
    rest = memoryview(line)
    while rest:
        rest = rest[file.write(rest) :]
