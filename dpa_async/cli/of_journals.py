"""Commands about a journal: `resume`, `settle` and `report`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from dpa_async.cli import records
from dpa_async.cli.deployment import settings_of
from dpa_async.cli.exits import Exit
from dpa_async.cli.following import Wanted, follow
from dpa_async.cli.options import NO_OPTIONS, Options
from dpa_async.cli.printing import Printer
from dpa_async.cli.words import Ref
from dpa_async.cli.working import UsageError, work
from dpa_async.client import DPAClient
from dpa_async.journal import SQLiteJournal
from dpa_async.models import RunRef
from dpa_async.report import write_report
from dpa_async.runner import Runner

Flag = Annotated[bool, Parameter(negative="")]


def resume(
    journal: Path,
    /,
    *,
    out: Path | None = None,
    report: Path | None = None,
    options: Options = NO_OPTIONS,
) -> int:
    """Go on with what a journal has unfinished, and print what comes of it.

    What runs is waited for, what is uncertain is asked for again. Nothing is started
    that may have been started before; what was never started is for `dpa batch`.

    $ dpa resume nightly.jsonl.journal
    $ dpa resume nightly.jsonl.journal --out results.csv

    Args:
        journal: The journal of a batch.
        out: A .jsonl or .csv file for the outcomes; what is finished is added to it.
        report: An .html file for a picture of all that the journal has.
        options: Of every command.
    """

    async def task(printer: Printer) -> int:
        wanted = Wanted(
            journal=_existing(journal),
            out=out,
            report=report,
            again=f"dpa resume {journal}",
            silent=options.quiet,
        )
        return await follow(settings_of(options), wanted, printer, Runner.resume)

    return work(options, task)


def settle(
    journal: Path,
    key: str,
    /,
    *,
    ran: Ref | None = None,
    did_not_run: Flag = False,
    options: Options = NO_OPTIONS,
) -> int:
    """Say what became of a start whose answer was lost, after a look at the platform.

    Either it ran, and which run it is, or it did not: then the same batch starts it.

    $ dpa settle nightly.jsonl.journal order-17 --did-not-run
    $ dpa settle nightly.jsonl.journal order-17 --ran dpa-run:1:md1:in1@https://dpa.example.com

    Args:
        journal: The journal of the batch.
        key: The key of the line.
        ran: The run that it is; the platform is asked whether it knows it.
        did_not_run: That it is none.
        options: Of every command.
    """

    async def task(printer: Printer) -> int:
        if (ran is None) is not did_not_run:
            msg = "say either --ran REF or --did-not-run"
            raise UsageError(msg)
        path = _existing(journal)
        ref = None if ran is None else RunRef.parse(ran)
        async with (
            DPAClient(settings_of(options)) as client,
            SQLiteJournal(path) as opened,
            Runner(client, journal=opened) as runner,
        ):
            entry = opened.find(key)
            if entry is None:
                msg = f"{journal} has no key {key!r}"
                raise UsageError(msg)
            await runner.settle(entry.submission, ran=ref)
        known = {} if ref is None else records.of_run(ref)
        printer.record({"key": key, "ran": ref is not None, **known})
        goes_on = "dpa resume" if ref is not None else "the same batch"
        printer.talk(f"settled; {goes_on} goes on with it")
        return Exit.SUCCEEDED

    return work(options, task)


def report(
    journal: Path,
    /,
    *,
    out: Path | None = None,
    title: str | None = None,
    options: Options = NO_OPTIONS,
) -> int:
    """Draw what a journal holds as one HTML page.

    The journal is only read: another process can have it open meanwhile.

    $ dpa report nightly.jsonl.journal
    $ dpa report nightly.jsonl.journal --out nightly.html --title "The night of May 1"

    Args:
        journal: The journal of a batch.
        out: Where the page goes; JOURNAL.html.
        title: Its heading; the journal's name.
        options: Of every command.
    """

    async def task(printer: Printer) -> int:
        path = _existing(journal)
        page = out or path.with_name(f"{path.name}.html")
        await write_report(path, page, title=title)
        printer.record({"report": str(page)})
        return Exit.SUCCEEDED

    return work(options, task)


def _existing(journal: Path) -> Path:
    """See that there is a journal: none is made by looking for it.

    Raises:
        UsageError: There is none.
    """
    if not journal.is_file():
        msg = f"{journal} is no file: give the journal of a batch"
        raise UsageError(msg)
    return journal
