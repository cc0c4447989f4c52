"""What a worker does with a message: run its key, or go on with what there is of it.

what Redis has of the key                what is done
nothing                                  start; busy, or lost a race: later
intended, by a worker that lives         later: it is about to know; a doubt, if the
                                         deadline is over
intended, by one that does not           evidence, else SubmissionUncertainError
uncertain                                the same
started                                  attach to the run, and wait for its end
finished                                 the result that there is
"""

import asyncio
from collections import Counter
from datetime import UTC, datetime

from attrs import define, field

from dpa_async.errors import (
    APIError,
    DPAError,
    JournalError,
    RunFailedError,
    SubmissionUncertainError,
    WorkflowBusyError,
)
from dpa_async.integrations.outcome_text import Outcome
from dpa_async.integrations.taskiq.keys import Known, RedisJournal
from dpa_async.integrations.taskiq.steps import UnheardError
from dpa_async.journal import Entry, EntryState
from dpa_async.models import RunRef, RunRequest, RunResult, RunStatus, Submission
from dpa_async.open_runs import check_same
from dpa_async.run import Run
from dpa_async.runner import Runner
from dpa_async.verdicts import uncertain_error

_REFUSALS = 5
"""Refusals in a row, of a workflow that the list shows idle, that mean "busy" still: so
many may race each other. What is refused that often is refused for another reason."""

_PAUSE = 1.0
"""Seconds after which Redis is told again how a run ended."""


@define(eq=False)
class Errand:
    """One delivery of a request.

    Attributes:
        request: What is wanted; it has a key.
        until: The time, as seconds since 1970, at which it is wanted no more, or None.
        refusals: How often it was refused as busy, and the list did not say so.
        is_first: Whether no other delivery of its key is in this worker's hands.
    """

    request: RunRequest
    until: float | None = None
    refusals: int = 0
    is_first: bool = True

    @property
    def key(self) -> str:
        """The key of its request."""
        return self.request.key or ""

    @property
    def left(self) -> float | None:
        """Seconds until it is wanted no more."""
        if self.until is None:
            return None
        return max(0.0, self.until - datetime.now(UTC).timestamp())


class LaterError(Exception):
    """Nothing can be done now that would not wait for somebody else: come again."""


@define(eq=False)
class Worker:
    """Carries out errands, with one client and one runner for all of them.

    Attributes:
        runner: Runs them.
        journal: Knows their keys; the runner's own.
    """

    runner: Runner
    journal: RedisJournal
    _in_hand: Counter[str] = field(factory=Counter[str])

    async def outcome(self, errand: Errand) -> Outcome:
        """Carry out an errand; gives how it ended, or as a value why it did not.

        Raises:
            LaterError: It cannot be done now.
        """
        errand.is_first = not self._in_hand[errand.key]
        self._in_hand[errand.key] += 1
        try:
            run = await self._run(errand)
            return await self._ended(run, errand) if isinstance(run, Run) else run
        except DPAError as error:
            return error
        finally:
            self._in_hand[errand.key] -= 1
            if not self._in_hand[errand.key]:
                del self._in_hand[errand.key]
                self.journal.forget(errand.key)

    async def settle(self, submission: Submission, *, ran: RunRef | None) -> None:
        """Take a person's verdict on a key in doubt.

        Raises:
            DPAError: As `Runner.settle` raises it; `JournalError` too where the key
                is not there, or a worker is at it.
        """
        known = await self.journal.load(submission.key)
        if known is None or _is_being_sent(known):
            words = "is not there" if known is None else "is being sent by a worker"
            msg = f"key {submission.key!r} {words}: there is nothing to settle"
            raise JournalError(msg)
        await self.runner.settle(submission, ran=ran)

    async def _run(self, errand: Errand) -> Run | Outcome:
        known = await self.journal.load(errand.key)
        if known is None:
            return await self._start(errand)
        check_same(known.entry, self._meant(errand.request))
        if known.entry.ref is not None:
            return self._attached(known.entry)
        if not self._is_in_other_hands(known, errand):
            return await self._start(errand)
        if errand.left == 0:
            words = "the deadline came while another delivery of its key was being sent"
            return uncertain_error(known.entry.submission, words)
        raise LaterError

    async def _ended(self, run: Run, errand: Errand) -> RunResult:
        """Wait for a run's end, and until that is written down.

        Raises:
            DPAError: As `Run.result` raises it.
        """
        while True:
            try:
                return await run.result(timeout=errand.left)
            except UnheardError:
                # Without Redis nobody can be told of it, either.
                await asyncio.sleep(_PAUSE)

    async def _start(self, errand: Errand) -> Run | Outcome:
        request = errand.request
        try:
            return await self.runner.start(
                request.workflow_id,
                request.params,
                key=request.key,
                timeout=errand.left,
                # Not a slot of this worker waits for a workflow: its message does.
                if_busy="fail",
            )
        except WorkflowBusyError as error:
            problem: DPAError = error
            errand.refusals = 0
        except (APIError, JournalError, SubmissionUncertainError) as error:
            problem = error
        return await self._after(problem, errand)

    async def _after(self, problem: DPAError, errand: Errand) -> Run | Outcome:
        """See what a start that gave no run means, with others at the same keys.

        Raises:
            LaterError: It means to come again.
        """
        match problem:
            case WorkflowBusyError():
                raise LaterError
            case APIError() if self._may_be_busy(problem) and (
                errand.refusals < _REFUSALS
            ):
                errand.refusals += 1
                raise LaterError
            case JournalError(ref=RunRef() as ref):
                # It runs. What Redis did not hear it hears when it answers.
                return self.runner.attach(ref)
            case JournalError() | SubmissionUncertainError():
                return await self._looked_up(problem, errand)
            case _:
                return problem

    async def _looked_up(self, problem: DPAError, errand: Errand) -> Run | Outcome:
        """See what others have made of a key that this worker did not get.

        Raises:
            LaterError: They are at it; or its intent could not be written.
        """
        try:
            known = await self.journal.load(errand.key)
        except JournalError:
            return problem  # it may be a doubt, which has to be told
        if known is not None and known.entry.ref is not None:
            return self._attached(known.entry)
        is_theirs = known is not None and self._is_in_other_hands(known, errand)
        if is_theirs or isinstance(problem, JournalError):
            raise LaterError
        return problem

    def _is_in_other_hands(self, known: Known, errand: Errand) -> bool:
        """Tell whether somebody is about to know what becomes of a key.

        Of an intent that is this worker's own, and in no other delivery's hands, the
        runner knows what there is to know.
        """
        is_left_to_us = errand.is_first and self.journal.is_mine(known)
        return _is_being_sent(known) and not is_left_to_us

    def _may_be_busy(self, error: APIError) -> bool:
        dialect = self.runner.client.settings.dialect
        return error.operation == "execute" and error.code in dialect.busy_codes

    def _attached(self, entry: Entry) -> Run | Outcome:
        if entry.result is not None:
            return _as_outcome(entry.result)
        if entry.ref is None:
            raise LaterError
        run = self.runner.attach(entry.ref)
        run.belongs_to(entry.submission.key, entry.submitted_at)
        return run

    def _meant(self, request: RunRequest) -> Submission:
        origin = self.runner.client.settings.base_url
        digest = Submission.digest(request.params)
        return Submission(origin, request.key or "", request.workflow_id, digest)


def _is_being_sent(known: Known) -> bool:
    return known.owner_lives and known.entry.state is EntryState.INTENDED


def _as_outcome(result: RunResult) -> Outcome:
    if result.status is RunStatus.FAILED:
        return RunFailedError(result)
    return result
