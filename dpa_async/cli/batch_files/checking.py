"""A batch file is read twice: to see that all of it can be right, and to run it."""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import TypeAlias

from attrs import evolve, frozen

from dpa_async.cli.batch_files.keys import Keys, Repeats
from dpa_async.cli.batch_files.records import BadLine, Record, Records
from dpa_async.cli.batch_files.sources import BatchSource
from dpa_async.cli.working import UsageError
from dpa_async.errors import ConfigurationError
from dpa_async.models import RunRequest

_SORTED = 10_000
"""So many lines with another's key are told in order; more come as they are found."""

_LOOK = 16
"""After so many records it is looked whether the file has changed."""

Accepts: TypeAlias = Callable[[str], object]
"""Raises `ConfigurationError` for a workflow that cannot be executed."""


@frozen
class Checked:
    """What is known of a batch file that was read to its end.

    Attributes:
        count: How many lines of it can be right.
        bad: How many cannot.
        repeats: Which lines without a key ask for the same as another.
    """

    count: int
    bad: int
    repeats: Repeats


def check(
    source: BatchSource,
    tell: Callable[[BadLine], None],
    *,
    accepts: Accepts | None = None,
) -> Checked:
    """Read a batch file to its end and tell of each line that cannot be right.

    Memory does not grow with the file, but for 4 bytes for each line where lines
    without a key repeat others.

    Args:
        source: The file.
        tell: Called with each bad line: in their order, and then those with a key that
            another line has.
        accepts: What raises for a workflow that cannot be executed.

    Raises:
        UsageError: It changed while it was read.
        OSError: It cannot be read, or there is no room for temporary files.
    """
    good, bad, repeats = 0, 0, Repeats()
    with Keys() as keys:
        for record in _judged(source.records(), accepts):
            if isinstance(record, BadLine):
                bad += 1
                tell(record)
            else:
                good += 1
                keys.add(record)
        for line in _in_order(keys.look_through(repeats)):
            good, bad = good - 1, bad + 1
            tell(line)
    if source.has_changed:
        msg = f"{source.name} changed while it was checked: check it again"
        raise UsageError(msg)
    return Checked(good, bad, repeats)


def requests(
    source: BatchSource, checked: Checked, *, timeout: float | None = None
) -> Iterator[RunRequest]:
    """Read a file that was checked once more, for what it asks for.

    Args:
        source: The file.
        checked: What the check found: no bad line.
        timeout: Seconds for those that do not say.

    Raises:
        UsageError: It has changed since it was checked.
        OSError: It cannot be read.
    """
    index = -1
    for index, record in enumerate(source.records()):
        changed = index >= checked.count or isinstance(record, BadLine)
        if changed or (index % _LOOK == 0 and source.has_changed):
            raise _changed(source)
        assert isinstance(record, Record)  # noqa: S101 - it has not changed
        asked = record.request
        yield evolve(
            asked,
            key=checked.repeats.key(index, record),
            timeout=timeout if asked.timeout is None else asked.timeout,
        )
    if index + 1 != checked.count or source.has_changed:
        raise _changed(source)


def _changed(source: BatchSource) -> UsageError:
    return UsageError(
        f"{source.name} changed after it was checked, and is not read any further: "
        "the same command again checks it and goes on"
    )


def _judged(records: Records, accepts: Accepts | None) -> Records:
    """Add to what is wrong whether the workflows can be executed."""
    if accepts is None:
        yield from records
        return
    known: dict[str, str] = {}  # by workflow: there are few, and many lines
    for record in records:
        if isinstance(record, BadLine):
            yield record
            continue
        workflow_id = record.request.workflow_id
        if workflow_id not in known:
            if len(known) >= _SORTED:
                known.clear()
            known[workflow_id] = _refusal(accepts, workflow_id)
        wrong = known[workflow_id]
        yield BadLine(record.line, wrong) if wrong else record


def _refusal(accepts: Accepts, workflow_id: str) -> str:
    try:
        _ = accepts(workflow_id)
    except ConfigurationError as error:
        return str(error)
    return ""


def _in_order(lines: Iterator[BadLine]) -> Iterator[BadLine]:
    """Sort them, as far as memory does not grow with them."""
    yield from sorted(islice(lines, _SORTED), key=lambda line: line.line)
    yield from lines
