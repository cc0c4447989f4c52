"""The journal's file: private from the start, opened for writing and for reading."""

import contextlib
import os
import sqlite3
import stat
import sys
from collections.abc import Generator
from pathlib import Path

from attrs import frozen

from dpa_async.journal.ownership import Ownership, own
from dpa_async.journal.problems import FAULTS, from_os, from_sqlite, problem
from dpa_async.journal.schema import prepare

_BUSY_TIMEOUT = 5.0  # seconds; who else writes to it is a stranger
_READ_CACHE = 16 * 2**10  # KiB at most
_LARGEST_IDLE_WAL = 64 * 2**20  # bytes; it grows as needed, and shrinks to this


@frozen
class OpenFile:
    """A journal that belongs to this process.

    Attributes:
        path: The absolute path.
        writer: For the writer thread alone.
        reader: For the event loop alone; it sees what was committed, and waits for
            nobody.
        ownership: Keeps others off.
    """

    path: str
    writer: sqlite3.Connection
    reader: sqlite3.Connection
    ownership: Ownership

    def close(self) -> None:
        """Close it, the writer last: that moves all into the one file; raises nothing.

        Where it cannot be moved, it stays in the -wal file, from where the next one who
        opens the journal has it.
        """
        for connection in (self.reader, self.writer):
            with contextlib.suppress(sqlite3.Error):
                connection.close()
        self.ownership.release()


def open_file(path: str) -> OpenFile:
    """Take the journal at this path, made or migrated where needed; blocks.

    Raises:
        JournalError: It is somebody's, cannot be written, or is no journal of a version
            known here.
    """
    with contextlib.ExitStack() as on_failure, _in_words(path):
        ownership = own(path)
        on_failure.callback(ownership.release)
        _make_private(path)
        writer = _connect(path, on_failure)
        _make_durable(writer)
        prepare(path, writer)
        reader = _connect(path, on_failure)
        reader.execute("PRAGMA query_only = ON")
        reader.execute(f"PRAGMA cache_size = -{_READ_CACHE}")
        reader.execute("SELECT count(*) FROM entries WHERE id = 0").fetchone()
        _sync_directory(path)
        on_failure.pop_all()
        return OpenFile(path, writer, reader, ownership)


@contextlib.contextmanager
def _in_words(path: str) -> Generator[None]:
    try:
        yield
    except FAULTS as error:
        raise from_sqlite(path, error) from None
    except OSError as error:
        raise from_os(path, error) from None


def _make_private(path: str) -> None:
    """See that only its owner reads it; SQLite makes its other files alike."""
    # Never while SQLite has it open: closing it here would release SQLite's locks.
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise problem(path, "it is no regular file: give the path of one")
        if stat.S_IMODE(status.st_mode) & 0o077 and sys.platform != "win32":
            os.fchmod(fd, 0o600)
    finally:
        os.close(fd)


def _connect(path: str, on_failure: contextlib.ExitStack) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path,
        timeout=_BUSY_TIMEOUT,
        isolation_level=None,  # transactions begin where they are written
        check_same_thread=False,  # made on the writer thread, read in the loop's
    )
    on_failure.callback(connection.close)
    return connection


def _make_durable(writer: sqlite3.Connection) -> None:
    for words in (
        "synchronous = FULL",
        "fullfsync = ON",  # macOS, where fsync alone does not reach the disk
        "checkpoint_fullfsync = ON",
        "cell_size_check = ON",  # damage is told earlier
        f"journal_size_limit = {_LARGEST_IDLE_WAL}",
    ):
        writer.execute(f"PRAGMA {words}").fetchall()


def _sync_directory(path: str) -> None:
    """Make the file's name as durable as what is in it."""
    if sys.platform == "win32":
        return
    fd = os.open(Path(path).parent, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
