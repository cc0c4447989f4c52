"""Following a batch to its end: what comes of each run is kept, printed and counted."""

from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

from attrs import field, frozen

from dpa_async.batch import Batch
from dpa_async.cli.exits import Exit
from dpa_async.cli.leaving import leaving
from dpa_async.cli.outcome_file import OutcomeFile
from dpa_async.cli.outcomes import COLUMNS, of_entry, of_outcome
from dpa_async.cli.printing import Printer, Record
from dpa_async.cli.tally import Tally
from dpa_async.cli.working import UsageError
from dpa_async.client import DPAClient
from dpa_async.errors import TransportError
from dpa_async.events import Observer
from dpa_async.journal import SQLiteJournal, read_entries
from dpa_async.progress import Progress
from dpa_async.report import Lags, write_report
from dpa_async.runner import Runner
from dpa_async.settings import Settings

_PAGES = (".html", ".htm")


@frozen(kw_only=True)
class Wanted:
    """What is wanted of a batch, beside its outcomes on standard output.

    Attributes:
        journal: Where it is kept what was started.
        out: Where outcomes are kept, too.
        report: Where a picture of it goes.
        again: The command that goes on after an interruption.
        fail_fast: Whether nothing more is started after the first that goes wrong.
        retry_failed: Whether what failed in an earlier session is run again.
        silent: Whether no progress is shown.
    """

    journal: Path
    out: Path | None
    report: Path | None
    again: str
    fail_fast: bool = False
    retry_failed: bool = False
    silent: bool = False

    def __attrs_post_init__(self) -> None:
        """See that no file is meant to be two.

        Raises:
            UsageError: One is; or the report's name is not that of a page.
        """
        if self.report is not None and self.report.suffix.lower() not in _PAGES:
            msg = f"--report: {self.report} is to be a page: end its name in .html"
            raise UsageError(msg)
        if self.out is not None and self.out.resolve() == self.journal.resolve():
            msg = f"--out: {self.out} is the journal: give another name"
            raise UsageError(msg)


@frozen
class Outlets:
    """Where outcomes go.

    Attributes:
        printer: Prints each as a JSON line; or all in the end as one JSON document; or,
            as a table, how many there were of what.
        out: The file that keeps them, if any.
        progress: Shows how far it is.
        tally: What they add up to.
    """

    printer: Printer
    out: OutcomeFile | None
    progress: Progress
    tally: Tally
    _rows: list[Record] = field(factory=list[Record], init=False)

    async def follow(self, batch: Batch) -> None:
        """Take all that come of a batch.

        Raises:
            Exception: What the batch's source raised.
            OSError: One cannot be written to the file.
        """
        async with batch:
            async for outcome in batch:
                record = of_outcome(outcome)
                if self.out is not None:
                    self.out.add(record)
                self.tally.add(outcome)
                self.progress.add(outcome)
                if self.printer.format == "jsonl":
                    self.printer.line(record)
                elif self.printer.format == "json":
                    self._rows.append(record)

    def end(self) -> None:
        """Print what waits for the end, and say how it went."""
        if self.printer.format == "json":
            self.printer.rows(self._rows, COLUMNS)
        elif self.printer.format == "table":
            counts = self.tally.counts.most_common()
            rows = [{"status": name, "runs": count} for name, count in counts]
            self.printer.rows(rows, ("status", "runs"))
        for line in self.tally.lines():
            self.printer.talk(line)


async def follow(
    settings: Settings,
    wanted: Wanted,
    printer: Printer,
    make: Callable[[Runner], Batch],
    *,
    total: int | None = None,
) -> int:
    """Make a batch, with all that it needs, and follow it to its end.

    Args:
        settings: Of the platform.
        wanted: What is wanted of it.
        printer: Where outcomes are printed.
        make: Makes it.
        total: How many runs there are; None: what the journal holds unfinished. Then
            the outcome file gets all that is finished first.

    Returns:
        The process's exit code.

    Raises:
        UsageError: The outcome file is one of something else.
        DPAError: It cannot begin, or the batch raised it.
        OSError: The outcome file or the report cannot be written.
    """
    tally, lags = Tally(wanted.fail_fast), Lags()
    async with DPAClient(settings) as client:
        await _see_that_we_are_known(client)
        async with SQLiteJournal(wanted.journal) as journal:
            with _outcome_file(wanted, journal) as out:
                if total is None:
                    total = sum(1 for _ in journal.unfinished())
                    _catch_up(wanted, out)
                progress = Progress(total=total)
                outlets = Outlets(printer, out, progress, tally)
                observers: list[Observer] = [progress, lags]
                try:
                    async with (
                        _shown(progress, silent=wanted.silent),
                        Runner(client, journal=journal, observers=observers) as runner,
                        leaving(runner, wanted.again) as told,
                    ):
                        await outlets.follow(make(runner))
                finally:
                    outlets.end()
    if told.is_set():
        printer.talk(f"interrupted; {wanted.again} goes on from here")
        return Exit.INTERRUPTED
    if wanted.report is not None:
        await write_report(wanted.journal, wanted.report, lags=lags.seconds)
        printer.talk(f"report: {wanted.report}")
    return tally.code


def _catch_up(wanted: Wanted, out: OutcomeFile | None) -> None:
    """Write what is finished and missing in the outcome file.

    Raises:
        JournalError: The journal cannot be read.
        OSError: The file cannot be written.
    """
    if out is not None:
        for entry in read_entries(wanted.journal):
            record = of_entry(entry)
            if record is not None:
                out.add(record)


async def _see_that_we_are_known(client: DPAClient) -> None:
    """Ask for a token once, so that a wrong secret is told once.

    Raises:
        DPAError: The platform refuses us.
    """
    with suppress(TransportError):  # it may come back: each run has its own patience
        _ = await client.tokens.get()


@contextmanager
def _outcome_file(
    wanted: Wanted, journal: SQLiteJournal
) -> Generator[OutcomeFile | None]:
    if wanted.out is None:
        yield None
        return
    with OutcomeFile(wanted.out, journal, retry_failed=wanted.retry_failed) as file:
        yield file


@asynccontextmanager
async def _shown(progress: Progress, *, silent: bool) -> AsyncGenerator[None]:
    if silent:
        yield
        return
    async with progress:
        yield
