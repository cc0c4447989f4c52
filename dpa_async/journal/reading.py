"""Reading in the event loop: one look-up takes some microseconds and waits for nobody.

While nothing is written, nothing changes, because nobody else writes. So two things
that cost more than the look-up itself are spared meanwhile: the read transaction stays
open from look to look, and where keys are asked for in the order of their intents, as
when a batch is run again, the next ones are read along. Both end before the next batch
leaves: what is shown is always what is committed, and SQLite can start its -wal file
anew, which a reader that stands still would keep it from.
"""

import contextlib
import sqlite3
from collections.abc import Sequence
from typing import Any

from dpa_async.journal.problems import FAULTS
from dpa_async.journal.rows import SELECT, Row

Found = tuple[Any, ...]
"""A row of `SELECT`."""

_FIND = SELECT + "WHERE key = ?"
_NEXT = SELECT + "WHERE id > ? ORDER BY id LIMIT ?"
_AHEAD = 200  # rows
_ENOUGH = 2**18  # characters; one row more can be as large as it likes


class Reader:
    """A connection for the event loop alone.

    Args:
        connection: What it sees is what was committed.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._cursor = connection.cursor()
        self._calm = True
        self._last_id = -1  # the last one that was read
        self._ahead: dict[str, Found] = {}

    def find(self, key: str) -> Found | None:
        """Give the row of a key.

        Raises:
            sqlite3.Error: It cannot be read.
        """
        row = self._ahead.pop(key, None)
        if row is None:
            rows = self.rows(_FIND, (key,))
            if not rows:
                return None
            row = rows[0]
            before, self._last_id = self._last_id, row[0]
            if self._calm and self._last_id == before + 1:
                self._read_ahead()
        return row

    def rows(self, sql: str, values: Row) -> Sequence[Found]:
        """Give all that a query finds.

        Raises:
            sqlite3.Error: It cannot be read.
        """
        if self._calm and not self._connection.in_transaction:
            self._cursor.execute("BEGIN")
        return self._cursor.execute(sql, values).fetchall()

    def make_way(self) -> None:
        """Let go of what was read: a batch is about to be written; raises nothing."""
        self._calm = False
        self._ahead.clear()
        if self._connection.in_transaction:
            self._connection.rollback()

    def stay(self) -> None:
        """Nothing is being written any more."""
        self._calm = True

    def _read_ahead(self) -> None:
        self._ahead.clear()
        size = 0
        # What cannot be read is told to whoever asks for it.
        with contextlib.suppress(*FAULTS):
            rows = self._connection.execute(_NEXT, (self._last_id, _AHEAD))
            for row in rows:
                self._last_id = row[0]
                self._ahead[row[1]] = row
                size += len(row[3] or "")  # none where the file is damaged
                if size > _ENOUGH:
                    break
            rows.close()
