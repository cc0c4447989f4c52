"""Waiting until workflows that somebody else runs are idle, by the platform's list."""

import asyncio
import copy
import math
from collections.abc import Mapping
from contextlib import suppress

from attrs import define, field

from dpa_async.errors import ConfigurationError, DPAError
from dpa_async.models import WorkflowStatus
from dpa_async.sharing import Owner
from dpa_async.waiting import Lists, WaitPolicy, next_interval, schedule


@define(eq=False)
class _Waiter:
    """Somebody who waits until a workflow is idle.

    Attributes:
        workflow_id: Which workflow.
        since: The loop's time since when it waits: older lists tell it nothing.
        heard_at: When there was a list for it the last time.
        seen_busy: Whether a list ever showed it busy.
        idle: Whether it ever did, once it is idle; or why that cannot be known.
    """

    workflow_id: str
    since: float
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
        lists: The platform's lists, whoever asks for them.
        policy: How often to ask; and when to give up.
        owner: Of the task that asks.
    """

    def __init__(self, lists: Lists, policy: WaitPolicy, owner: Owner) -> None:
        self._lists = lists
        self._policy = policy
        self._owner = owner
        self._waiters: set[_Waiter] = set()
        self._newcomer = asyncio.Event()
        self._asking: asyncio.Task[None] | None = None
        lists.hearers.append(self._heard)

    async def is_busy(self, workflow_id: str) -> bool:
        """Ask whether a workflow would refuse to be executed now.

        Raises:
            DPAError: The list cannot be had.
        """
        status = (await self._lists.ask()).get(workflow_id)
        return status is not None and status.busy

    async def until_idle(self, workflow_id: str) -> bool:
        """Wait until a list shows a workflow idle; tells whether one showed it busy.

        Raises:
            DPAError: No list could be had for `max_silence` seconds; the last reason.
        """
        now = asyncio.get_running_loop().time()
        waiter = _Waiter(workflow_id, now, now)
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

    async def _ask(self) -> None:
        """Ask as the policy says, and at once where somebody comes new.

        Where somebody else had a list meanwhile, that one has served.
        """
        loop = asyncio.get_running_loop()
        while True:
            self._newcomer.clear()
            intervals = schedule(self._policy)
            interval = self._policy.maximum
            served_since = math.inf
            while not self._newcomer.is_set():
                waiters = tuple(self._waiters)
                try:
                    interval = next_interval(intervals)
                    if self._lists.asked_at < served_since:
                        _ = await self._lists.ask()
                except DPAError as error:
                    self._not_heard(waiters, error)
                served_since = loop.time()
                with suppress(TimeoutError):
                    async with asyncio.timeout(interval):
                        await self._newcomer.wait()

    def _heard(self, statuses: Mapping[str, WorkflowStatus], asked_at: float) -> None:
        now = asyncio.get_running_loop().time()
        for waiter in tuple(self._waiters):
            if asked_at < waiter.since:
                continue
            waiter.heard_at = now
            status = statuses.get(waiter.workflow_id)
            if status is not None and status.busy:
                waiter.seen_busy = True
            else:
                waiter.tell(waiter.seen_busy)

    def _not_heard(self, waiters: tuple[_Waiter, ...], error: DPAError) -> None:
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
