"""Reading a journal that is somebody's, or nobody's any more, without taking it."""

import contextlib
import os
import sqlite3
from collections.abc import Generator, Iterator
from pathlib import Path

from dpa_async.checks import check_type
from dpa_async.journal.entries import Entry
from dpa_async.journal.problems import DAMAGED, FAULTS, from_sqlite, problem
from dpa_async.journal.rows import SELECT, read_entry
from dpa_async.journal.schema import is_todays, prepare

_ALL = SELECT + "ORDER BY id"


def read_entries(path: str | os.PathLike[str]) -> Iterator[Entry]:
    """Give every entry of a journal, the oldest intent first; blocks.

    All are as they were at the first one. The journal is not taken: another process,
    or this one, can have it open and write to it meanwhile, or was killed with it. An
    older version is read, and left as it is. Its file is only read; an empty `-wal` and
    `-shm` can be left beside it.

    Args:
        path: The journal's file.

    Raises:
        JournalError: There is none, it cannot be read, or it is no journal of a version
            known here.
    """
    check_type("path", path, str | os.PathLike)
    real = os.path.realpath(path)
    try:
        with _looking_on(real) as connection:
            for row in connection.execute(_ALL):
                yield read_entry(row)
    except FAULTS as error:
        cause = from_sqlite(real, error)
    except (ValueError, TypeError, KeyError, OverflowError):
        cause = problem(real, DAMAGED)
    else:
        return
    raise cause


@contextlib.contextmanager
def _looking_on(path: str) -> Generator[sqlite3.Connection]:
    # Never opened but by SQLite: closing it would release the locks of its owner.
    if not Path(path).is_file():
        raise problem(path, "there is no such file")
    uri = f"{Path(path).as_uri()}?mode=ro"
    with contextlib.closing(sqlite3.connect(uri, uri=True)) as there:
        if is_todays(path, there):
            yield there
            return
        with contextlib.closing(sqlite3.connect(":memory:")) as copy:
            there.backup(copy)
            copy.isolation_level = None
            prepare(path, copy)
            yield copy
