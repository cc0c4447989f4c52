"""The one wait loop. Whatever wakes it only decides when to look; a look decides.

A run asleep is a timer, and a future for each who waits for it. A task exists only
while a look is under way: fifty thousand sleeping runs are no fifty thousand tasks.
"""

import asyncio
import contextvars
import copy
from collections import deque
from collections.abc import Callable, Iterator
from typing import Protocol, TypeAlias

from typing_extensions import override

from dpa_async.errors import (
    ConfigurationError,
    DPAError,
    RunError,
    RunSuspendedError,
    RunUnreachableError,
)
from dpa_async.events import Why
from dpa_async.models import RunRef, RunStatus
from dpa_async.sharing import Owner
from dpa_async.waiting.learned import Learned
from dpa_async.waiting.schedules import (
    WaitPolicy,
    next_interval,
    plain_interval,
    schedule,
)

End: TypeAlias = RunStatus | DPAError
"""How waiting ended. An error is given as a value: whoever was cancelled in the same
moment leaves no "never retrieved" behind, and nobody shares a traceback."""


_BETWEEN_ALARMS = 1.0
"""Seconds between two looks that alarms ask for."""


class Watched(Protocol):
    """A run, as far as waiting for its end has to know it."""

    @property
    def ref(self) -> RunRef:
        """Which run."""
        ...

    async def look(self, why: Why) -> RunStatus:
        """Read its status.

        Raises:
            DPAError: It could not be read.
        """
        ...

    def left(self) -> None:
        """Take note that nobody waits any more."""
        ...

    def given_up(self) -> RunError:
        """Say that nobody looks at it any more."""
        ...


class Alarm(Protocol):
    """What wakes a run when the platform says that it is over."""

    def bind(self, wake: Callable[[], None]) -> None:
        """Wake it so from now on."""
        ...

    def close(self) -> None:
        """Wake it no more."""
        ...


class Watch:
    """Looks at the runs of one runner, each when it is due.

    Args:
        owner: Of the looks that are under way.
        policy: When runs are looked at, and when waiting is given up.
        at_once: How many looks are under way at the most; others that are due wait.
    """

    def __init__(self, owner: Owner, policy: WaitPolicy, *, at_once: int) -> None:
        self.policy = policy
        self._owner = owner
        self._free = at_once
        # One for all runs: each timer and callback would otherwise make its own.
        self.context = contextvars.copy_context()
        self.learned = Learned(policy)
        self._due: deque[Wait] = deque()
        self._waits: set[Wait] = set()

    def __len__(self) -> int:
        """Give how many runs are waited for."""
        return len(self._waits)

    @property
    def closed(self) -> bool:
        """Whether nothing is looked at any more."""
        return self._owner.closed

    def close(self) -> None:
        """Tell all who wait that nobody looks any more; the owner ends the looks."""
        for wait in tuple(self._waits):
            wait.give_up()

    def add(self, wait: "Wait") -> None:
        """Take up a wait."""
        self._waits.add(wait)

    def remove(self, wait: "Wait") -> None:
        """Forget a wait that is over."""
        self._waits.discard(wait)

    def look(self, wait: "Wait") -> None:
        """Look at a run now, or as soon as there is room for one look more."""
        wait.busy = True
        self._due.append(wait)
        self._go_on()

    def _go_on(self) -> None:
        while self._free and self._due and not self.closed:
            wait = self._due.popleft()
            if wait in self._waits:
                self._free -= 1
                self._owner.spawn(wait.look()).add_done_callback(self._looked)
            else:  # nobody waits any more
                wait.busy = False

    def _looked(self, _: object) -> None:
        self._free += 1
        self._go_on()


class _Waiter(asyncio.Future[End]):
    """What one who waits holds; that it is cancelled is told at once.

    A callback would tell it as well, later, and cost more than the future itself.
    """

    __slots__ = ("_wait",)

    def __init__(self, wait: "Wait") -> None:
        super().__init__(loop=asyncio.get_running_loop())
        self._wait = wait

    @override
    def cancel(self, msg: object = None) -> bool:
        was_pending = super().cancel(msg)
        if was_pending:
            self._wait.leave(self)
        return was_pending


