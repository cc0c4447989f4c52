"""Work that many await together, behind a shield, with an owner.

`await task` from many places makes every one of them a danger to the others: the first
that is cancelled cancels the task. Here the work is a task of its own; a waiter that is
cancelled just leaves.
"""

import asyncio
import copy
from collections.abc import Callable, Coroutine
from collections.abc import Set as AbstractSet
from contextvars import Context
from typing import Any, Generic, Protocol, TypeVar

from dpa_async.errors import DPAError

T = TypeVar("T")


class Closeable(Protocol):
    """What is closed before, or with, what it works with."""

    async def aclose(self) -> None:
        """End it; raises nothing."""
        ...


class Owner:
    """Owns the tasks of shared work, and sees them all off in the end."""

    def __init__(self) -> None:
        self.closed = False
        self.tasks: set[asyncio.Task[Any]] = set()
        self._closing = asyncio.Lock()

    def __len__(self) -> int:
        """Give how many tasks there are."""
        return len(self.tasks)

    def spawn(
        self, work: Coroutine[Any, Any, T], *, context: Context | None = None
    ) -> "asyncio.Task[T]":
        """Begin a task, and keep it until it is done.

        Args:
            work: What it does.
            context: The context variables that it sees; None: the caller's.
        """
        task = asyncio.create_task(work, context=context)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    async def close(
        self,
        *,
        spared: AbstractSet["asyncio.Task[Any]"] = frozenset(),
        grace: float = 0,
    ) -> None:
        """Cancel all tasks and wait until they are gone; idempotent, raises nothing.

        Args:
            spared: Tasks that have `grace` seconds to finish before they are cancelled.
            grace: In seconds.
        """
        self.closed = True
        async with self._closing:  # who closes as well must not cut the grace short
            for task in self.tasks - spared:
                if not task.cancelling():  # again would cut short how it leaves
                    task.cancel()
            if spared:
                await asyncio.wait(spared, timeout=grace)
            for task in self.tasks & spared:
                task.cancel()
            if self.tasks:
                await asyncio.wait(self.tasks)


class Shared(Generic[T]):
    """One piece of work, done once for all who join while it is under way.

    It begins when the first joins. When the last one leaves early it is cancelled,
    unless it has to be finished all the same. Who joins when it is done begins it
    again.

    Args:
        owner: Who sees it off in the end.
        work: Makes the coroutine that does the work.
        ended_by_owner: Makes what those are told who wait, or come, when the owner has
            closed.
        goes_on: Whether it is finished when everybody has left.
        context: The context variables that the work sees; None: those of the first.
    """

    __slots__ = (
        "_context",
        "_ended_by_owner",
        "_goes_on",
        "_joined",
        "_owner",
        "_task",
        "_work",
    )

    def __init__(
        self,
        owner: Owner,
        work: Callable[[], Coroutine[Any, Any, T]],
        *,
        ended_by_owner: Callable[[], DPAError],
        goes_on: bool = False,
        context: Context | None = None,
    ) -> None:
        self._owner = owner
        self._work = work
        self._ended_by_owner = ended_by_owner
        self._goes_on = goes_on
        self._context = context
        self._task: asyncio.Task[T | DPAError] | None = None
        self._joined = 0

    @property
    def under_way(self) -> bool:
        """Whether the work was begun and is not done."""
        return self._task is not None and not self._task.done()

    def begin(self) -> "asyncio.Task[T | DPAError]":
        """Begin the work if it is not under way, without waiting for it.

        Raises:
            DPAError: The owner has closed.
        """
        if self._task is not None and not self._task.done():
            return self._task
        if self._owner.closed:
            raise self._ended_by_owner()
        self._task = self._owner.spawn(self._outcome(), context=self._context)
        return self._task

    async def join(self) -> T:
        """Wait for the work with all the others.

        Raises:
            DPAError: What the work raised, a copy for each who waits; or the owner has
                closed.
        """
        task = self.begin()
        before = cancels()
        self._joined += 1
        try:
            outcome = await asyncio.shield(task)
        except asyncio.CancelledError:
            if not task.cancelled() or cancels() > before:
                raise
            outcome = self._ended_by_owner()
        finally:
            self._joined -= 1
            if not (self._joined or task.done() or self._goes_on):
                task.cancel()
                self._task = None
        if isinstance(outcome, DPAError):
            raise copy.copy(outcome)
        return outcome

    async def _outcome(self) -> T | DPAError:
        # As a value: an error that nobody is left to fetch is then no "never
        # retrieved" in the log, and no traceback is shared between waiters.
        try:
            return await self._work()
        except DPAError as error:
            return error


def cancels() -> int:
    """Give how often the caller was cancelled, with those that it swallowed."""
    task = asyncio.current_task()
    return 0 if task is None else task.cancelling()
