"""The runs of a report in their order, with the numbers that pictures need."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from attrs import field, frozen

from dpa_async.report.runs import ReportedRun, RunState

_LANES = 60
_TROUBLE = frozenset({RunState.FAILED, RunState.UNCERTAIN, RunState.RUNNING})


@frozen
class Line:
    """A run and its place in the report; times are seconds since 1970.

    Attributes:
        number: Which one it is, from 0.
        run: The run.
        begin: When it began, or None where no time of it is known.
        end: When it ended, or was last heard of.
    """

    number: int
    run: ReportedRun
    begin: float | None
    end: float | None

    @property
    def took(self) -> float | None:
        """Seconds from its start to the look that saw its end, where both are known."""
        if self.run.submitted_at is None or self.run.ended_at is None:
            return None
        return max((self.run.ended_at - self.run.submitted_at).total_seconds(), 0.0)


@frozen
class Group:
    """The runs that share a lane: a workflow's, or those of all the lesser ones.

    Attributes:
        name: The workflow's id; None for the rest.
        lines: Its runs, in order.
        workflows: How many workflows these are of.
    """

    name: str | None
    lines: Sequence[Line]
    workflows: int = 1

    def count(self, state: RunState) -> int:
        """Count its runs in one state."""
        return sum(line.run.state is state for line in self.lines)

    @property
    def durations(self) -> list[float]:
        """How long its runs took, sorted."""
        return sorted(t for line in self.lines if (t := line.took) is not None)


@frozen
class Contents:
    """All that a report is made of.

    Attributes:
        lines: Every run, by its start; those without one come last.
        groups: The same, a lane each, by workflow.
        until: When something of them was last heard of; None without any time.
    """

    lines: Sequence[Line]
    groups: Sequence[Group]
    until: float | None = field(default=None)

    def of(self, state: RunState) -> list[Line]:
        """Give the runs in one state."""
        return [line for line in self.lines if line.run.state is state]


def contents_of(runs: Iterable[ReportedRun]) -> Contents:
    """Put runs in order and in groups."""
    all_runs = list(runs)
    until = max((t for run in all_runs for t in _times(run)), default=None)
    spans = [(_span(run, until), run) for run in all_runs]
    spans.sort(key=lambda pair: (pair[0] is None, pair[0] or (0.0, 0.0)))
    lines = [
        Line(number, run, *(span or (None, None)))
        for number, (span, run) in enumerate(spans)
    ]
    return Contents(lines, _groups(lines), until)


def _times(run: ReportedRun) -> list[float]:
    known = (run.sent_at, run.submitted_at, run.ended_at)
    return [at.timestamp() for at in known if at is not None]


def _span(run: ReportedRun, until: float | None) -> tuple[float, float] | None:
    begin = _seconds(run.submitted_at or run.sent_at or run.ended_at)
    if begin is None:
        return None
    goes_on = run.state is RunState.RUNNING and run.ended_at is None
    end = until if goes_on else _seconds(run.ended_at)
    return begin, max(begin, begin if end is None else end)


def _seconds(at: datetime | None) -> float | None:
    return None if at is None else at.timestamp()


def _groups(lines: Sequence[Line]) -> list[Group]:
    """Give the workflows that matter most a lane each, and one to all the others."""
    by_workflow: dict[str, list[Line]] = {}
    for line in lines:
        by_workflow.setdefault(line.run.workflow_id, []).append(line)
    groups = [Group(name, of_it) for name, of_it in by_workflow.items()]
    if len(groups) > _LANES:
        groups.sort(key=_weight, reverse=True)
    chosen = sorted(groups[:_LANES], key=lambda group: group.name or "")
    rest = groups[_LANES:]
    if rest:
        together = [line for group in rest for line in group.lines]
        together.sort(key=lambda line: line.number)
        chosen.append(Group(None, together, len(rest)))
    return chosen


def _weight(group: Group) -> tuple[int, int]:
    trouble = sum(line.run.state in _TROUBLE for line in group.lines)
    return trouble, len(group.lines)
