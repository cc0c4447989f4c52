"""Reading in the event loop: one look-up takes some microseconds and waits for nobody.

SQLite pays for every read transaction with locks, which cost more than the look-up. So
one is kept open from look to look while nothing is written: nobody else writes. It ends
before the next batch leaves, because a reader that stands still would keep SQLite from
starting its -wal file anew.
"""

import sqlite3
from collections.abc import Sequence
from typing import Any

from dpa_async.journal.rows import Row


class Reader:
    """A connection for the event loop alone, and its cursor.

    Args:
        connection: What it sees is what was committed.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._cursor = connection.cursor()
        self._calm = True

    def rows(self, sql: str, values: Row) -> Sequence[tuple[Any, ...]]:
        """Give all that a query finds.

        Raises:
            sqlite3.Error: It cannot be read.
        """
        if self._calm and not self._connection.in_transaction:
            self._cursor.execute("BEGIN")
        return self._cursor.execute(sql, values).fetchall()

    def make_way(self) -> None:
        """Let go: a batch is about to be written; raises nothing that matters."""
        self._calm = False
        if self._connection.in_transaction:
            self._cursor.execute("COMMIT")

    def stay(self) -> None:
        """Nothing is being written any more."""
        self._calm = True
