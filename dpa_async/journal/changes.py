"""The changes of a journal, as SQL; each sees for itself that it may be made."""

import sqlite3
from collections.abc import Callable

from attrs import define

from dpa_async.journal.history import WORKFLOWS, with_one_more
from dpa_async.journal.rows import Row

Change = Callable[[sqlite3.Cursor], str | None]
"""Makes the change; gives the reason where it may not be made, and then makes none."""

_INTENT = """
    INSERT OR IGNORE INTO entries (key, state, intent, params, evidence)
    VALUES (?, 'intended', ?, ?, ?)
"""
_SET_ASIDE = """
    INSERT OR REPLACE INTO replaced
    SELECT key, intent, params, evidence, run, submitted_at, result
    FROM entries WHERE key = ? AND state = 'finished'
"""
_MAKE_WAY = "DELETE FROM entries WHERE key = ?"
_PUT_BACK = """
    INSERT INTO entries
        (key, state, intent, params, evidence, run, submitted_at, result)
    SELECT key, 'finished', intent, params, evidence, run, submitted_at, result
    FROM replaced WHERE key = ?
"""
_FORGET_REPLACED = "DELETE FROM replaced WHERE key = ?"
_WITHDRAWAL = """
    DELETE FROM entries WHERE key = ? AND state IN ('intended', 'uncertain')
"""
_UNCERTAINTY = """
    UPDATE entries SET state = 'uncertain', evidence = ?
    WHERE key = ? AND state IN ('intended', 'uncertain')
"""
# A run is bound to its key once and for all.
_START = """
    UPDATE entries SET state = 'started', run = ?1, submitted_at = ?2
    WHERE key = ?3 AND state <> 'finished' AND (run IS NULL OR run = ?1)
"""
_END = """
    UPDATE entries SET state = 'finished', run = ?1, submitted_at = ?2, result = ?3
    WHERE key = ?4 AND (run IS NULL OR run = ?1)
"""

_PAGE = """
    SELECT max(id) FROM (SELECT id FROM entries WHERE id > ? ORDER BY id LIMIT 1000)
"""
# Each result begins like '["FAILED",1751371200000000,'; what does not is damaged.
_PRUNE = """
    DELETE FROM entries WHERE id > ? AND id <= ? AND state = 'finished'
    AND result GLOB '["[SF]*",[-0-9]*'
    AND CAST(substr(result, instr(result, ',') + 1, 20) AS INTEGER) < ?
"""
# As bytes, because of what is no text there is no reading.
REMEMBERED = """
    SELECT CAST(runs AS BLOB) FROM durations WHERE origin = ? AND workflow = ?
"""
_REMEMBER = """
    INSERT OR REPLACE INTO durations (origin, workflow, runs) VALUES (?, ?, ?)
"""
_FORGET_OLDEST = """
    DELETE FROM durations WHERE id = (SELECT min(id) FROM durations)
    AND (SELECT count(*) FROM durations) > ?
"""


def intent(row: Row) -> Change:
    """Put an intent in; a finished entry of its key is set aside until it has run."""
    key = row[0]

    def change(cursor: sqlite3.Cursor) -> str | None:
        if _changes(cursor, _INTENT, row):
            return None
        if _changes(cursor, _SET_ASIDE, (key,)):
            cursor.execute(_MAKE_WAY, (key,))
            cursor.execute(_INTENT, row)
            return None
        return (
            f"key {key!r} is there already and not finished: it is not intended twice"
        )

    return change


def withdrawal(key: str) -> Change:
    """Take an entry out that has no run; what it took the place of comes back."""

    def change(cursor: sqlite3.Cursor) -> str | None:
        if _changes(cursor, _WITHDRAWAL, (key,)):
            if _changes(cursor, _PUT_BACK, (key,)):
                cursor.execute(_FORGET_REPLACED, (key,))
            return None
        return f"key {key!r} is not there or has a run: there is nothing to withdraw"

    return change


def uncertainty(key: str, evidence: str | None) -> Change:
    """Note what is known of a submission's fate."""

    def change(cursor: sqlite3.Cursor) -> str | None:
        if _changes(cursor, _UNCERTAINTY, (evidence, key)):
            return None
        return f"key {key!r} is not there or has a run: it cannot become uncertain"

    return change


def start(key: str, row: Row) -> Change:
    """Note which run it is."""

    def change(cursor: sqlite3.Cursor) -> str | None:
        if _changes(cursor, _START, (*row, key)):
            cursor.execute(_FORGET_REPLACED, (key,))
            return None
        return f"key {key!r} is not there, has another run or is finished already"

    return change


def end(key: str, row: Row) -> Change:
    """Note how its run ended."""

    def change(cursor: sqlite3.Cursor) -> str | None:
        if _changes(cursor, _END, (*row, key)):
            cursor.execute(_FORGET_REPLACED, (key,))
            return None
        return f"key {key!r} is not there or has another run: this is not its end"

    return change


@define
class Pruned:
    """How far the forgetting of finished entries has come.

    Attributes:
        last: The id up to which it has; None: there are no more.
        count: How many were forgotten in the last step.
    """

    last: int | None = 0
    count: int = 0


def pruning(pruned: Pruned, before: int) -> Change:
    """Forget what ended before this time, of the next thousand entries."""
    begin = pruned.last or 0

    def change(cursor: sqlite3.Cursor) -> str | None:
        (pruned.last,) = cursor.execute(_PAGE, (begin,)).fetchone()
        cursor.execute(_PRUNE, (begin, pruned.last, before))
        pruned.count = cursor.rowcount
        return None

    return change


def duration(origin: str, workflow_id: str, after: float, by: float) -> Change:
    """Note how long one more run of a workflow took."""

    def change(cursor: sqlite3.Cursor) -> str | None:
        workflow = (origin, workflow_id)
        known = cursor.execute(REMEMBERED, workflow).fetchone()
        runs = with_one_more(known and known[0], after, by)
        cursor.execute(_REMEMBER, (*workflow, runs))
        if known is None:
            cursor.execute(_FORGET_OLDEST, (WORKFLOWS,))
        return None

    return change


def _changes(cursor: sqlite3.Cursor, sql: str, values: Row) -> bool:
    return cursor.execute(sql, values).rowcount == 1
