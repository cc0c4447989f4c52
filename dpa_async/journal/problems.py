"""What SQLite and the file system say when they cannot, in words that help."""

import os
import sqlite3

from dpa_async.errors import JournalError

_FULL = (
    "the disk is full; nothing of this was written, what was journaled before is "
    "there: make room, then go on"
)
_READ_ONLY = (
    "it cannot be written; what was journaled before is there: see that the file, its "
    "directory and the disk are writable"
)
DAMAGED = (
    "it is damaged; move it and its -wal file away and keep them (`sqlite3 FILE "
    ".recover` saves what can be read), and look at the platform before keys run again"
)
_IN_USE = (
    "another program writes to it or has locked it: end that one, a journal belongs to "
    "one process at a time"
)
FAULTS = (sqlite3.Error, UnicodeDecodeError)
"""What the sqlite3 module raises; the latter where SQLite's own words quote damage."""

_WORDS: dict[int, str] = {
    sqlite3.SQLITE_FULL: _FULL,
    sqlite3.SQLITE_READONLY: _READ_ONLY,
    sqlite3.SQLITE_PERM: _READ_ONLY,
    sqlite3.SQLITE_CANTOPEN: _READ_ONLY,
    sqlite3.SQLITE_CORRUPT: DAMAGED,
    sqlite3.SQLITE_ERROR: DAMAGED,  # its tables are not what its version says
    sqlite3.SQLITE_NOTADB: (
        "it is no journal: no SQLite file at all, or a damaged one; give another path"
    ),
    sqlite3.SQLITE_BUSY: _IN_USE,
    sqlite3.SQLITE_LOCKED: _IN_USE,
    sqlite3.SQLITE_PROTOCOL: _IN_USE,
    sqlite3.SQLITE_IOERR: (
        "the disk cannot be written or read (full, a quota, a limit on file size, or a "
        "fault of its own); what was journaled before is there: see to the disk"
    ),
    sqlite3.SQLITE_TOOBIG: "the entry is too large for a journal; it was not written",
    sqlite3.SQLITE_NOMEM: "there is not enough memory; nothing of this was written",
}
"""SQLite's primary result codes, to what happened and what to do."""


def problem(path: str, words: str) -> JournalError:
    """Make the error for a journal that has this path."""
    return JournalError(f"journal {path!r}: {words}")


def from_sqlite(path: str, error: Exception) -> JournalError:
    """Put what SQLite said into words; its own come last."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is None and isinstance(error, sqlite3.OperationalError | UnicodeError):
        return problem(path, f"{DAMAGED} (a text in it is none)")
    words = _WORDS.get((code or 0) & 0xFF, "it cannot be read or written")
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    return problem(path, f"{words} ({name}: {error})")


def from_os(path: str, error: OSError) -> JournalError:
    """Put what the file system said into words."""
    match error:
        case FileNotFoundError():
            words = "its directory does not exist: make it first"
        case IsADirectoryError():
            words = "it is a directory: give the path of a file"
        case PermissionError():
            words = _READ_ONLY
        case _:
            words = "the file system refuses"
    return problem(path, f"{words} ({os.strerror(error.errno or 0)})")
