"""An order: what somebody wants started, and how far it has come."""

import copy
from collections.abc import Mapping
from contextvars import Context, copy_context
from typing import Literal, Protocol, TypeAlias

from attrs import define, evolve, field, frozen

from dpa_async.errors import DPAError, SubmissionError
from dpa_async.models import Submission
from dpa_async.run import Run
from dpa_async.transport import Departure
from dpa_async.verdicts import uncertain_error

IfBusy = Literal["queue", "fail"]
OnUncertain = Literal["report", "wait", "rerun"]

_CONSTANTS = frozenset({str, int, float, bool, type(None)})

Start: TypeAlias = Run | DPAError
"""What came of an order: a run, or why there is none."""


class Place(Protocol):
    """A place among the runs that may go on at once."""

    @property
    def is_free(self) -> bool:
        """Whether taking it takes no time."""
        ...

    async def take(self) -> None:
        """Wait for it."""
        ...

    def give_back(self) -> None:
        """Leave it, where it was taken."""
        ...


@define
class Progress:
    """How far an order has come, for whoever gives it up.

    Attributes:
        in_doubt: The submission whose answer was lost, while there is no proof.
        run: The run, once there is one, though it may not be journaled yet.
    """

    in_doubt: Submission | None = None
    run: Run | None = None


@frozen(kw_only=True)
class Order:
    """What somebody wants started, and how.

    Attributes:
        submission: Which workflow, under which key.
        params: Its parameters.
        if_busy: Whether a busy workflow is waited for or raises.
        validate: Whether the parameters' names are checked first.
        outputs: Whether its outputs are wanted at the end.
        place: A place among those that may run at once, taken before the POST.
        source: Whose order it is; those of several sources take turns.
        on_uncertain: Whether a lost answer is reported, waited for, or does no harm.
        retry_failed: Whether a run that is journaled as failed is run again.
        departure: Whether the POST is out there.
        progress: How far it has come.
        context: The context variables that it and its run see, from whoever wants it.
    """

    submission: Submission
    params: Mapping[str, object] | None
    if_busy: IfBusy = "queue"
    validate: bool = False
    outputs: bool = True
    place: Place | None = None
    source: object = None
    on_uncertain: OnUncertain = "report"
    retry_failed: bool = False
    departure: Departure = field(factory=Departure)
    progress: Progress = field(factory=Progress)
    context: Context = field(factory=copy_context)

    @property
    def workflow_id(self) -> str:
        """The workflow that is to run."""
        return self.submission.workflow_id

    def given_up(self, reason: str, kind: type[SubmissionError]) -> Start:
        """Say what became of it when it is given up: its POST may be out there."""
        if self.progress.run is not None:
            return self.progress.run
        if self.progress.in_doubt is not None:
            seen = self.progress.in_doubt
            return uncertain_error(seen, f"{reason}; {'; '.join(seen.seen)}")
        if self.departure.left:
            sent_at = self.departure.left_at
            sent = evolve(self.submission, sent_at=sent_at, seen=(reason,))
            return uncertain_error(sent, f"{reason} while the answer was awaited")
        return kind(self.submission, f"{reason}; nothing was started")


def copied(params: Mapping[str, object]) -> dict[str, object]:
    """Copy parameters; most are flat, and to look at them costs a tenth of deepcopy."""
    flat = dict(params)
    if _CONSTANTS.issuperset(map(type, flat.values())):
        return flat
    return copy.deepcopy(flat)
