"""Starting runs: from a place in the lane to the answer of the execute."""

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from typing import Literal, Protocol, TypeAlias

from attrs import evolve, field, frozen

from dpa_async.errors import (
    APIError,
    DPAError,
    NotStartedError,
    SubmissionError,
    SubmissionUncertainError,
    WorkflowBusyError,
)
from dpa_async.events import Queued, Uncertain
from dpa_async.lanes import Lanes
from dpa_async.listing import Listing
from dpa_async.models import Execution, Submission
from dpa_async.preflight import Preflight
from dpa_async.run import Run, Surroundings
from dpa_async.submission import Verdict, submit, uncertain_error, verdict
from dpa_async.transport import Departure

_STALE_LIST = 2.5
"""Seconds by which the platform's list may lag behind an execute."""

_FINISH_POSTS = 5.0
"""Seconds that closing waits for the answers of executes that are out there."""

IfBusy = Literal["queue", "fail"]

Start: TypeAlias = Run | DPAError
"""What came of an order: a run, or why there is none."""


class Place(Protocol):
    """A place among the runs that may go on at once."""

    async def take(self) -> None:
        """Wait for it, and for one's turn to execute."""
        ...

    def executed(self) -> None:
        """Let the next one execute: this one was answered."""
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
    if_busy: IfBusy = "queue"
    validate: bool = False
    outputs: bool = True
    place: Place | None = None
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


class Starter:
    """Carries out the orders of one runner, each in a task of its own.

    Args:
        here: What the runner's runs have in common.
        latest: Gives the latest run of a workflow that is known, if any.
        started: Makes a run of an execute's answer, before the lane is left.
    """

    def __init__(
        self,
        here: Surroundings,
        *,
        latest: Callable[[str], Run | None],
        started: Callable[[Order, Execution], Run],
    ) -> None:
        self._client = here.client
        self._owner = here.owner
        self._announce = here.announce
        self._latest = latest
        self._started = started
        self._lanes = Lanes()
        self._listing = Listing(here.client, here.watch.policy, here.owner)
        self._preflight = Preflight(here.client, here.owner)
        self._attempts: dict[asyncio.Task[Start], Order] = {}

    def begin(
        self, order: Order, timeout: float | None = None
    ) -> "asyncio.Future[Start]":
        """Carry out an order; gives a future of what comes of it.

        Cancelling the future gives the order up. A POST that is out then is finished
        all the same, but nothing is sent any more.

        Args:
            order: What is wanted.
            timeout: Seconds until it is given up; None: never.
        """
        loop = asyncio.get_running_loop()
        start: asyncio.Future[Start] = loop.create_future()
        if timeout == 0:
            reason = "the deadline came at once"
            start.set_result(order.given_up(reason, NotStartedError))
            return start
        attempt = self._owner.spawn(self._outcome(order))
        self._attempts[attempt] = order
        attempt.add_done_callback(partial(self._done, start))
        timer = None
        if timeout is not None:
            order.departure.deadline = loop.time() + timeout
            words = f"the deadline of {timeout:g} s came"
            timer = loop.call_later(timeout, self._expire, start, attempt, words)
        start.add_done_callback(partial(self._leave, attempt, timer))
        return start

    async def close(self) -> None:
        """Finish the POSTs that are out, and give up everything else; raises nothing.

        Those who wait are told.
        """
        out = {
            task for task, order in self._attempts.items() if order.departure.abandon()
        }
        await self._owner.close(spared=out, grace=_FINISH_POSTS)

    def _expire(
        self,
        start: "asyncio.Future[Start]",
        attempt: "asyncio.Task[Start]",
        reason: str,
    ) -> None:
        if attempt.done() or start.done():  # in this very moment
            return
        order = self._attempts[attempt]
        start.set_result(order.given_up(reason, NotStartedError))
        if not order.departure.abandon():
            attempt.cancel()

    def _done(
        self, start: "asyncio.Future[Start]", attempt: "asyncio.Task[Start]"
    ) -> None:
        order = self._attempts.pop(attempt)
        if attempt.cancelled():
            if not start.done():
                reason = "the runner was closed"
                start.set_result(order.given_up(reason, SubmissionError))
        elif (bug := attempt.exception()) is not None:
            if not start.done():
                start.set_exception(bug)
        elif not start.done():
            start.set_result(attempt.result())

    def _leave(
        self,
        attempt: "asyncio.Task[Start]",
        timer: asyncio.TimerHandle | None,
        start: "asyncio.Future[Start]",
    ) -> None:
        if timer is not None:
            timer.cancel()
        order = self._attempts.get(attempt)
        if start.cancelled() and order is not None and not order.departure.abandon():
            attempt.cancel()

    async def _outcome(self, order: Order) -> Start:
        try:
            return await self._carry_out(order)
        except DPAError as error:  # as a value: maybe nobody is left to fetch it
            return error.about(submission=order.submission)
        except asyncio.CancelledError:
            if order.departure.left:  # maybe nobody else is left to be told
                sent_at = order.departure.left_at
                self._announce(Uncertain, evolve(order.submission, sent_at=sent_at))
            raise

    async def _carry_out(self, order: Order) -> Run:
        """Wait for the lane, execute once, and give the run.

        Raises:
            WorkflowBusyError: It is busy, and the order says to fail then.
            SubmissionUncertainError: The POST left and its fate is not known.
            DPAError: Nothing was started; or the wrong workflow was, see `ref`.
        """
        if order.validate:
            await self._preflight.check(order.workflow_id, order.params)
        if order.if_busy == "fail" and self._lanes.taken(order.workflow_id):
            raise _busy(order, "it is being started by another call")
        self._announce(Queued, order.submission.key, order.workflow_id)
        async with self._lanes.turn(order.workflow_id):
            await self._after_latest(order)
            return self._started(order, await self._submit_when_free(order))

    async def _after_latest(self, order: Order) -> None:
        """Let the workflow's latest run end first, as far as that can be told."""
        latest = self._latest(order.workflow_id)
        if latest is None or latest.ended:
            return
        if order.if_busy == "fail":
            if not (await latest.status()).ended:
                raise _busy(order, f"it runs as {latest.ref}")
            return
        # Where it is not known whether it is over, the platform refuses if it is not.
        await latest.end()

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
            if await self._listing.is_busy(workflow_id):
                raise _busy(order, "somebody else runs it")
            return False
        if await self._listing.until_idle(workflow_id):
            return True
        if not settle:
            return False
        await asyncio.sleep(_STALE_LIST)
        return await self._listing.until_idle(workflow_id)

    async def _submit(self, order: Order) -> Execution | APIError:
        """Execute once; a refusal that may mean "busy" is given, all else raised."""
        if order.place is not None:
            await order.place.take()
        try:
            return await submit(
                self._client, order.submission, order.params, order.departure
            )
        except SubmissionUncertainError as error:
            self._announce(Uncertain, error.submission)
            raise
        except APIError as error:
            codes = self._client.settings.dialect.busy_codes
            if verdict(error, codes) is not Verdict.BUSY:
                raise
            return error
        finally:
            if order.place is not None:
                order.place.executed()


def _busy(order: Order, words: str) -> WorkflowBusyError:
    return WorkflowBusyError(order.submission, f"{words}; nothing was started")
