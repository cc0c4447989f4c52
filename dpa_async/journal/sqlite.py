"""`SQLiteJournal`: a journal in one file, written by one thread, read in place."""

import asyncio
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from types import TracebackType
from typing import Any, Self

from attrs import frozen
from typing_extensions import override

from dpa_async.checks import check_type, refuse
from dpa_async.errors import ConfigurationError, JournalError
from dpa_async.journal.changes import (
    REMEMBERED,
    Change,
    Pruned,
    duration,
    end,
    intent,
    pruning,
    start,
    uncertainty,
    withdrawal,
)
from dpa_async.journal.commits import Commits
from dpa_async.journal.entries import Entry, Journal
from dpa_async.journal.files import OpenFile, open_file
from dpa_async.journal.history import History, read_runs
from dpa_async.journal.problems import DAMAGED, FAULTS, from_sqlite, problem
from dpa_async.journal.reading import Reader
from dpa_async.journal.rows import (
    SELECT,
    Row,
    check_text,
    evidence_text,
    intent_row,
    microseconds,
    read_entry,
    result_row,
    start_row,
)
from dpa_async.models import RunRef, RunResult, Submission

_NEWEST = "SELECT max(id) FROM entries"
_UNFINISHED = SELECT + (
    "INDEXED BY unfinished "
    "WHERE state <> 'finished' AND id > ? AND id <= ? ORDER BY id LIMIT ?"
)
_PAGE = 100


@frozen
class _Opened:
    file: OpenFile
    thread: ThreadPoolExecutor
    reader: Reader
    commits: Commits
    loop: asyncio.AbstractEventLoop


