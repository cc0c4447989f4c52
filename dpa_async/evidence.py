"""What becomes of an execute whose answer is lost: evidence, never hope.

A callback that comes with the nonce of a submission proves that its execute was carried
out, and brings the run's id. It is believed only where the status interface knows that
run, of this workflow, and where the run is no other submission's. That the list shows
the workflow busy is a hint, and no proof: anybody can have executed it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime
from typing import Any, Literal, TypeAlias

from attrs import define, evolve, field

from dpa_async.callbacks import Callback, CallbackReceiver, Expectation
from dpa_async.client import DPAClient
from dpa_async.errors import APIError, DPAError, JournalError
from dpa_async.listing import Listing
from dpa_async.models import RunRef, Submission
from dpa_async.sharing import Owner
from dpa_async.waiting import WaitPolicy, next_interval, schedule

_SETTLE = 10.0
"""Seconds that a callback may lag behind the list's word that the run is over."""

_CLAIMS = 16
"""Callbacks of one submission that are kept to be looked into."""

_REMEMBERED = 10_000
"""Submissions that were in doubt whose runs are known; the newest."""

DidNotRun: TypeAlias = Literal["it did not run"]

_Name: TypeAlias = tuple[str, str, datetime | None]


def _name(submission: Submission) -> _Name:
    """Tell executes apart: a key may have had several, one after the other."""
    return submission.workflow_id, submission.key, submission.sent_at


@define(eq=False)
class Tracked:
    """A submission, and what callbacks tell of it.

    Attributes:
        submission: What was meant, with what was seen of it.
        expectation: Where the platform calls back; None without callbacks.
        found: The run that it became, once that is known by other means than the
            answer; or a person's word that there is none.
        claims: What callbacks said that was not looked into yet.
        wake: Has the run looked at, once there is one.
        confirming: The task that looks into claims.
        is_awaited: Whether somebody takes what is found; else it is adopted.
    """

    submission: Submission
    expectation: Expectation | None = None
    found: "asyncio.Future[RunRef | DidNotRun]" = field(
        factory=lambda: asyncio.get_running_loop().create_future()
    )
    claims: list[Callback] = field(factory=list[Callback])
    wake: Callable[[], None] | None = None
    confirming: "asyncio.Task[None] | None" = None
    is_awaited: bool = False

    @property
    def callback_url(self) -> str | None:
        """Where the platform shall call back: a secret."""
        return None if self.expectation is None else self.expectation.url

    def bind(self, wake: Callable[[], None]) -> None:
        """Have callbacks wake its run from now on; one that came before does it now."""
        self.wake = wake
        if self.claims:
            self.claims.clear()
            wake()

    def see(self, words: str) -> None:
        """Note what was seen of it."""
        if words not in self.submission.seen:
            seen = (*self.submission.seen, words)
            self.submission = evolve(self.submission, seen=seen)

    def resolve(self, found: RunRef | DidNotRun) -> None:
        """Tell what became of it; the first word counts."""
        if not self.found.done():
            self.found.set_result(found)

    def close(self) -> None:
        """Expect no callback any more."""
        if self.expectation is not None:
            self.expectation.close()


