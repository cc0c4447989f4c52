"""Work that many await together, behind a shield, with an owner.

`await task` from many places makes every one of them a danger to the others: the first
that is cancelled cancels the task. Here the work is a task of its own; a waiter that is
cancelled just leaves.
"""

import asyncio
import copy
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

from dpa_async.errors import DPAError

T = TypeVar("T")


class Shared(Generic[T]):
    """One piece of work, done once for all who join while it is under way.

    It begins when the first joins. When the last one leaves early it is cancelled,
    unless `goes_on()` says that it has to be finished all the same. Once it is done it
    is forgotten: who joins later begins it again.

    Args:
        work: Makes the coroutine that does the work.
        goes_on: Asked when everybody has left.
    """

    __slots__ = ("_goes_on", "_joined", "_stopped", "_task", "_work")

    def __init__(
        self,
        work: Callable[[], Coroutine[Any, Any, T]],
        *,
        goes_on: Callable[[], bool] = lambda: False,
    ) -> None:
        self._work = work
        self._goes_on = goes_on
        self._task: asyncio.Task[T | DPAError] | None = None
        self._joined = 0
        self._stopped: DPAError | None = None

    @property
    def under_way(self) -> bool:
        """Whether the work was begun and is not done."""
        return self._task is not None and not self._task.done()

    def begin(self) -> "asyncio.Task[T | DPAError]":
        """Begin the work if it is not under way, without waiting for it."""
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._outcome())
        return self._task

    async def join(self) -> T:
        """Wait for the work with all the others.

        Raises:
            DPAError: What the work raised, a copy for each who waits; or what its owner
                gave to `stop`.
        """
        if self._stopped is not None:
            raise copy.copy(self._stopped)
        task = self.begin()
        self._joined += 1
        try:
            outcome = await asyncio.shield(task)
        except asyncio.CancelledError:
            reason = self._reason()
            if reason is None or _being_cancelled():
                raise
            outcome = reason
        finally:
            self._joined -= 1
            if not (self._joined or task.done() or self._goes_on()):
                task.cancel()
                self._task = None
        if isinstance(outcome, DPAError):
            raise copy.copy(outcome)
        return outcome

    async def stop(self, reason: DPAError) -> None:
        """End the work for good: whoever waits, or joins later, gets the reason."""
        self._stopped = reason
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task])

    def _reason(self) -> DPAError | None:
        return self._stopped

    async def _outcome(self) -> T | DPAError:
        # As a value: an error that nobody is left to fetch is then no "never
        # retrieved" in the log, and no traceback is shared between waiters.
        try:
            return await self._work()
        except DPAError as error:
            return error


def _being_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