class SQLiteJournal(Journal, History):
    """A journal in a SQLite file of its own; an async context manager.

        async with SQLiteJournal("runs.journal") as journal:
            ...

    The file holds parameters and outputs as they are, and can be read by its owner only
    (mode 0600); beside it are its `-wal`, `-shm` and `-lock`, which belong to it. It
    holds no token, no secret and no callback nonce. It belongs on a local disk.

    A journal belongs to one process, one journal object in it and one event loop at a
    time. Who opens it when it is taken gets a `JournalError` that names the owner; one
    that died has left it free.

    Args:
        path: The file; it is made where there is none.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        check_type("path", path, str | os.PathLike)
        text = os.fspath(path)
        if not text or "\0" in text:
            refuse("path", f"is {text!r}: give the path of a file")
        # Through links: SQLite's other files stand beside the file itself.
        self.path = os.path.realpath(text)
        self._opened: _Opened | None = None
        self._closing: asyncio.Task[None] | None = None

    @override
    def __repr__(self) -> str:
        """Show which file it is, and whether it is open."""
        state = "open" if self._opened else "closed"
        return f"<SQLiteJournal {self.path!r} {state}>"

    async def __aenter__(self) -> Self:
        """Open the file, off the event loop.

        Raises:
            JournalError: It is somebody's, it cannot be written, or it is no journal of
                a version known here.
            ConfigurationError: It is open already.
        """
        if self._opened is not None:
            refuse("journal", f"{self.path!r} is open already: open it once")
        thread = ThreadPoolExecutor(1, thread_name_prefix="dpa-journal")
        loop = asyncio.get_running_loop()
        files: list[OpenFile] = []
        opening = loop.run_in_executor(thread, _open, self.path, files)
        try:
            await asyncio.shield(opening)
        except BaseException:
            # The thread does one thing after the other: this comes after the opening.
            thread.submit(_close_unwanted, files)
            thread.shutdown(wait=False)
            raise
        (file,) = files
        reader = Reader(file.reader)
        commits = Commits(file.path, file.writer, thread, reader)
        self._opened = _Opened(file, thread, reader, commits, loop)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close it."""
        await self.aclose()

    async def aclose(self) -> None:
        """Write what is on its way, then close the file; idempotent, raises nothing."""
        opened, self._opened = self._opened, None
        if opened is not None:
            self._closing = asyncio.create_task(_close(opened))
        if self._closing is not None:
            await asyncio.shield(self._closing)

    @override
    def find(self, key: str) -> Entry | None:
        """Give what is journaled of a key, as far as it is durable; some microseconds.

        Raises:
            JournalError: The journal is not open, or cannot be read.
            ConfigurationError: The key is no Unicode text, or the event loop another.
        """
        reader = self._at_hand().reader
        try:
            row = reader.find(check_text("key", key))
        except FAULTS as error:
            cause = from_sqlite(self.path, error)
        else:
            return None if row is None else self._entry(row)
        raise cause

    @override
    def unfinished(self) -> Iterator[Entry]:
        """Give what was intended before this call and is not `FINISHED`, oldest first.

        Each entry is as it is when it is reached; a few at a time are in memory.

        Raises:
            JournalError: The journal is not open, or cannot be read.
            ConfigurationError: The event loop is another.
        """
        newest = self._read(_NEWEST, ())[0][0]
        return self._unfinished(newest or 0)

    def _unfinished(self, newest: int) -> Iterator[Entry]:
        last = 0
        while page := self._read(_UNFINISHED, (last, newest, _PAGE)):
            for row in page:
                if row[0] <= last:  # in a damaged file the order leads in circles
                    raise problem(self.path, DAMAGED)
                last = row[0]
                yield self._entry(row)

    @override
    async def intend(
        self,
        submission: Submission,
        params: Mapping[str, object] | None,
        *,
        wants_outputs: bool,
    ) -> None:
        """Note what is about to be sent; in place of a `FINISHED` entry of its key.

        That one is given back if this is withdrawn.

        Raises:
            JournalError: The key is there and not finished, or it cannot be written.
            ConfigurationError: A value is not JSON, or a text not Unicode.
        """
        row = intent_row(submission, params, wants_outputs=wants_outputs)
        await self._make(intent(row), submission)

    @override
    async def withdraw(self, key: str) -> None:
        """Note that it certainly did not start: its key is as it was before.

        Raises:
            JournalError: The key is not there or has a run, or it cannot be written.
        """
        await self._make(withdrawal(check_text("key", key)))

    @override
    async def uncertain(self, submission: Submission) -> None:
        """Note that its POST left and its fate is not known; again as more is seen.

        Raises:
            JournalError: The key is not there or has a run, or it cannot be written.
        """
        key = check_text("key", submission.key)
        evidence = evidence_text(submission)
        await self._make(uncertainty(key, evidence), submission)

    @override
    async def started(
        self, key: str, ref: RunRef, submitted_at: datetime | None
    ) -> None:
        """Note which run it is; saying so twice is no harm.

        Raises:
            JournalError: The key is not there, has another run or is finished; or it
                cannot be written.
            ConfigurationError: `submitted_at` has no time zone.
        """
        row = start_row(ref, submitted_at)
        await self._make(start(check_text("key", key), row), ref=ref)

    @override
    async def finished(self, key: str, result: RunResult) -> None:
        """Note how its run ended; again where more of it is known.

        Raises:
            JournalError: The key is not there or has another run, or it cannot be
                written.
            ConfigurationError: The result is not one of a run that ended.
        """
        row = result_row(result)
        await self._make(end(check_text("key", key), row), ref=result.ref)

    async def prune(self, *, before: datetime) -> int:
        """Forget the keys whose runs were seen to end before this time.

        A key that is forgotten is not known any more: asked for again, it runs again.
        What is not finished stays. The file does not shrink; its room is used again.
        A thousand keys at a time, between the writes of others.

        Args:
            before: By the clock of the machine that saw the ends.

        Returns:
            How many were forgotten.

        Raises:
            JournalError: The journal is not open, or cannot be written.
            ConfigurationError: It is no time with a time zone.
        """
        check_type("before", before, datetime)
        moment = microseconds("before", before)
        newest = self._read(_NEWEST, ())[0][0] or 0
        count, pruned = 0, Pruned()
        while pruned.last is not None and pruned.last < newest:
            await self._make(pruning(pruned, moment))
            count += pruned.count
        return count

    @override
    def remember(self, origin: str, workflow_id: str, after: float, by: float) -> None:
        """Note that a run ended after one look and by the next; with the next write.

        What is kept are the latest 128 runs of the 1,000 workflows whose runs ended
        last.

        Raises:
            JournalError: The journal is not open.
            ConfigurationError: A text is not Unicode, or the event loop another.
        """
        workflow = check_text("origin", origin), check_text("workflow", workflow_id)
        self._at_hand().commits.add_along(duration(*workflow, after, by))

    @override
    def remembered(
        self, origin: str, workflow_id: str
    ) -> Sequence[tuple[float, float]]:
        """Give `after` and `by` of a workflow's latest runs, the oldest first.

        Raises:
            JournalError: The journal is not open, or cannot be read.
            ConfigurationError: A text is not Unicode, or the event loop another.
        """
        workflow = check_text("origin", origin), check_text("workflow", workflow_id)
        return list(read_runs(self._read(REMEMBERED, workflow)))

    async def _make(
        self,
        change: Change,
        submission: Submission | None = None,
        *,
        ref: RunRef | None = None,
    ) -> None:
        verdict = await self._at_hand().commits.add(change)
        if verdict is not None:
            raise verdict.about(submission=submission, ref=ref)

    def _at_hand(self) -> _Opened:
        opened = self._opened
        if opened is None or not opened.file.ownership.held:
            words = (
                "it is not open: enter it (`async with`) in the process that uses it"
            )
            raise problem(self.path, words)
        if asyncio.get_running_loop() is not opened.loop:
            words = "belongs to another event loop: use it in the one that opened it"
            raise ConfigurationError(f"journal {self.path!r} {words}")
        return opened

    def _read(self, sql: str, values: Row) -> Sequence[tuple[Any, ...]]:
        reader = self._at_hand().reader
        try:
            return reader.rows(sql, values)
        except FAULTS as error:
            cause = from_sqlite(self.path, error)
        raise cause

    def _entry(self, row: tuple[Any, ...]) -> Entry:
        try:
            return read_entry(row)
        except (ValueError, TypeError, KeyError, OverflowError):
            cause: JournalError = problem(self.path, DAMAGED)
        raise cause


def _open(path: str, files: list[OpenFile]) -> None:
    files.append(open_file(path))


def _close_unwanted(files: list[OpenFile]) -> None:
    for file in files:
        file.close()


async def _close(opened: _Opened) -> None:
    loop = asyncio.get_running_loop()
    if loop is opened.loop:  # what another one has queued, nobody will send
        await opened.commits.drained()
    await loop.run_in_executor(opened.thread, opened.file.close)
    opened.thread.shutdown(wait=False)
