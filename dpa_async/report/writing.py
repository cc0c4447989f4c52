"""Writing a report: all of it, or nothing."""

import asyncio
import contextlib
import os
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from dpa_async.journal import read_entries
from dpa_async.models import RunRef
from dpa_async.report.page import render
from dpa_async.report.runs import ReportedRun


async def write_report(
    journal: Path,
    out: Path,
    *,
    title: str | None = None,
    lags: Mapping[RunRef, float] | None = None,
) -> None:
    """Write what a journal holds as one HTML page, off the event loop.

    The journal is only read: it can be open, here or in another process, or left behind
    by one that was killed. A file that is there is replaced when the new one is whole,
    and keeps its mode; a new one is its owner's alone (0600), for it holds what failed
    runs gave. A caller that is cancelled does not stop the writing.

    Args:
        journal: The journal's file.
        out: Where the page goes.
        title: Its heading; None: the journal's name.
        lags: Seconds by run, as `Lags` notes them.

    Raises:
        JournalError: The journal is not there or cannot be read.
        OSError: The page cannot be written.
    """
    await asyncio.to_thread(_write, Path(journal), Path(out), title, lags or {})


def _write(
    journal: Path, out: Path, title: str | None, lags: Mapping[RunRef, float]
) -> None:
    now = datetime.now(UTC)
    runs = [
        ReportedRun.of_entry(entry, lag=lags.get(entry.ref) if entry.ref else None)
        for entry in read_entries(journal)
    ]
    page = render(runs, title=title or journal.name, journal=journal.name, made_at=now)
    _replace(Path(os.path.realpath(out)), page)


def _replace(out: Path, page: str) -> None:
    """Put it in the place of what is there, through a file beside it."""
    handle, name = tempfile.mkstemp(dir=out.parent, prefix=f".{out.name[:100]}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(page)
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileNotFoundError):
            Path(name).chmod(out.stat().st_mode & 0o777)
        Path(name).replace(out)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise
