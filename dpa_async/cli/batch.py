"""The command `batch`: a file of runs, checked whole, each run once, gone on with."""

from collections.abc import Callable, Coroutine
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from dpa_async.calls import run_many
from dpa_async.cli.batch_files.checking import Checked, requests
from dpa_async.cli.batch_files.checking import check as check_file
from dpa_async.cli.batch_files.records import BadLine
from dpa_async.cli.batch_files.sources import STDIN, BatchSource, Format, open_source
from dpa_async.cli.deployment import settings_of
from dpa_async.cli.exits import Exit
from dpa_async.cli.following import Wanted, follow
from dpa_async.cli.options import NO_OPTIONS, Options
from dpa_async.cli.printing import Printer, tell
from dpa_async.cli.words import Count, Timeout
from dpa_async.cli.working import UsageError, work
from dpa_async.errors import ConfigurationError

Flag = Annotated[bool, Parameter(negative="")]


def _check_file(_: object, file: str) -> None:
    """See that it is no option that was not understood.

    Raises:
        ValueError: It is.
    """
    if file.startswith("-") and file != STDIN:
        msg = f"no such option: {file}"
        raise ValueError(msg)


# To a parser of options the name of standard input looks like one.
FileOrStdin = Annotated[
    str, Parameter(allow_leading_hyphen=True, validator=_check_file)
]


def batch(  # noqa: PLR0913 - the options of a batch
    file: FileOrStdin,
    /,
    *,
    check: Flag = False,
    format: Format | None = None,  # noqa: A002 - as the option is called
    journal: Path | None = None,
    out: Path | None = None,
    report: Path | None = None,
    concurrency: Count = 100,
    ordered: Flag = False,
    fail_fast: Flag = False,
    retry_failed: Flag = False,
    timeout: Timeout = None,
    options: Options = NO_OPTIONS,
) -> int:
    """Run what a file asks for, each line once, and print what comes of it.

    Nothing is started before the whole file is checked: each bad line is named. After
    any interruption the same command goes on. Ctrl-C finishes what is on its way out;
    twice leaves at once. The exit code is the highest of those of its runs.

    $ dpa batch nightly.jsonl --check
    $ dpa batch nightly.csv --out results.csv --report nightly.html
    $ make-requests | dpa batch - --journal nightly.journal

    Args:
        file: JSONL, CSV or TOML, by its name; - for JSONL on standard input.
        check: Whether the file is only checked.
        format: How the file is written, where its name does not say.
        journal: Where it is kept what was started and how it ended; FILE.journal.
        out: A .jsonl or .csv file for the outcomes, a line for each as it comes.
        report: An .html file for a picture of the batch, when it is over.
        concurrency: How many runs go on at once.
        ordered: Whether outcomes come in the order of the file.
        fail_fast: Whether nothing more is started after the first that goes wrong.
        retry_failed: Whether runs that failed in an earlier session are run again.
        timeout: Seconds for each run whose line does not say.
        options: Of every command.
    """
    many = partial(
        run_many,
        concurrency=concurrency,
        ordered=ordered,
        fail_fast=fail_fast,
        retry_failed=retry_failed,
    )

    def task(printer: Printer) -> Coroutine[Any, Any, int] | int:
        with ExitStack() as stack:
            if check:
                source = stack.enter_context(open_source(file, format))
                return _only_checked(source, printer, options)
            wanted = Wanted(
                journal=journal or _journal_of(file),
                out=out,
                report=report,
                again="the same command",
                fail_fast=fail_fast,
                retry_failed=retry_failed,
                silent=options.quiet,
            )
            settings = settings_of(options)
            source = stack.enter_context(open_source(file, format))
            checked = _checked(source, settings.execute_url)
            if checked is None:
                return Exit.USAGE
            make = partial(many, requests=requests(source, checked, timeout=timeout))
            following = follow(settings, wanted, printer, make, total=checked.count)
            return _holding(stack.pop_all(), following)

    return work(options, task)


async def _holding(source: ExitStack, following: Coroutine[Any, Any, int]) -> int:
    with source:
        return await following


def _only_checked(source: BatchSource, printer: Printer, options: Options) -> int:
    checked = _checked(source, _accepts(options))
    if checked is None:
        return Exit.USAGE
    printer.talk(f"{source.name}: {_lines(checked.count, 'line')}, all good")
    return Exit.SUCCEEDED


def _accepts(options: Options) -> Callable[[str], object] | None:
    """Give what knows which workflows can be executed; None where nothing does."""
    try:
        return settings_of(options).execute_url
    except ConfigurationError:  # a file can be checked anywhere
        return None


def _checked(
    source: BatchSource, accepts: Callable[[str], object] | None
) -> Checked | None:
    """Check the whole file and tell of each bad line; None where there is one.

    Raises:
        UsageError: It changed meanwhile.
    """

    def tell_of(bad: BadLine) -> None:
        tell(f"{source.name}:{bad.line}: {bad.reason}")

    checked = check_file(source, tell_of, accepts=accepts)
    if not checked.bad:
        return checked
    bad, good = _lines(checked.bad, "bad line"), _lines(checked.count, "good one")
    tell(f"{source.name}: {bad}, {good}: nothing was started")
    return None


def _journal_of(file: str) -> Path:
    if file != STDIN and not Path(file).is_fifo():
        return Path(f"{file}.journal")
    msg = f"{file} has no place for a journal beside it: give --journal"
    raise UsageError(msg)


def _lines(count: int, name: str) -> str:
    return f"{count:,} {name}" if count == 1 else f"{count:,} {name}s"
