"""The command `doctor`: what is well, and what to do about what is not."""

from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing

import attrs

from dpa_async.cli.deployment import file_of, settings_of, sources_of
from dpa_async.cli.diagnosis import Finding, diagnose
from dpa_async.cli.exits import Exit
from dpa_async.cli.options import NO_OPTIONS, Options
from dpa_async.cli.printing import Printer
from dpa_async.cli.working import work
from dpa_async.errors import ConfigurationError
from dpa_async.settings import Settings

_MARKS = {True: "ok", False: "!!", None: "--"}


def doctor(*, options: Options = NO_OPTIONS) -> int:
    """Check settings, connection, clock and token, and say what to do.

    A line for each check: ok, !! with what to do, or -- where it cannot be known.
    It starts nothing. The exit code is 0 where nothing is to be done, else 5.

    $ dpa doctor
    $ dpa doctor --profile prod
    $ dpa doctor -o json | jq '.[] | select(.ok == false)'

    Args:
        options: Of every command.
    """

    async def task(printer: Printer) -> int:
        findings: list[Finding] = []
        async with aclosing(_examine(options)) as examination:
            async for finding in examination:
                findings.append(finding)
                _print(printer, finding)
        if printer.format == "json":
            printer.rows(map(attrs.asdict, findings), ())
        wrong = sum(finding.ok is False for finding in findings)
        printer.talk(f"{wrong} to mend" if wrong else "all is well")
        return Exit.CONFIGURATION if wrong else Exit.SUCCEEDED

    return work(options, task)


def _print(printer: Printer, finding: Finding) -> None:
    if printer.format == "table":
        mark = _MARKS[finding.ok]
        printer.text(f"{mark}  {finding.check:14} {finding.says}")
    elif printer.format == "jsonl":
        printer.line(attrs.asdict(finding))


async def _examine(options: Options) -> AsyncGenerator[Finding]:
    try:
        sources = sources_of(options)
        settings = settings_of(options)
    except ConfigurationError as error:
        yield Finding("settings", False, str(error))
        return
    for finding in _found(settings, sources):
        yield finding
    if file_of(options) is None:
        yield Finding("config", None, "there is no settings file; dpa config init")
    async for finding in diagnose(settings):
        yield finding


def _found(settings: Settings, sources: dict[str, str]) -> Iterator[Finding]:
    """Say what is set and from where; secrets only that they are there."""
    for field in attrs.fields(Settings):
        if field.name not in sources:
            continue
        value = getattr(settings, field.name)
        if callable(field.repr):
            value = field.repr(value)
        shown = value if field.repr else "is set, and not shown"
        yield Finding(field.name, True, f"{shown} (from {sources[field.name]})")
