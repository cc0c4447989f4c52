"""One start of a run: from its place in the lane to the answer of its execute."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Literal, Protocol

from attrs import evolve, field, frozen

from dpa_async.client import DPAClient
from dpa_async.errors import (
    APIError,
    DPAError,
    SubmissionUncertainError,
    WorkflowBusyError,
)
from dpa_async.events import Announcer, Queued, Uncertain
from dpa_async.lanes import Lanes, is_busy, until_idle
from dpa_async.models import Execution, Submission
from dpa_async.preflight import check_params
from dpa_async.run import Run
from dpa_async.submission import Verdict, submit, verdict
from dpa_async.transport import Departure
from dpa_async.waiting import WaitPolicy

_STALE_LIST = 2.5
"""Seconds by which the platform's list may lag behind an execute."""

IfBusy = Literal["queue", "fail"]


class Place(Protocol):
    """A place among the runs that may go on at once."""

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
        departure: Whether the POST is out there.
    """

    submission: Submission
    params: Mapping[str, object] | None
    if_busy: IfBusy
    validate: bool
    outputs: bool
    place: Place | None
    departure: Departure = field(factory=Departure)

    @property
    def workflow_id(self) -> str:
        """The workflow that is to run."""
        return self.submission.workflow_id


@frozen(kw_only=True)
class Attempt:
    """Carries out one order; what it shares with others comes from the runner.

    Attributes:
        order: What is wanted.
        client: The platform.
        policy: How often to ask whether a busy workflow is free.
        lanes: Who starts when.
        announce: Tells observers.
        latest: Gives the latest run of a workflow that is known, if any.
        started: Makes a run of an execute's answer, before the lane is left.
    """

    order: Order
    client: DPAClient
    policy: WaitPolicy
    lanes: Lanes
    announce: Announcer
    latest: Callable[[str], Run | None]
    started: Callable[[Order, Execution], Run]

    async def carry_out(self) -> Run:
        """Wait for the lane, execute once, and give the run.

        Raises:
            WorkflowBusyError: It is busy, and the order says to fail then.
            SubmissionUncertainError: The POST left and its fate is not known.
            DPAError: Nothing was started; or the wrong workflow was, see `ref`.
        """
        try:
            return await self._carry_out(self.order)
        except DPAError as error:
            error.about(submission=self.order.submission)
            raise
        except asyncio.CancelledError:
            departure = self.order.departure
            if departure.left:  # maybe nobody else is left to be told
                lost = evolve(self.order.submission, sent_at=departure.left_at)
                self.announce(Uncertain, lost)
            raise

    async def _carry_out(self, order: Order) -> Run:
        if order.validate:
            await check_params(self.client, order.workflow_id, order.params)
        if order.if_busy == "fail" and self.lanes.taken(order.workflow_id):
            raise self._busy("it is being started by another call")
        self.announce(Queued, order.submission.key, order.workflow_id)
        async with self.lanes.turn(order.workflow_id):
            await self._after_latest()
            return self.started(order, await self._submit_when_free())

    async def _after_latest(self) -> None:
        """Let the workflow's latest run end first, as far as that can be told."""
        latest = self.latest(self.order.workflow_id)
        if latest is None or latest.ended:
            return
        if self.order.if_busy == "fail":
            if not (await latest.status()).ended:
                raise self._busy(f"it runs as {latest.ref}")
            return
        try:
            await latest.until_ended()
        except DPAError:
            # Whether it is over is not known; the platform refuses if it is not.
            return

    async def _submit_when_free(self) -> Execution:
        """Execute; where the platform says busy, wait until it is not, and again.

        A busy refusal of a workflow that the list shows idle can be a race, once; twice
        in a row it means something else.
        """
        refused_while_idle = False
        while True:
            refusal = await self._submit()
            if isinstance(refusal, Execution):
                return refusal
            if self.order.place is not None:
                self.order.place.give_back()  # what waits for its lane holds none
            if self.order.departure.abandoned:
                raise refusal
            seen_busy = await self._wait_out(settle=not refused_while_idle)
            if refused_while_idle and not seen_busy:
                raise refusal
            refused_while_idle = not seen_busy

    async def _wait_out(self, *, settle: bool) -> bool:
        """Wait until the list shows the workflow idle; tells if it was ever busy.

        Args:
            settle: Whether to give a list that shows it idle the time to catch up.

        Raises:
            WorkflowBusyError: It is busy, and the order says to fail then.
        """
        workflow_id = self.order.workflow_id
        if self.order.if_busy == "fail":
            if await is_busy(self.client, workflow_id):
                raise self._busy("somebody else runs it")
            return False
        if await until_idle(self.client, workflow_id, self.policy):
            return True
        if not settle:
            return False
        await asyncio.sleep(_STALE_LIST)
        return await until_idle(self.client, workflow_id, self.policy)

    async def _submit(self) -> Execution | APIError:
        """Execute once; a refusal that may mean "busy" is given, all else raised."""
        order = self.order
        if order.place is not None:
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

    def _busy(self, words: str) -> WorkflowBusyError:
        return WorkflowBusyError(self.order.submission, f"{words}; nothing was started")
