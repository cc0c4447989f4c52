"""`Run`: a handle of one run on the platform, awaited by any number of tasks."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterable
from contextvars import Context, copy_context
from datetime import UTC, datetime
from functools import partial
from typing import Any, Self, TypeAlias

from typing_extensions import override

from dpa_async.checks import check_number
from dpa_async.errors import (
    ConfigurationError,
    DPAError,
    JournalError,
    OutputsUnavailableError,
    RunError,
    RunFailedError,
    RunTimeoutError,
)
from dpa_async.events import (
    Attached,
    Detached,
    Ended,
    Looked,
    OutputsRead,
    RunEvent,
    StatusChanged,
    Why,
)
from dpa_async.journal import Journal
from dpa_async.models import NodeOutputs, RunRef, RunResult, RunStatus
from dpa_async.sharing import Shared
from dpa_async.surroundings import Surroundings
from dpa_async.waiting import ATTACHED, Alarm, Beginning, End, Wait

_NOT_ASKED = "outputs were not asked for"
_Writing: TypeAlias = Callable[[Journal, str], Awaitable[None]]


class Run:
    """A handle of one run; awaiting it gives its `RunResult`.

    Runs come from `Runner.start` and `Runner.attach`. The platform is looked at only
    while somebody waits, and once for all who do. Cancelling a waiter detaches it: the
    platform has no cancel, the run goes on.

    Attributes:
        ref: Names the run for good; `str(run.ref)` can be stored and attached to.
        key: The caller's id of it, where it was started here or is journaled.
        looks: Status reads that were spent on it so far.
    """

    __slots__ = (
        "__weakref__",
        "_alarm",
        "_concluding",
        "_ended_at",
        "_here",
        "_outputs",
        "_result",
        "_status",
        "_submitted_at",
        "_wait",
        "context",
        "key",
        "looks",
        "ref",
    )

    def __init__(
        self,
        here: Surroundings,
        ref: RunRef,
        *,
        key: str | None = None,
        submitted_at: datetime | None = None,
        wants_outputs: bool = True,
        alarm: Alarm | None = None,
        beginning: Beginning = ATTACHED,
        context: Context | None = None,
    ) -> None:
        self.ref = ref
        self.looks = 0
        self._here = here
        self.key = key
        self._submitted_at = submitted_at
        self._status = RunStatus.DEFAULT
        self._ended_at: datetime | None = None
        self._outputs = None if wants_outputs else NodeOutputs(unread=_NOT_ASKED)
        self._result: RunResult | None = None
        self._concluding: Shared[RunResult] | None = None
        # Its looks see these variables; None: nobody looks after it.
        self.context = context
        # There until the end: who is over needs no timer, and is no cycle.
        self._wait: Wait | None = Wait(here.watch, self, beginning)
        self._alarm: Alarm | None = None
        self.expect(alarm)

    @classmethod
    def over(cls, here: Surroundings, result: RunResult) -> Self:
        """Make the handle of a run whose result is journaled."""
        run = cls(here, result.ref, submitted_at=result.submitted_at)
        run.looks = result.looks
        run._status = result.status
        run._ended_at = result.ended_at
        run._outputs = result.outputs
        run._result = result
        run._wait = None
        return run

    @override
    def __repr__(self) -> str:
        """Show which run it is and what was last seen of it."""
        return f"<Run {self.ref} {self._status.name}>"

    def __await__(self) -> Generator[Any, None, RunResult]:
        """Await `result()`."""
        return self.result().__await__()

    @property
    def ended(self) -> bool:
        """Whether a look saw that the run is over."""
        return self._ended_at is not None

    async def result(
        self, *, timeout: float | None = None, check: bool = True
    ) -> RunResult:
        """Wait for the run's end and read its outputs.

        Args:
            timeout: Seconds to wait at the most; None: as long as it takes.
            check: Whether a run that ended in FAIL raises.

        Raises:
            RunFailedError: It failed, and `check` is set; `.result` has its outputs.
            RunTimeoutError: It is still running.
            RunUnreachableError: The platform was silent for `max_silence` seconds, or
                does not know a run that was attached to.
            RunSuspendedError: It is suspended, and the policy says to raise.
            OutputsUnavailableError: It succeeded, its outputs could not be read.
            JournalError: It is over, but that could not be written down.
            RunError: The runner was closed meanwhile.
            ConfigurationError: The client is closed, or of another event loop.
        """
        if timeout is None:
            # In no method of its own: for ten thousand who wait it is as many frames.
            if isinstance(end := await self.end(), DPAError):
                raise end
            result = self._result or await self._conclude_once()
        else:
            check_number("timeout", timeout, least=0)
            result = await self._result_within(timeout)
        if check and result.status is RunStatus.FAILED:
            raise RunFailedError(result)
        return result

    async def status(self) -> RunStatus:
        """Look at the run now; once it is over, without asking the platform again.

        Raises:
            TransportError: There was no answer; so are `APIError` and
                `UnexpectedResponseError` raised.
            ConfigurationError: The client is closed, or of another event loop.
        """
        return self._status if self.ended else await self.look("asked")

    async def until_ended(self) -> RunStatus:
        """Wait for the run's end, without its outputs; gives `SUCCEEDED` or `FAILED`.

        Raises:
            RunUnreachableError: The platform was silent for `max_silence` seconds, or
                does not know a run that was attached to.
            RunSuspendedError: It is suspended, and the policy says to raise.
            RunError: The runner was closed meanwhile.
            ConfigurationError: The client is closed, or of another event loop.
        """
        end = await self.end()
        if isinstance(end, DPAError):
            raise end
        return end

    def end(self) -> "asyncio.Future[End]":
        """Give a future of the run's end, or of why it is waited for no more.

        Cancelling it detaches, as cancelling a waiter does.
        """
        if self._wait is not None:
            if self.context is None and not self._here.watch.closed:
                self.context = copy_context()
                self.context.run(self._here.announce, Attached, self.ref, self.key)
            return self._wait.join()
        end: asyncio.Future[End] = asyncio.get_running_loop().create_future()
        end.set_result(self._status)
        return end

    async def events(self) -> AsyncIterator[RunEvent]:
        """Follow the run: what happens to it from now on, in order, until it is over.

        Of a run that is over it gives the end. The outputs are read, where they were
        asked for when the run was started. Following counts as waiting: the run is
        looked at. A reader 1,000 events behind gets a `Dropped` instead of the oldest.

        Raises:
            RunUnreachableError: The platform was silent for `max_silence` seconds, or
                does not know a run that was attached to.
            RunSuspendedError: It is suspended, and the policy says to raise.
            OutputsUnavailableError: It succeeded, its outputs could not be read.
            JournalError: It is over, but that could not be written down.
            RunError: The runner was closed meanwhile.
            ConfigurationError: The client is closed, or of another event loop.
        """
        for event in self._past():
            yield event
        with self._here.announce.stream(self.ref) as stream:
            end = self.end()
            end.add_done_callback(stream.wake)
            try:
                while not end.done():
                    await stream.wait()
                    for event in stream.take():
                        yield event
            finally:
                end.cancel()
            if isinstance(problem := end.result(), DPAError):
                raise problem
            if self._result is None:
                await self._conclude_once()
            for event in stream.take():
                yield event

    def _past(self) -> Iterable[RunEvent]:
        if self._ended_at is not None:
            yield Ended(self.ref, self._status, self._ended_at)
        if self._ended_at is not None and self._outputs is not None:
            yield OutputsRead(self.ref, self._outputs)

    async def _result_within(self, timeout: float) -> RunResult:
        timer = asyncio.timeout(timeout)
        try:
            if timeout > 0:
                async with timer:
                    await self.until_ended()
                    return self._result or await self._conclude_once()
        except TimeoutError:
            if not timer.expired():
                raise
        return self._result_at_deadline(timeout)

    def _result_at_deadline(self, timeout: float) -> RunResult:
        """Say what is known when time is up: maybe only the outputs are missing."""
        late = f"the deadline of {timeout:g} s came"
        if not self.ended:
            words = f"{late}; it was not seen to end, attach to it to go on"
            raise RunTimeoutError(self.ref, words)
        if self._result is not None:
            return self._result
        if self._status is RunStatus.SUCCEEDED:
            raise OutputsUnavailableError(self.ref, f"{late} while they were read")
        return self._as_result(NodeOutputs(unread=f"{late} while they were read"))

    def _as_result(self, outputs: NodeOutputs) -> RunResult:
        ended_at = self._ended_at or datetime.now(UTC)
        return RunResult(
            self.ref, self._status, outputs, self._submitted_at, ended_at, self.looks
        )

    def left(self) -> None:
        """Take note that nobody looks after it any more."""
        if not self.ended and self.context is not None:
            self.context = None
            self._here.announce(Detached, self.ref)

    def given_up(self) -> RunError:
        """Say that nobody looks at it any more."""
        words = "its runner was closed; the platform keeps it, attach to it again"
        return RunError(self.ref, words)

    async def look(self, why: Why) -> RunStatus:
        """Read the status now, and tell everybody what it shows.

        Raises:
            DPAError: It could not be read.
        """
        self.looks += 1
        announce = self._here.announce
        try:
            # Not repeated where it fails: the schedule does that.
            status = await self._here.client.get_run_status(self.ref, repeat=False)
        except DPAError as error:
            if self.ended:  # another look was faster, and saw the end
                return self._status
            announce(Looked, self.ref, None, why)
            error.about(ref=self.ref)
            raise
        if self.ended:  # another look was faster: an older answer says nothing new
            return self._status
        announce(Looked, self.ref, status, why)
        before, self._status = self._status, status
        if status is not before:
            announce(StatusChanged, self.ref, before, status)
        if status.ended:
            self._over(status)
        return status

    def _over(self, status: RunStatus) -> None:
        self._ended_at = datetime.now(UTC)
        wait, self._wait = self._wait, None
        lag = None if wait is None else wait.lag()
        self._here.announce(Ended, self.ref, status, self._ended_at, lag)
        if wait is not None:
            wait.end(status)
        self.expect(None)
        self._here.on_end(self.ref)

    def superseded(self) -> None:
        """Take note that its workflow was executed again: so this run is over."""
        self.expect(None)
        if self._wait is not None and self._wait.is_awaited:
            self._wait.wake("schedule")
        else:
            self.left()

    def expect(self, alarm: Alarm | None) -> None:
        """Have this alarm wake it from now on, or none."""
        if self._alarm is not None:
            self._alarm.close()
        self._alarm = alarm
        if alarm is not None and self._wait is not None:
            alarm.bind(partial(self._wait.wake, "callback"))

    def belongs_to(
        self, key: str, submitted_at: datetime | None, context: Context | None = None
    ) -> None:
        """Take note whose run it is, where that was not known: its end is journaled."""
        self.key = self.key or key
        self._submitted_at = self._submitted_at or submitted_at
        self.context = context if self.context is None else self.context

    async def journal_start(self) -> None:
        """See that it is found again by its key, whatever becomes of this process.

        Raises:
            JournalError: It runs, but that could not be written down.
        """
        at = self._submitted_at
        await self._write_down(lambda journal, key: journal.started(key, self.ref, at))

    async def _write_down(self, what: _Writing) -> None:
        if self._here.journal is None or self.key is None:
            return
        try:
            await what(self._here.journal, self.key)
        except JournalError as error:
            error.about(ref=self.ref)
            raise

    async def _conclude_once(self) -> RunResult:
        """Read the outputs, with all who want them now, and journal the result.

        Raises:
            OutputsUnavailableError: The run succeeded, and they cannot be read.
            JournalError: The run is over, but that could not be written down.
            RunError: The runner was closed meanwhile.
            ConfigurationError: The client is closed, or of another event loop.
        """
        if self._concluding is None:
            self._concluding = Shared(
                self._here.owner,
                self._conclude,
                ended_by_owner=self.given_up,
                context=self.context,
            )
        return await self._concluding.join()

    async def _conclude(self) -> RunResult:
        if self._outputs is None:
            self._outputs = await self._read_outputs()
            self._here.announce(OutputsRead, self.ref, self._outputs)
        result = self._as_result(self._outputs)
        await self._write_down(lambda journal, key: journal.finished(key, result))
        self._result = result
        # With what concludes it, the run would be a cycle.
        self._concluding = self.context = None
        return result

    async def _read_outputs(self) -> NodeOutputs:
        """Read the outputs; a failed run stays a failed run where they cannot be."""
        try:
            return await self._here.client.get_outputs(self.ref)
        except ConfigurationError as error:
            error.about(ref=self.ref)
            raise
        except DPAError as error:
            if self._status is RunStatus.SUCCEEDED:
                words = f"its outputs cannot be read: {error}"
                raise OutputsUnavailableError(self.ref, words) from None
            return NodeOutputs(unread=str(error))
