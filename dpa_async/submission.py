"""Executing exactly once: intent, sent, and resolved by evidence where that was lost.

    intended ──► sent ──► answered: a run
                      ├─► refused, or never left: nothing ran
                      └─► uncertain ──► a callback with our nonce, confirmed: a run
                                    ├─► a person's verdict: a run, or none
                                    └─► reported: `SubmissionUncertainError`

The intent is journaled when it is the POST's turn to leave, and not before: a process
that dies leaves something to go on from, and no more in doubt than was out. The nonce
in the callback's URL is the idempotency key that the platform does not have: who calls
back with it tells that the execute was carried out.
"""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime
from typing import TypeAlias

from attrs import define, evolve, frozen

from dpa_async.checks import refuse
from dpa_async.client import DPAClient
from dpa_async.errors import APIError, DPAError, JournalError
from dpa_async.events import Announcer, Uncertain
from dpa_async.evidence import DidNotRun, Evidence, Tracked
from dpa_async.journal import Journal
from dpa_async.listing import Listing
from dpa_async.models import RunRef, Submission
from dpa_async.order import Order
from dpa_async.sync_window import SyncWindow, beginning
from dpa_async.verdicts import Verdict, uncertain_error, verdict
from dpa_async.waiting import ATTACHED, Beginning


@frozen
class Accepted:
    """An execute that certainly started a run.

    Attributes:
        ref: Which run.
        tracked: The submission that it comes of.
        at: When it was answered, or when it left; None where that is not known.
        beginning: What its answer tells of the run.
    """

    ref: RunRef
    tracked: Tracked
    at: datetime | None
    beginning: Beginning = ATTACHED


Submitted: TypeAlias = Accepted | APIError | Tracked
"""What came of an execute: a run, a refusal that may mean "busy", or a doubt."""


@define
class _Intent:
    """What is journaled of one execute before it leaves; nothing without a journal."""

    journal: Journal | None
    order: Order
    tracked: Tracked
    writing: "asyncio.Future[None] | None" = None

    async def write(self) -> None:
        """Write it, once; raises `JournalError`."""
        if self.journal is None or self.writing is not None:
            return
        # Behind a shield: who is cancelled has to know whether it was written.
        self.writing = asyncio.ensure_future(
            self.journal.intend(
                self.tracked.submission,
                self.order.params,
                wants_outputs=self.order.outputs,
            )
        )
        try:
            await asyncio.shield(self.writing)
        except DPAError:
            self.writing = None
            raise

    async def take_back(self) -> None:
        """Free the key of what certainly did not run; raises `JournalError`."""
        writing, self.writing = self.writing, None
        if self.journal is None or writing is None:
            return
        try:
            await writing
        except DPAError:
            return  # nothing was written: what is there is somebody else's
        await self.journal.withdraw(self.tracked.submission.key)