class Wait:
    """Waiting for the end of one run, for all who want to know.

    A later wait goes on where an earlier one left: somebody who waits again and again
    for less than the first interval would otherwise never look at all.

    Args:
        watch: Says when a look may be taken.
        run: What is looked at.
        was_started: Whether it was started just now; else it is looked at at once.
        has_alarm: Whether something will wake it when the run is over.
    """

    __slots__ = (
        "_alarm",
        "_due",
        "_has_alarm",
        "_heard_at",
        "_informative",
        "_intervals",
        "_looked_at",
        "_others",
        "_run",
        "_running_at",
        "_started_at",
        "_steps",
        "_timer",
        "_waiter",
        "_watch",
        "busy",
    )

    def __init__(
        self,
        watch: Watch,
        run: Watched,
        *,
        was_started: bool = True,
        has_alarm: bool = False,
    ) -> None:
        now = asyncio.get_running_loop().time()
        self.busy = False  # a look is under way, or waits for room
        self._watch = watch
        self._run = run
        # A run that was attached to may be over since long: it is looked at now.
        self._due = None if was_started else now
        self._started_at = now if was_started else None
        # Whether somebody waited all the time: else its looks tell next to nothing.
        self._informative = was_started and not has_alarm
        self._heard_at = 0.0
        self._looked_at = 0.0
        self._running_at = 0.0  # of the last look that saw it running
        self._alarm: Why | None = None  # what asks for the next look
        self._has_alarm = has_alarm
        self._intervals: Iterator[float] | None = None  # None: the plain schedule
        self._steps = 0
        self._timer: asyncio.TimerHandle | None = None
        # Nearly always there is one who waits, and a collection would cost more.
        self._waiter: _Waiter | None = None
        self._others: list[_Waiter] | None = None

    def __call__(self) -> None:
        """Have it looked at: this is the timer's callback, and costs nothing more."""
        self._watch.look(self)

    def join(self) -> "asyncio.Future[End]":
        """Give a future of the end; whoever does not want it any more cancels it."""
        waiter = _Waiter(self)
        if self._watch.closed:
            waiter.set_result(self._run.given_up())
        elif self._waiter is None:
            self._waiter = waiter
            self._heard_at = now = asyncio.get_running_loop().time()
            if now > (self._started_at or now) + self._watch.policy.first_look:
                self._informative = False
            self._watch.add(self)
            self._sleep()
        else:
            self._others = self._others or []
            self._others.append(waiter)
        return waiter

    def leave(self, waiter: _Waiter) -> None:
        """Take note that somebody does not wait any more."""
        if waiter is self._waiter:
            self._waiter = self._others.pop() if self._others else None
            if self._waiter is None:
                self._informative = False
                self._rest()
                self._run.left()
        elif self._others and waiter in self._others:
            self._others.remove(waiter)

    def end(self, end: End) -> None:
        """Tell all who wait how it ended."""
        for waiter in self._all_leave():
            waiter.set_result(copy.copy(end))

    def give_up(self) -> None:
        """Tell all who wait that nobody looks any more."""
        self.end(self._run.given_up())

    def wake(self, why: Why) -> None:
        """Have the run looked at: something says that it may be over.

        At most once a second, however often it is said; where nobody waits now, as soon
        as somebody does.
        """
        self._alarm = why
        soonest = max(
            self._looked_at + _BETWEEN_ALARMS, asyncio.get_running_loop().time()
        )
        if self._due is None or soonest < self._due:
            self._due = soonest
            if self._timer is not None:
                self._timer.cancel()
            if self._waiter is not None:
                self._sleep()

    async def look(self) -> None:
        """Look once; then the wait is over, or sleeps again."""
        self._due = self._timer = None
        self._looked_at = asyncio.get_running_loop().time()
        try:
            end = await self._seen()
        except Exception as bug:  # noqa: BLE001 - is told to all who wait
            self._break(bug)
            return
        finally:
            self.busy = False
        if end is not None:
            self.end(end)
        elif self._waiter is not None:
            self._sleep()

    async def _seen(self) -> End | None:
        """Look, and tell whether that ends the wait; None: it goes on."""
        why = self._alarm or ("safety" if self._has_alarm else "schedule")
        self._alarm = None
        try:
            status = await self._run.look(why)
        except ConfigurationError as error:  # no look can ever succeed
            return error.about(ref=self._run.ref)
        except DPAError as error:
            self._intervals = self._own_intervals()  # a plan counts on its looks
            return self._unreachable(error)
        self._heard_at = asyncio.get_running_loop().time()
        if status.ended:
            self._learn()
            return status
        self._running_at = self._looked_at
        if status is RunStatus.SUSPENDED and self._watch.policy.on_suspended == "raise":
            words = "it is suspended, and stays so for now"
            return RunSuspendedError(self._run.ref, words)
        return None

    def _unreachable(self, error: DPAError) -> RunUnreachableError | None:
        patience = self._watch.policy.max_silence
        if asyncio.get_running_loop().time() - self._heard_at < patience:
            return None
        words = f"no look succeeded for {patience:g} s; the last: {error}"
        return RunUnreachableError(self._run.ref, words)

    def _learn(self) -> None:
        """Learn how long the run took, from its last two looks."""
        if self._started_at is not None and self._informative:
            after = max(0.0, self._running_at - self._started_at)
            by = self._looked_at - self._started_at
            self._watch.learned.learn(self._run.ref.workflow_id, after, by)

    def _elapsed(self) -> float:
        return asyncio.get_running_loop().time() - (self._started_at or 0.0)

    def _own_intervals(self) -> Iterator[float] | None:
        policy = self._watch.policy
        return None if policy.wait_gen is None else schedule(policy)

    def _interval(self) -> float:
        """Give the seconds before the next look.

        Raises:
            ConfigurationError: The policy's generator or jitter raised.
        """
        if self._steps == 0:
            self._intervals = self._own_intervals()
            if self._intervals is None and self._started_at and not self._has_alarm:
                learned = self._watch.learned
                self._intervals = learned.intervals(
                    self._run.ref.workflow_id, self._elapsed
                )
        self._steps += 1
        if self._intervals is not None:
            return next_interval(self._intervals)
        policy, before = self._watch.policy, self._steps - 1
        return plain_interval(policy, before, has_alarm=self._has_alarm)

    def _sleep(self) -> None:
        if self.busy:
            return
        loop = asyncio.get_running_loop()
        if self._due is None:
            try:
                self._due = loop.time() + self._interval()
            except ConfigurationError as error:  # the user's code, and a run is there
                self._steps = 0
                self.end(error.about(ref=self._run.ref))
                return
        self._timer = loop.call_at(self._due, self, context=self._watch.context)

    def _rest(self) -> None:
        self._watch.remove(self)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _all_leave(self) -> Iterator[_Waiter]:
        """Give all who still wait; nobody does any more."""
        self._rest()
        waiters = (self._waiter, *(self._others or ()))
        self._waiter = self._others = None
        return (w for w in waiters if w is not None and not w.done())

    def _break(self, bug: Exception) -> None:
        for waiter in self._all_leave():
            waiter.set_exception(bug)
