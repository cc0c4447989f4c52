"""Carries the platform's callbacks to their receivers, with its repeats."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from attrs import frozen

from dpa_async.simulator.clock import LoopClock
from dpa_async.simulator.faults import Ending, FaultScript
from dpa_async.simulator.platform import Platform
from dpa_async.simulator.records import Callback

Deliver = Callable[[str, dict[str, str]], Awaitable[str]]
"""POSTs a JSON object to a URL and gives the text of the reply."""


@frozen
class CallbackAttempt:
    """One attempt to deliver a callback; `reply` is None where none came."""

    callback: Callback
    attempt: int
    reply: str | None
    at: float


class Courier:
    """Delivers callbacks while `run` runs; a slow receiver delays only its own.

    Attributes:
        attempts: Every attempt that is over, in order.
    """

    def __init__(
        self,
        platform: Platform,
        faults: FaultScript,
        clock: LoopClock,
        deliver: Deliver,
    ) -> None:
        self._platform = platform
        self._behaviour = platform.behaviour
        self._faults = faults
        self._clock = clock
        self._deliver = deliver
        self._news = asyncio.Event()
        self.attempts: list[CallbackAttempt] = []

    def wake(self) -> None:
        """Tell the courier that there may be a callback to come."""
        self._news.set()

    async def run(self) -> None:
        """Deliver what is due, for ever."""
        self._news = asyncio.Event()  # of this loop; an earlier one may be over
        async with asyncio.TaskGroup() as deliveries:
            while True:
                self._news.clear()
                for callback in self._platform.callbacks_due(self._clock.now()):
                    deliveries.create_task(self._carry(callback))
                await self._wait_for_work()

    @staticmethod
    async def dismiss(running: asyncio.Task[None]) -> None:
        """End a task of `run`.

        Raises:
            ExceptionGroup: It had ended by itself: what delivers raised what is not
                an `OSError`.
        """
        if not running.done():
            running.cancel()
            await asyncio.wait({running})
        if not running.cancelled():
            running.result()

    async def _wait_for_work(self) -> None:
        due = self._platform.next_callback_at()
        delay = None if due is None else due - self._clock.now()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(delay):
                await self._news.wait()

    async def _carry(self, callback: Callback) -> None:
        for attempt in range(1 + self._behaviour.callback_repeats):
            if attempt:
                await asyncio.sleep(self._behaviour.callback_interval)
            reply = await self._attempt(callback)
            at = self._clock.now()
            self.attempts.append(CallbackAttempt(callback, attempt + 1, reply, at))
            if reply is not None and reply.strip() == self._behaviour.callback_reply:
                return

    async def _attempt(self, callback: Callback) -> str | None:
        fault = self._faults.draw("callback")
        await asyncio.sleep(fault.delay)
        if not fault.carried_out:
            return None
        try:
            async with asyncio.timeout(self._behaviour.callback_timeout):
                reply = await self._deliver(callback.url, callback.payload())
        except OSError:  # a TimeoutError is one
            return None
        # A receiver whose reply is lost on the way back is called again.
        return reply if fault.ending is Ending.WHOLE else None
