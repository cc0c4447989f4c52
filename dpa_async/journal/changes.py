"""The five changes of an entry, as SQL; each sees for itself that it may be made."""

import sqlite3
from collections.abc import Callable

from dpa_async.journal.rows import Row

Change = Callable[[sqlite3.Connection], str | None]
"""Makes the change; gives the reason where it may not be made, and then makes none."""

INTEND = """
    INSERT OR IGNORE INTO entries (
        key, state, wants_outputs, origin, workflow_id, params_digest, params,
        sent_at, nonce_sha256, seen
    ) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_MAKE_WAY = "DELETE FROM entries WHERE key = ? AND state = 'finished'"
_WITHDRAW = """
    DELETE FROM entries WHERE key = ? AND state IN ('intended', 'uncertain')
"""
_UNCERTAIN = """
    UPDATE entries SET state = 'uncertain', sent_at = ?, nonce_sha256 = ?, seen = ?
    WHERE key = ? AND state IN ('intended', 'uncertain')
"""
# A run is bound to its key once and for all.
_STARTED = """
    UPDATE entries SET state = 'started', run_origin = ?, run_workflow_id = ?,
        run_id = ?, submitted_at = ?
    WHERE key = ? AND state <> 'finished'
        AND (run_id IS NULL OR (run_origin, run_workflow_id, run_id) = (?, ?, ?))
"""
_FINISHED = """
    UPDATE entries SET state = 'finished', run_origin = ?, run_workflow_id = ?,
        run_id = ?, submitted_at = ?, status = ?, ended_at = ?, looks = ?, outputs = ?,
        unread = ?
    WHERE key = ?
        AND (run_id IS NULL OR (run_origin, run_workflow_id, run_id) = (?, ?, ?))
"""


def intent(row: Row) -> Change:
    """Put an intent in, in place of a finished entry of its key."""
    key = row[0]

    def change(connection: sqlite3.Connection) -> str | None:
        if _changes(connection, INTEND, row):
            return None
        if _changes(connection, _MAKE_WAY, (key,)):
            connection.execute(INTEND, row)
            return None
        return (
            f"key {key!r} is there already and not finished: it is not intended twice"
        )

    return change


def withdrawal(key: str) -> Change:
    """Take an entry out that has no run."""

    def change(connection: sqlite3.Connection) -> str | None:
        if _changes(connection, _WITHDRAW, (key,)):
            return None
        return f"key {key!r} is not there or has a run: there is nothing to withdraw"

    return change


def uncertainty(key: str, row: Row) -> Change:
    """Note what is known of a submission's fate."""

    def change(connection: sqlite3.Connection) -> str | None:
        if _changes(connection, _UNCERTAIN, (*row, key)):
            return None
        return f"key {key!r} is not there or has a run: it cannot become uncertain"

    return change


def start(key: str, row: Row) -> Change:
    """Note which run it is."""

    def change(connection: sqlite3.Connection) -> str | None:
        if _changes(connection, _STARTED, (*row, key, *row[:3])):
            return None
        return f"key {key!r} is not there, has another run or is finished already"

    return change


def end(key: str, row: Row) -> Change:
    """Note how its run ended."""

    def change(connection: sqlite3.Connection) -> str | None:
        if _changes(connection, _FINISHED, (*row, key, *row[:3])):
            return None
        return f"key {key!r} is not there or has another run: this is not its end"

    return change


def _changes(connection: sqlite3.Connection, sql: str, values: Row) -> bool:
    return connection.execute(sql, values).rowcount == 1
