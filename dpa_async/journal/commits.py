"""Group commit: what many tasks write at once is one transaction, on one thread.

All bookkeeping is the event loop's. The thread gets a list of changes and gives back
their verdicts, so that a batch costs one hand-over and one wake-up of the loop, however
large it is.
"""

import asyncio
import contextlib
import sqlite3
from collections.abc import Sequence
from concurrent.futures import Executor

from dpa_async.errors import JournalError
from dpa_async.journal.changes import Change
from dpa_async.journal.problems import from_sqlite, problem
from dpa_async.journal.reading import Reader

Verdict = JournalError | None
"""Why a change was not made; None once it is durable."""

_MOST = 1_000  # changes in a transaction: the first of them waits for the last


class Commits:
    """Hands changes to the writer thread, a batch at a time.

    Args:
        path: The journal's, for errors.
        connection: For the thread alone.
        thread: An executor of one thread.
        reader: Makes way while a batch is written.
    """

    def __init__(
        self,
        path: str,
        connection: sqlite3.Connection,
        thread: Executor,
        reader: Reader,
    ) -> None:
        self._path = path
        self._connection = connection
        self._thread = thread
        self._reader = reader
        self._loop = asyncio.get_running_loop()
        self._outbox: list[tuple[Change, asyncio.Future[Verdict]]] = []
        self._along: list[Change] = []  # what nobody waits for
        self._under_way = False
        self._idle = asyncio.Event()
        self._idle.set()

    def add(self, change: Change) -> "asyncio.Future[Verdict]":
        """Have a change made, in the order of the calls."""
        verdict: asyncio.Future[Verdict] = self._loop.create_future()
        self._outbox.append((change, verdict))
        if not self._under_way:
            self._begin()
        return verdict

    def add_along(self, change: Change) -> None:
        """Have a change made that is worth no transaction: it goes with the next one.

        Nobody is told whether it was.
        """
        self._along.append(change)

    async def drained(self) -> None:
        """Send all, and wait until nothing is on its way; raises nothing."""
        while self._under_way or self._along:
            if not self._under_way:
                self._begin()
            await self._idle.wait()

    def _begin(self) -> None:
        self._under_way = True
        self._idle.clear()
        # What else this turn of the loop brings goes along.
        self._loop.call_soon(self._send)

    def _send(self) -> None:
        batch, self._outbox = self._outbox[:_MOST], self._outbox[_MOST:]
        along, self._along = self._along, []
        changes = [*(change for change, _ in batch), *along]
        waiting = [verdict for _, verdict in batch]
        self._reader.make_way()
        done = self._loop.run_in_executor(
            self._thread, commit, self._path, self._connection, changes
        )
        done.add_done_callback(lambda done: self._settle(waiting, done.result()))

    def _settle(
        self, waiting: list["asyncio.Future[Verdict]"], verdicts: list[Verdict]
    ) -> None:
        # Those of what went along come last, and nobody waits for them.
        for waiter, verdict in zip(waiting, verdicts, strict=False):
            if not waiter.done():  # who was cancelled is not there any more
                waiter.set_result(verdict)
        if self._outbox:
            self._send()
        else:
            self._under_way = False
            self._reader.stay()
            self._idle.set()


def commit(
    path: str, connection: sqlite3.Connection, changes: Sequence[Change]
) -> list[Verdict]:
    """Make changes durable, together if it goes; blocks, raises nothing."""
    try:
        refusals = _together(connection, changes)
    except Exception as error:  # noqa: BLE001 - who waits is told, whatever it is
        if len(changes) == 1 or _is_in_use(error):
            return [from_sqlite(path, error) for _ in changes]
    else:
        return [None if words is None else problem(path, words) for words in refusals]
    # One that is too large for the disk must not harm those that are not.
    return [verdict for one in changes for verdict in commit(path, connection, [one])]


def _together(
    connection: sqlite3.Connection, changes: Sequence[Change]
) -> list[str | None]:
    cursor = connection.execute("BEGIN IMMEDIATE")
    try:
        refusals = [change(cursor) for change in changes]
        cursor.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            with contextlib.suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
        raise
    return refusals


def _is_in_use(error: Exception) -> bool:
    """Tell whether it was in vain because of a stranger: each try takes seconds."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
