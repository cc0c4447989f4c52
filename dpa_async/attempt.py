"""One start of a run: from the head of its lane to the answer of its execute."""

import asyncio
from collections.abc import Callable

from attrs import evolve, frozen

from dpa_async.errors import (
    APIError,
    DPAError,
    NotStartedError,
    SubmissionUncertainError,
    WorkflowBusyError,
)
from dpa_async.events import Announcer, Uncertain
from dpa_async.evidence import Tracked
from dpa_async.listing import Listing
from dpa_async.open_runs import OpenRuns
from dpa_async.order import Order, Start
from dpa_async.preflight import Preflight
from dpa_async.run import Run
from dpa_async.submission import Accepted, Submitted, Submitter
from dpa_async.verdicts import uncertain_error
from dpa_async.waiting import STALE


@frozen(kw_only=True)
class Attempt:
    """Carries out one order whose turn it is; a task, until the execute is answered.

    Attributes:
        order: What is wanted.
        runs: Knows the runs that there are.
        submitter: Executes once.
        listing: Tells which workflows are busy.
        preflight: Knows which parameters workflows take.
        announce: Tells observers.
        step_aside: Called before this waits for anything but the execute's answer.
    """

    order: Order
    runs: OpenRuns
    submitter: Submitter
    listing: Listing
    preflight: Preflight
    announce: Announcer
    step_aside: Callable[[], None]

    async def outcome(self) -> Start:
        """Execute once; gives the run, or as a value why there is none."""
        order = self.order
        try:
            return await self._carry_out(order)
        except DPAError as error:  # as a value: maybe nobody is left to fetch it
            return self._with_doubt(error.about(submission=order.submission))
        except asyncio.CancelledError:
            if order.departure.left:  # maybe nobody else is left to be told
                sent_at = order.departure.left_at
                self.announce(Uncertain, evolve(order.submission, sent_at=sent_at))
            raise

    def _with_doubt(self, error: DPAError) -> DPAError:
        """See that no later trouble hides that a lost execute may have run."""
        doubt = self.order.progress.in_doubt
        is_told = isinstance(error, SubmissionUncertainError)
        if doubt is None or is_told or self.order.progress.run is not None:
            return error
        return uncertain_error(doubt, f"{'; '.join(doubt.seen)}; and then: {error}")

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
        latest = self.runs.latest(order.workflow_id)
        if latest is not None and order.if_busy == "fail":
            status = await latest.status()
            if not status.ended:
                raise busy(order, f"it runs as {latest.ref}")
        answer = await self._accepted(order)
        return answer if isinstance(answer, Run) else await self._started(answer)

    async def _started(self, accepted: Accepted) -> Run:
        """Make the run known; then see that it stays so.

        Raises:
            JournalError: It runs, but that could not be written down.
        """
        run = self.order.progress.run = self.runs.start(self.order, accepted)
        await run.journal_start()
        return run

    async def _accepted(self, order: Order) -> Accepted | Run:
        """Execute; or give the run that there is already, where the key is journaled.

        Raises:
            DPAError: As `_carry_out` says.
        """
        entry = self.runs.journaled(order)
        if entry is None:
            return await self._submit_when_free(order)
        run = self.runs.of_entry(entry)
        if run is not None:
            return run
        answer = await self._resolved(self.submitter.taken_up(order, entry.submission))
        return answer or await self._submit_when_free(order)

    async def _submit_when_free(self, order: Order) -> Accepted:
        """Execute; where the platform says busy, wait until it is not, and again.

        A busy refusal of a workflow that the list shows idle can be a race, once; twice
        in a row it means something else.
        """
        refused_while_idle = False
        while True:
            answer: Accepted | APIError | None
            match await self._submit(order):
                case Tracked() as tracked:
                    answer = await self._resolved(tracked)
                case answer:
                    pass
            if isinstance(answer, Accepted):
                return answer
            if order.place is not None:
                order.place.give_back()  # what waits for its lane holds none
            self.step_aside()
            if order.departure.abandoned:
                raise _refusal(order, answer)
            if answer is not None:
                seen_busy = await self._wait_out(order, settle=not refused_while_idle)
                if refused_while_idle and not seen_busy:
                    raise answer
                refused_while_idle = not seen_busy

    async def _resolved(self, tracked: Tracked) -> Accepted | None:
        """Wait for evidence; None where there is none that forbids to execute again.

        Raises:
            SubmissionUncertainError: There is none, and the order says to report that.
        """
        self.step_aside()
        answer = await self.submitter.resolved(self.order, tracked)
        return answer if isinstance(answer, Accepted) else None

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
        await asyncio.sleep(STALE)
        return await self.listing.until_idle(workflow_id)

    async def _submit(self, order: Order) -> Submitted:
        if order.place is not None:
            if not order.place.is_free:
                self.step_aside()
            await order.place.take()
        hold = self.submitter.window.hold(order.workflow_id, order.departure)
        if hold is not None:
            self.step_aside()
        return await self.submitter.submit(order, hold=hold)


def _refusal(order: Order, answer: APIError | None) -> DPAError:
    if answer is not None:
        return answer
    words = "it was given up; nothing was started"
    return NotStartedError(order.submission, words)


def busy(order: Order, words: str) -> WorkflowBusyError:
    """Say that the workflow of an order is running."""
    return WorkflowBusyError(order.submission, f"{words}; nothing was started")
