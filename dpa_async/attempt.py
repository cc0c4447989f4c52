"""One start of a run: from the head of its lane to the answer of its execute."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Literal, Protocol, TypeAlias

from attrs import evolve, field, frozen

from dpa_async.client import DPAClient
from dpa_async.errors import (
    APIError,
    DPAError,
    SubmissionError,
    SubmissionUncertainError,
    WorkflowBusyError,
)
from dpa_async.events import Announcer, Uncertain
from dpa_async.listing import Listing
from dpa_async.models import Execution, Submission
from dpa_async.preflight import Preflight
from dpa_async.run import Run
from dpa_async.submission import Verdict, submit, uncertain_error, verdict
from dpa_async.transport import Departure

_STALE_LIST = 2.5
"""Seconds by which the platform's list may lag behind an execute."""

IfBusy = Literal["queue", "fail"]

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
        departure: Whether the POST is out there.
    """

    submission: Submission
    params: Mapping[str, object] | None
    if_busy: IfBusy = "queue"
    validate: bool = False
    outputs: bool = True
    place: Place | None = None
    source: object = None
    departure: Departure = field(factory=Departure)

    @property
    def workflow_id(self) -> str:
        """The workflow that is to run."""
        return self.submission.workflow_id

    def given_up(self, reason: str, kind: type[SubmissionError]) -> SubmissionError:
        """Say what became of it when it is given up: its POST may be out there."""
        if self.departure.left:
            sent_at = self.departure.left_at
            sent = evolve(self.submission, sent_at=sent_at, seen=(reason,))
            return uncertain_error(sent, f"{reason} while the answer was awaited")
        return kind(self.submission, f"{reason}; nothing was started")


@frozen(kw_only=True)
class Attempt:
    """Carries out one order whose turn it is; a task, until the execute is answered.

    Attributes:
        order: What is wanted.
        client: The platform.
        listing: Tells which workflows are busy.
        preflight: Knows which parameters workflows take.
        announce: Tells observers.
        latest: The workflow's latest run that is known, if any.
        started: Makes a run of an execute's answer.
        step_aside: Called before this waits for anything but the execute's answer.
    """

    order: Order
    client: DPAClient
    listing: Listing
    preflight: Preflight
    announce: Announcer
    latest: Run | None
    started: Callable[[Order, Execution], Run]
    step_aside: Callable[[], None]

    async def outcome(self) -> Start:
        """Execute once; gives the run, or as a value why there is none."""
        order = self.order
        try:
            return await self._carry_out(order)
        except DPAError as error:  # as a value: maybe nobody is left to fetch it
            return error.about(submission=order.submission)
        except asyncio.CancelledError:
            if order.departure.left:  # maybe nobody else is left to be told
                sent_at = order.departure.left_at
                self.announce(Uncertain, evolve(order.submission, sent_at=sent_at))
            raise

    async def _carry_out(self, order: Order) -> Run:
        """Execute once, and give the run.

        Raises:
            WorkflowBusyError: It is busy, and the order says to fail then.
            SubmissionUncertainError: The POST left and its fate is not known.
            DPAError: Nothing was started; or the wrong workflow was, see `ref`.
        """
        if order.validate:
            self.step_aside()
            await self.preflight.check(order.workflow_id, order.params)
        latest = self.latest
        if latest is not None and order.if_busy == "fail":
            status = await latest.status()
            if not status.ended:
                raise busy(order, f"it runs as {latest.ref}")
        return self.started(order, await self._submit_when_free(order))

    async def _submit_when_free(self, order: Order) -> Execution:
        """Execute; where the platform says busy, wait until it is not, and again.

        A busy refusal of a workflow that the list shows idle can be a race, once; twice
        in a row it means something else.
        """
        refused_while_idle = False
        while True:
            refusal = await self._submit(order)
            if isinstance(refusal, Execution):
                return refusal
            if order.place is not None:
                order.place.give_back()  # what waits for its lane holds none
            self.step_aside()
            if order.departure.abandoned:
                raise refusal
            seen_busy = await self._wait_out(order, settle=not refused_while_idle)
            if refused_while_idle and not seen_busy:
                raise refusal
            refused_while_idle = not seen_busy

    async def _wait_out(self, order: Order, *, settle: bool) -> bool:
        """Wait until the list shows the workflow idle; tells if it was ever busy.

        Args:
            order: What is to be started then.
            settle: Whether to give a list that shows it idle the time to catch up.

        Raises:
            WorkflowBusyError: It is busy, and the order says to fail then.
        """
        workflow_id = order.workflow_id
        if order.if_busy == "fail":
            if await self.listing.is_busy(workflow_id):
                raise busy(order, "somebody else runs it")
            return False
        if await self.listing.until_idle(workflow_id):
            return True
        if not settle:
            return False
        await asyncio.sleep(_STALE_LIST)
        return await self.listing.until_idle(workflow_id)

    async def _submit(self, order: Order) -> Execution | APIError:
        """Execute once; a refusal that may mean "busy" is given, all else raised."""
        if order.place is not None:
            if not order.place.is_free:
                self.step_aside()
            await order.place.take()
        try:
            return await submit(
                self.client, order.submission, order.params, order.departure
            )
        except SubmissionUncertainError as error:
            self.announce(Uncertain, error.submission)
            raise
        except APIError as error:
            codes = self.client.settings.dialect.busy_codes
            if verdict(error, codes) is not Verdict.BUSY:
                raise
            return error


def busy(order: Order, words: str) -> WorkflowBusyError:
    """Say that the workflow of an order is running."""
    return WorkflowBusyError(order.submission, f"{words}; nothing was started")