class Evidence:
    """Collects what callbacks tell of submissions.

    Args:
        client: The platform.
        policy: How often to ask again where the platform does not answer.
        listing: Tells which workflows are busy.
        owner: Of the tasks that look into what callbacks say.
        is_bound: Tells whether a run is known to be another submission's.
        adopt: Makes a run that was found the submission's, where nobody waits for it.
        callbacks: Where the platform calls back, or None.
    """

    def __init__(
        self,
        client: DPAClient,
        policy: WaitPolicy,
        listing: Listing,
        owner: Owner,
        *,
        is_bound: Callable[[RunRef], bool],
        adopt: Callable[[Submission, RunRef], Awaitable[object]],
        callbacks: CallbackReceiver | None,
    ) -> None:
        self._client = client
        self._policy = policy
        self._listing = listing
        self._owner = owner
        self._is_bound = is_bound
        self._adopt = adopt
        self._callbacks = callbacks
        self._in_doubt: dict[_Name, Tracked] = {}
        self._resolved: dict[_Name, RunRef] = {}  # for who asks once more

    def close(self) -> None:
        """Expect no callbacks any more of what is in doubt."""
        while self._in_doubt:
            self._in_doubt.popitem()[1].close()

    def track(self, submission: Submission) -> Tracked:
        """Register a nonce for a submission, before anybody is told of the nonce.

        Raises:
            ConfigurationError: The receiver does not listen.
        """
        tracked = Tracked(submission)
        if self._callbacks is not None:
            expected = self._callbacks.expect(
                lambda callback: self._ring(tracked, callback),
                reply=self._client.settings.dialect.callback_reply,
                nonce_sha256=submission.nonce_sha256,
            )
            tracked.expectation = expected
            tracked.submission = evolve(submission, nonce_sha256=expected.nonce_sha256)
        return tracked

    def doubt(self, tracked: Tracked) -> None:
        """Look into what callbacks say of it from now on: its answer is lost."""
        self._in_doubt[_name(tracked.submission)] = tracked
        self._look_into(tracked)

    def doubted(self, submission: Submission) -> Tracked:
        """Give what is known of a submission in doubt; callbacks count from now on."""
        name = _name(submission)
        known = self._in_doubt.get(name)
        if known is None and name in self._resolved:
            known = Tracked(submission)
            known.resolve(self._resolved[name])
        elif known is None:
            has_nonce = submission.nonce_sha256 is not None
            known = self.track(submission) if has_nonce else Tracked(submission)
            self.doubt(known)
        return known

    def is_resolved(self, tracked: Tracked) -> None:
        """Have no doubt any more."""
        name = _name(tracked.submission)
        if self._in_doubt.get(name) is not tracked:
            return
        del self._in_doubt[name]
        found = tracked.found.result() if tracked.found.done() else None
        if isinstance(found, RunRef):
            self._resolved[name] = found
            if len(self._resolved) > _REMEMBERED:
                del self._resolved[next(iter(self._resolved))]

    async def wait(self, tracked: Tracked) -> RunRef | DidNotRun | None:
        """Wait for proof while the workflow is busy, and then a little; None: no proof.

        Without callbacks there can be none, and nothing is waited for. Raises nothing.
        """
        if tracked.expectation is None and not tracked.found.done():
            return None
        patience = self._owner.spawn(self._patience(tracked))
        try:
            either: set[asyncio.Future[Any]] = {tracked.found, patience}
            _ = await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        finally:
            patience.cancel()
        return tracked.found.result() if tracked.found.done() else None

    async def _patience(self, tracked: Tracked) -> None:
        try:
            busy = await self._listing.until_idle(tracked.submission.workflow_id)
        except DPAError as error:
            tracked.see(f"the list could not be had ({error})")
            return
        if busy:
            tracked.see("the workflow was seen busy: a hint, and no proof")
        await asyncio.sleep(_SETTLE)

    def _ring(self, tracked: Tracked, callback: Callback) -> None:
        """Take a callback for what it is: an alarm, and evidence where that is needed.

        Called with whatever comes in with the nonce, so it must cost next to nothing.
        """
        if tracked.wake is not None:
            tracked.wake()
        elif len(tracked.claims) < _CLAIMS and callback not in tracked.claims:
            tracked.claims.append(callback)
            self._look_into(tracked)

    def _look_into(self, tracked: Tracked) -> None:
        """Look into what callbacks say, where the answer is not awaited any more."""
        is_doubted = self._in_doubt.get(_name(tracked.submission)) is tracked
        if not is_doubted or self._owner.closed:
            return
        if tracked.confirming is None or tracked.confirming.done():
            tracked.confirming = self._owner.spawn(self._confirm(tracked))

    async def _confirm(self, tracked: Tracked) -> None:
        """Believe a callback only where the platform's status interface knows the run.

        And only where the run is of this workflow, and no other submission's.
        """
        while tracked.claims and not tracked.found.done():
            claim = tracked.claims.pop(0)
            submission = tracked.submission
            ref = RunRef(submission.origin, submission.workflow_id, claim.run_id)
            if claim.workflow_id != submission.workflow_id or self._is_bound(ref):
                tracked.see("a callback named a run that is not its own")
            elif await self._exists(ref, tracked):
                tracked.resolve(ref)
                if not tracked.is_awaited:  # whoever started it is gone: it is kept
                    with suppress(JournalError):  # it is in doubt there, as before
                        _ = await self._adopt(tracked.submission, ref)

    async def _exists(self, ref: RunRef, tracked: Tracked) -> bool:
        loop = asyncio.get_running_loop()
        until = loop.time() + self._policy.max_silence
        intervals = schedule(self._policy)
        while True:
            try:
                await self._client.get_run_status(ref)
            except APIError as error:
                tracked.see(f"a callback named a run that the platform denies: {error}")
                return False
            except DPAError as error:
                if loop.time() >= until:
                    tracked.see(f"a callback's run could not be looked at: {error}")
                    return False
                await asyncio.sleep(next_interval(intervals))
            else:
                return True
