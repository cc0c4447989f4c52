"""What the platform's list says of busy workflows, asked once for all who want it."""

import asyncio
import copy
from collections.abc import Iterable
from contextlib import suppress

from attrs import define, field

from dpa_async.client import DPAClient
from dpa_async.errors import ConfigurationError, DPAError
from dpa_async.sharing import Owner
from dpa_async.waiting import WaitPolicy, next_interval, schedule


@define(eq=False)
class _Waiter:
    """Somebody who waits until a workflow is idle.

    Attributes:
        workflow_id: Which workflow.
        heard_at: When there was a list for it the last time.
        seen_busy: Whether a list ever showed it busy.
        idle: Whether it ever did, once it is idle; or why that cannot be known.
    """

    workflow_id: str
    heard_at: float
    seen_busy: bool = False
    idle: "asyncio.Future[bool | DPAError]" = field(
        factory=lambda: asyncio.get_running_loop().create_future()
    )

    def tell(self, outcome: bool | DPAError) -> None:
        if not self.idle.done():
            self.idle.set_result(outcome)


class Listing:
    """Waits for workflows that somebody else runs: one list serves all who wait.

    Args:
        client: The platform.
        policy: How often to ask; and when to give up.
        owner: Of the task that asks.
    """

    def __init__(self, client: DPAClient, policy: WaitPolicy, owner: Owner) -> None:
        self._client = client
        self._policy = policy
        self._owner = owner
        self._waiters: set[_Waiter] = set()
        self._newcomer = asyncio.Event()
        self._asking: asyncio.Task[None] | None = None

    async def is_busy(self, workflow_id: str) -> bool:
        """Ask whether a workflow would refuse to be executed now.

        Raises:
            DPAError: The list cannot be had.
        """
        return workflow_id in await self._busy()

    async def until_idle(self, workflow_id: str) -> bool:
        """Wait until a list shows a workflow idle; tells whether one showed it busy.

        Raises:
            DPAError: No list could be had for `max_silence` seconds; the last reason.
        """
        waiter = _Waiter(workflow_id, asyncio.get_running_loop().time())
        self._waiters.add(waiter)
        self._newcomer.set()
        if self._asking is None or self._asking.done():
            self._asking = self._owner.spawn(self._ask())
            self._asking.add_done_callback(self._broken)
        try:
            outcome = await waiter.idle
        finally:
            self._waiters.discard(waiter)
            if not self._waiters:
                self._stop_asking()
        if isinstance(outcome, DPAError):
            raise outcome
        return outcome

    def _stop_asking(self) -> None:
        if self._asking is not None:
            self._asking.cancel()
            self._asking = None  # not done yet: who comes now must not rely on it

    async def _busy(self) -> frozenset[str]:
        listed = await self._client.list_statuses()
        return frozenset(key for key, word in listed.statuses.items() if word.busy)

    async def _ask(self) -> None:
        """Ask as the policy says, and at once where somebody comes new."""
        while True:
            self._newcomer.clear()
            intervals = schedule(self._policy)
            interval = self._policy.maximum
            while not self._newcomer.is_set():
                waiters = tuple(self._waiters)
                try:
                    interval = next_interval(intervals)
                    busy = await self._busy()
                except DPAError as error:
                    self._not_heard(waiters, error)
                else:
                    self._heard(waiters, busy)
                with suppress(TimeoutError):
                    async with asyncio.timeout(interval):
                        await self._newcomer.wait()

    def _heard(self, waiters: Iterable[_Waiter], busy: frozenset[str]) -> None:
        now = asyncio.get_running_loop().time()
        for waiter in waiters:
            waiter.heard_at = now
            if waiter.workflow_id in busy:
                waiter.seen_busy = True
            else:
                waiter.tell(waiter.seen_busy)

    def _not_heard(self, waiters: Iterable[_Waiter], error: DPAError) -> None:
        now = asyncio.get_running_loop().time()
        hopeless = isinstance(error, ConfigurationError)
        for waiter in waiters:
            if hopeless or now - waiter.heard_at >= self._policy.max_silence:
                waiter.tell(copy.copy(error))

    def _broken(self, asking: asyncio.Task[None]) -> None:
        """See that a bug is told to those who wait, who would wait for ever."""
        if not asking.cancelled() and (bug := asking.exception()) is not None:
            for waiter in self._waiters:
                if not waiter.idle.done():
                    waiter.idle.set_exception(bug)
