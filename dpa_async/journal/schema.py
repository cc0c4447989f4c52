"""The file's layout, its versions, and how an older one becomes today's."""

import sqlite3

from dpa_async.errors import JournalError
from dpa_async.journal.problems import problem

APPLICATION_ID = 0x4450416A  # "DPAj"

# From each version to the next one, the first from an empty file; what was released is
# never changed. Times are microseconds since 1970. The index is small, however much is
# finished.
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """
        CREATE TABLE entries (
            id INTEGER PRIMARY KEY, -- the order of the intents
            key TEXT NOT NULL UNIQUE,
            state TEXT NOT NULL,
            intent TEXT NOT NULL,   -- [origin, workflow, digest, wants outputs]
            params TEXT NOT NULL,   -- {name: value} or null
            evidence TEXT,          -- [sent at, SHA-256 of the nonce, [seen, ...]]
            run TEXT,               -- [origin, workflow, run]
            submitted_at INTEGER,
            result TEXT             -- [status, ended at, looks, outputs, unread]
        )
        """,
        "CREATE INDEX unfinished ON entries (id) WHERE state <> 'finished'",
    ),
    (
        """
        CREATE TABLE durations (
            id INTEGER PRIMARY KEY, -- the order of their latest runs
            origin TEXT NOT NULL,
            workflow TEXT NOT NULL,
            runs TEXT NOT NULL,     -- "seen running after:seen over by ...", in seconds
            UNIQUE (origin, workflow)
        )
        """,
        # What was finished of a key that is intended again, until that has a run.
        """
        CREATE TABLE replaced (
            key TEXT PRIMARY KEY,
            intent TEXT NOT NULL,
            params TEXT NOT NULL,
            evidence TEXT,
            run TEXT,
            submitted_at INTEGER,
            result TEXT
        )
        """,
    ),
)


def prepare(path: str, connection: sqlite3.Connection) -> None:
    """See that it is a journal of today's version, or make it one.

    Raises:
        JournalError: It is another application's, or of a newer version.
        sqlite3.Error: It cannot be read or written.
    """
    version = _version(path, connection)
    connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if version == len(MIGRATIONS):
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        for migration in MIGRATIONS[version:]:
            for statement in migration:
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def is_todays(path: str, connection: sqlite3.Connection) -> bool:
    """Tell whether a journal is of today's version; writes nothing.

    Raises:
        JournalError: It is still empty, another application's, or of a newer version.
        sqlite3.Error: It cannot be read.
    """
    version = _version(path, connection)
    if version == 0:
        raise problem(path, "it is empty: nothing was journaled yet")
    return version == len(MIGRATIONS)


def _version(path: str, connection: sqlite3.Connection) -> int:
    """Give the file's version; 0 for one that is still empty."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if (application, version, tables) == (0, 0, 0):
        return 0
    if application != APPLICATION_ID or version < 1:
        raise problem(path, "it is a database of something else: give another path")
    if version > len(MIGRATIONS):
        raise _newer(path, version)
    return int(version)


def _newer(path: str, version: int) -> JournalError:
    return problem(
        path,
        f"it is of version {version}, and this library knows versions up to "
        f"{len(MIGRATIONS)}: a newer release wrote it, use that one or another path",
    )