class Submitter:
    """Executes the submissions of one runner, each once.

    Args:
        client: The platform.
        evidence: Collects what callbacks tell.
        listing: Tells which workflows are busy.
        announce: Tells observers.
        journal: Where intents are written before anything leaves, or None.
        window: Decides for how long the answers to executes are held.
    """

    def __init__(
        self,
        client: DPAClient,
        evidence: Evidence,
        listing: Listing,
        announce: Announcer,
        journal: Journal | None,
        window: SyncWindow,
    ) -> None:
        self._client = client
        self._evidence = evidence
        self._listing = listing
        self._announce = announce
        self._journal = journal
        self.window = window

    async def submit(self, order: Order, *, hold: int | None = None) -> Submitted:
        """Execute once; gives a run, a refusal that may mean "busy", or a doubt.

        Args:
            order: What is wanted.
            hold: Seconds for which the platform holds its answer until the run ends.

        Raises:
            JournalError: The intent could not be written: nothing was started.
            DPAError: Nothing was started, for the reason that it gives; or the wrong
                workflow was, and `ref` names its run.
        """
        tracked = self._evidence.track(order.submission)
        intent = _Intent(self._journal, order, tracked)
        try:
            answer = await self._execute(intent, hold)
        except asyncio.CancelledError:
            tracked.close()
            if not order.departure.left:
                with suppress(JournalError):  # then it is in doubt later
                    await intent.take_back()
            raise
        if isinstance(answer, Accepted):
            return answer
        judged = verdict(answer, self._client.settings.dialect.busy_codes)
        if judged is Verdict.UNCERTAIN:
            await self._doubt(order, tracked, answer)
            return tracked
        tracked.close()
        try:
            await intent.take_back()
        except JournalError as error:
            answer.add_note(f"nor could its intent be taken back: {error}")
        if judged is Verdict.BUSY and isinstance(answer, APIError):
            return answer
        raise answer.about(submission=tracked.submission)

    async def resolved(self, order: Order, tracked: Tracked) -> Accepted | DidNotRun:
        """Wait for evidence as the order says; without any, report.

        Raises:
            SubmissionUncertainError: There is none.
            JournalError: The key of what may run again could not be freed.
        """
        # Where nobody waits any more, nobody wants it waited for, or sent again.
        policy = "report" if order.departure.abandoned else order.on_uncertain
        tracked.is_awaited = True
        try:
            if policy == "wait":
                found: RunRef | DidNotRun | None = await asyncio.shield(tracked.found)
            else:
                found = await self._evidence.wait(tracked)
        finally:
            tracked.is_awaited = False
        if isinstance(found, RunRef):
            self._evidence.is_resolved(tracked)
            order.progress.in_doubt = None
            return Accepted(found, tracked, tracked.submission.sent_at)
        if found is not None:
            order.progress.in_doubt = None
        elif policy == "rerun":  # who says so says that a second run does no harm
            await self._listing.until_idle(order.workflow_id)
            if self._journal is not None:
                await self._journal.withdraw(tracked.submission.key)
        else:
            seen = "; ".join(tracked.submission.seen)
            raise uncertain_error(tracked.submission, seen)
        self._evidence.is_resolved(tracked)
        tracked.close()
        return "it did not run"

    def taken_up(self, order: Order, submission: Submission) -> Tracked:
        """Give the doubt about a submission of which only the intent is known."""
        tracked = self._evidence.doubted(submission)
        tracked.see("a process ended before it knew the answer")
        order.progress.in_doubt = tracked.submission
        return tracked

    async def find(self, submission: Submission) -> RunRef | None:
        """Ask once more about a submission in doubt; its run, where that is known now.

        Raises nothing.
        """
        tracked = self._evidence.doubted(submission)
        found = await self._evidence.wait(tracked)
        if not isinstance(found, RunRef):
            return None
        self._evidence.is_resolved(tracked)
        tracked.close()
        return found

    async def did_not_run(self, submission: Submission) -> None:
        """Take a person's word that a submission in doubt started nothing.

        Raises:
            ConfigurationError: Its key was executed again since.
            JournalError: It could not be written down.
        """
        entry = None if self._journal is None else self._journal.find(submission.key)
        if entry is not None and entry.submission.sent_at != submission.sent_at:
            refuse("submission", "is of an earlier execute: look at what is there now")
        tracked = self._evidence.doubted(submission)
        if self._journal is not None and entry is not None:
            await self._journal.withdraw(submission.key)
        tracked.resolve("it did not run")
        tracked.close()
        self._evidence.is_resolved(tracked)

    def did_run(self, submission: Submission, ref: RunRef) -> None:
        """Take a person's word that a submission in doubt is this run."""
        tracked = self._evidence.doubted(submission)
        tracked.resolve(ref)
        self._evidence.is_resolved(tracked)
        if not tracked.is_awaited:
            tracked.close()

    async def _execute(self, intent: _Intent, hold: int | None) -> Accepted | DPAError:
        order, tracked = intent.order, intent.tracked
        order.departure.note = intent.write
        order.departure.take_back = intent.take_back
        order.departure.hold = hold or 0
        try:
            with self.window.place(hold):
                execution = await self._client.execute(
                    order.workflow_id,
                    order.params,
                    callback_url=tracked.callback_url,
                    sync_wait=hold,
                    departure=order.departure,
                )
        except DPAError as error:
            return error
        has_alarm = tracked.callback_url is not None
        began = beginning(execution, order.departure, has_alarm=has_alarm)
        return Accepted(execution.run, tracked, datetime.now(UTC), began)

    async def _doubt(self, order: Order, tracked: Tracked, problem: DPAError) -> None:
        """Write down that an answer was lost."""
        left_at = order.departure.left_at
        tracked.submission = evolve(tracked.submission, sent_at=left_at)
        tracked.see(str(problem))
        order.progress.in_doubt = tracked.submission
        order.departure.left = False  # no answer is awaited any more
        self._evidence.doubt(tracked)
        try:
            if self._journal is not None:
                await self._journal.uncertain(tracked.submission)
        finally:  # not before: who is told may settle it at once
            self._announce(Uncertain, tracked.submission)
