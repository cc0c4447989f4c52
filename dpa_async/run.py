"""`Run`: a handle of one run on the platform, awaited by any number of tasks."""

import asyncio
from collections.abc import Callable, Generator
from datetime import UTC, datetime
from typing import Any

from typing_extensions import override

from dpa_async.checks import check_number
from dpa_async.client import DPAClient
from dpa_async.errors import (
    ConfigurationError,
    DPAError,
    OutputsUnavailableError,
    RunError,
    RunFailedError,
    RunTimeoutError,
)
from dpa_async.events import (
    Announcer,
    Detached,
    Ended,
    Looked,
    OutputsRead,
    StatusChanged,
)
from dpa_async.models import NodeOutputs, RunRef, RunResult, RunStatus
from dpa_async.sharing import Owner, Shared
from dpa_async.waiting import Timetable, WaitPolicy, wait_for_end

_NOT_ASKED = "outputs were not asked for"


class Run:
    """A handle of one run; awaiting it gives its `RunResult`.

    Runs come from `Runner.start` and `Runner.attach`. The platform is looked at only
    while somebody waits, and once for all who do. Cancelling a waiter detaches it: the
    platform has no cancel, the run goes on.

    Attributes:
        ref: Names the run for good; `str(run.ref)` can be stored and attached to.
        looks: Status reads that were spent on it so far.
    """

    __slots__ = (
        "_announce",
        "_client",
        "_ended_at",
        "_fetch",
        "_on_end",
        "_outputs",
        "_policy",
        "_status",
        "_submitted_at",
        "_timetable",
        "_watch",
        "looks",
        "ref",
    )

    def __init__(
        self,
        client: DPAClient,
        ref: RunRef,
        *,
        policy: WaitPolicy,
        announce: Announcer,
        owner: Owner,
        on_end: Callable[["Run"], None],
        submitted_at: datetime | None = None,
        wants_outputs: bool = True,
    ) -> None:
        self.ref = ref
        self.looks = 0
        self._client = client
        self._policy = policy
        self._announce = announce
        self._on_end = on_end
        self._submitted_at = submitted_at
        self._status = RunStatus.DEFAULT
        self._ended_at: datetime | None = None
        self._outputs = None if wants_outputs else NodeOutputs(unread=_NOT_ASKED)
        # A run that was attached to may be over since long: it is looked at now.
        now = asyncio.get_running_loop().time()
        self._timetable = Timetable(policy, None if submitted_at else now)
        self._watch = Shared(owner, self._wait_for_end, ended_by_owner=self._detached)
        self._fetch = Shared(owner, self._read_outputs, ended_by_owner=self._detached)

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
            RunUnreachableError: The platform was silent for `max_silence` seconds.
            RunSuspendedError: It is suspended, and the policy says to raise.
            OutputsUnavailableError: It succeeded, its outputs could not be read.
            RunError: The runner was closed meanwhile.
            ConfigurationError: The client is closed, or of another event loop.
        """
        if timeout is not None:
            check_number("timeout", timeout, least=0)
        timer = asyncio.timeout(timeout)
        try:
            async with timer:
                result = await self._result()
        except TimeoutError:
            if not timer.expired():
                raise
            result = self._result_at_deadline(timeout)
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
        return self._status if self.ended else await self._look()

    async def until_ended(self) -> RunStatus:
        """Wait for the run's end, without its outputs; gives `SUCCEEDED` or `FAILED`.

        Raises:
            RunUnreachableError: The platform was silent for `max_silence` seconds.
            RunSuspendedError: It is suspended, and the policy says to raise.
            RunError: The runner was closed meanwhile.
            ConfigurationError: The client is closed, or of another event loop.
        """
        if self.ended:
            return self._status
        try:
            return await self._watch.join()
        finally:
            if not (self._watch.under_way or self.ended):
                self._announce(Detached, self.ref)

    def _detached(self) -> RunError:
        return RunError(
            self.ref,
            "its runner was closed; the platform keeps it, attach to it again",
        )

    async def _result(self) -> RunResult:
        await self.until_ended()
        outputs = self._outputs  # None is not "no outputs"
        return self._as_result(await self._fetch.join() if outputs is None else outputs)

    def _result_at_deadline(self, timeout: float | None) -> RunResult:
        """Say what is known when time is up: maybe only the outputs are missing."""
        late = f"the deadline of {timeout:g} s came"
        if not self.ended:
            raise RunTimeoutError(
                self.ref, f"{late}; it was not seen to end, attach to it to go on"
            )
        if self._status is RunStatus.SUCCEEDED:
            raise OutputsUnavailableError(self.ref, f"{late} while they were read")
        return self._as_result(NodeOutputs(unread=f"{late} while they were read"))

    def _as_result(self, outputs: NodeOutputs) -> RunResult:
        ended_at = self._ended_at or datetime.now(UTC)
        return RunResult(
            self.ref, self._status, outputs, self._submitted_at, ended_at, self.looks
        )

    async def _wait_for_end(self) -> RunStatus:
        try:
            return await wait_for_end(
                self.ref, self._look, self._timetable, self._policy
            )
        except ConfigurationError as error:
            error.about(ref=self.ref)
            raise

    async def _look(self) -> RunStatus:
        self.looks += 1
        try:
            # Not repeated where it fails: the schedule does that.
            status = await self._client.get_run_status(self.ref, repeat=False)
        except DPAError as error:
            self._announce(Looked, self.ref, None)
            error.about(ref=self.ref)
            raise
        if self.ended:  # another look was faster: an older answer says nothing new
            return self._status
        self._announce(Looked, self.ref, status)
        before, self._status = self._status, status
        if status is not before:
            self._announce(StatusChanged, self.ref, before, status)
        if status.ended:
            self._ended_at = datetime.now(UTC)
            self._announce(Ended, self.ref, status, self._ended_at)
            self._on_end(self)
        return status

    async def _read_outputs(self) -> NodeOutputs:
        """Read the outputs; a failed run stays a failed run where they cannot be."""
        try:
            outputs = await self._client.get_outputs(self.ref)
        except ConfigurationError as error:
            error.about(ref=self.ref)
            raise
        except DPAError as error:
            if self._status is RunStatus.SUCCEEDED:
                raise OutputsUnavailableError(
                    self.ref, f"its outputs cannot be read: {error}"
                ) from None
            outputs = NodeOutputs(unread=str(error))
        self._outputs = outputs
        self._announce(OutputsRead, self.ref, outputs)
        return outputs
