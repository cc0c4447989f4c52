"""The one wait loop. Whatever wakes it only decides when to look; a look decides.

A run asleep is a timer, and a future for each who waits for it. A task exists only
while a look is under way: fifty thousand sleeping runs are no fifty thousand tasks.
"""

import asyncio
import copy
import math
from collections.abc import Iterator
from contextvars import Context

from dpa_async.errors import (
    ConfigurationError,
    DPAError,
    InvalidParameterError,
    RunSuspendedError,
    RunUnreachableError,
)
from dpa_async.events import Why
from dpa_async.models import RunStatus, WorkflowStatus
from dpa_async.waiting.schedules import (
    next_interval,
    plain_interval,
    plain_step,
    safety_interval,
    schedule,
)
from dpa_async.waiting.waiter import Waiter
from dpa_async.waiting.watch import STALE, End, Watch
from dpa_async.waiting.watched import ATTACHED, Beginning, Trust, Watched

# In seconds, all of them.
_BETWEEN_ALARMS = 1.0  # two looks that alarms ask for
_AT_ONCE = 0.5  # from its start on: who is waited for later is not learned from
_JUST_NOW = 0.1  # an answer that was held comes so long after the end
_LONGEST_DOUBT = 60.0  # lists are not believed after many false alarms
_TIMERS_DIFFER = 0.01  # a timer may come so long before it is due

# What a list says of nearly all, thousands of times: an enum's lookup would show.
_RUNNING, _SUSPENDED = WorkflowStatus.RUNNING, WorkflowStatus.SUSPENDED
_AT_REST = frozenset({WorkflowStatus.SUCCEEDED, WorkflowStatus.FAILED})
_LISTS = Trust.LISTS


class Wait:
    """Waiting for the end of one run, for all who want to know.

    A later wait goes on where an earlier one left: somebody who waits again and again
    for less than the first interval would otherwise never look at all.

    Args:
        watch: Says when a look may be taken.
        run: What is looked at.
        beginning: What is known of it now.
    """

    __slots__ = (
        "_alarm",
        "_believe_from",
        "_doubt",
        "_due",
        "_informative",
        "_intervals",
        "_is_hearsay",
        "_looked_at",
        "_others",
        "_run",
        "_running_at",
        "_silent_since",
        "_started_at",
        "_steps",
        "_timer",
        "_trust",
        "_waiter",
        "_watch",
        "busy",
        "has_alarm",
        "workflow_id",
    )

    def __init__(
        self, watch: Watch, run: Watched, beginning: Beginning = ATTACHED
    ) -> None:
        now = asyncio.get_running_loop().time()
        started_at, is_over = beginning.started_at, beginning.is_over
        self.busy = False  # a look is under way, or waits for room
        self.has_alarm = beginning.has_alarm
        self._is_hearsay = beginning.is_hearsay  # until a look has seen it
        self.workflow_id = run.ref.workflow_id
        self._watch = watch
        self._run = run
        # A run that was attached to may be over since long: it is looked at now.
        self._due = now if started_at is None or is_over else None
        self._started_at = started_at
        # Whether somebody waited all the time: else its looks tell next to nothing.
        self._informative = started_at is not None and not self.has_alarm
        self._looked_at = 0.0
        self._silent_since: float | None = None  # the first look that failed since
        self._running_at = now - _JUST_NOW if is_over else now  # the last sign
        if started_at is None:
            self._running_at = -math.inf  # there was none
        self._alarm: Why | None = None  # what asks for the next look
        self._trust = Trust.ITSELF
        self._believe_from = 0.0  # lists that were asked for then, or later
        self._doubt = 0.5  # seconds for which the latest false alarm discredits them
        self._intervals: Iterator[float] | None = None  # None: the plain schedule
        self._steps = 0
        self._timer: asyncio.TimerHandle | None = None
        # Nearly always there is one who waits, and a collection would cost more.
        self._waiter: Waiter | None = None
        self._others: list[Waiter] | None = None

    def __call__(self) -> None:
        """Have it looked at, if it is due: this is the timer's callback.

        To be due later leaves the timer: a list can do that to ten thousand at once.
        """
        self._timer = None
        now = asyncio.get_running_loop().time()
        if self._due is not None and self._due > now + _TIMERS_DIFFER:
            self._sleep()
        else:
            self._watch.look(self)

    @property
    def context(self) -> Context | None:
        """The context variables that its looks see."""
        return self._run.context

    @property
    def is_awaited(self) -> bool:
        """Whether somebody waits."""
        return self._waiter is not None

    def lag(self) -> float | None:
        """Give the seconds for which it may be over, at most; None: nothing tells."""
        lag = asyncio.get_running_loop().time() - self._running_at
        return None if math.isinf(lag) else lag

    def join(self) -> "asyncio.Future[End]":
        """Give a future of the end; whoever does not want it any more cancels it."""
        waiter = Waiter(self)
        if self._watch.closed:
            waiter.set_result(self._run.given_up())
        elif self._waiter is None:
            self._waiter = waiter
            self._silent_since = None
            since = self._running_at if self._due is None else self._due
            patience = max(self._watch.policy.first_look, _AT_ONCE)
            self._informative &= asyncio.get_running_loop().time() <= since + patience
            self._watch.add(self)
            self._sleep()
        else:
            self._others = self._others or []
            self._others.append(waiter)
        return waiter

    def leave(self, waiter: Waiter) -> None:
        """Take note that somebody does not wait any more."""
        if waiter is self._waiter:
            self._waiter = self._others.pop() if self._others else None
            if self._waiter is None:
                self._informative = False
                self._rest()
                if self._trust is not Trust.ITSELF:  # nobody hears lists any more
                    self._trust = Trust.ITSELF
                    now = asyncio.get_running_loop().time()
                    self._due = now + self._watch.policy.first_look
                self._run.left()
        elif self._others and waiter in self._others:
            self._others.remove(waiter)

    def end(self, end: End) -> None:
        """Tell all who wait how it ended, or why they wait no more."""
        for waiter in self._all_leave():
            waiter.set_result(copy.copy(end))
        if isinstance(end, DPAError):
            self._run.left()

    def give_up(self) -> None:
        """Tell all who wait that nobody looks any more."""
        self.end(self._run.given_up())

    def wake(self, why: Why) -> None:
        """Have the run looked at: something says that it may be over.

        At most once a second, however often it is said; where nobody waits now, as soon
        as somebody does.
        """
        now = asyncio.get_running_loop().time()
        if why == "callback" and self._alarm != why:  # it was running until then
            self._running_at = now
        self._alarm = why
        soonest = max(self._looked_at + _BETWEEN_ALARMS, now)
        if self._due is None or soonest < self._due:
            self._sleep_until(soonest)

    def hear(self, status: WorkflowStatus | None, asked_at: float) -> None:
        """Take note of what a list says of the workflow, and when it was asked for.

        It is the workflow's status and can be stale: the run before, or somebody
        else's. A list that shows it running tells that this one watches over it; who is
        not in the list, or nothing that is known, is watched over by nobody.
        """
        if status is _RUNNING and self._trust is _LISTS:  # nearly all, at every list
            self._running_at = max(self._running_at, asked_at - STALE)
        elif self.busy or self._alarm is not None or asked_at < self._believe_from:
            return
        elif status in _AT_REST or (status is _SUSPENDED and self._wants_suspended()):
            if not self._is_young():
                self.wake("sweep")
        elif status is _RUNNING or status is _SUSPENDED:
            self._running_at = max(self._running_at, asked_at - STALE)
            self._rely_on_lists()
        elif self._trust is _LISTS:  # that of a young run tells of what was before it
            self.rely_on_itself()

    def rely_on_itself(self, *, only_young: bool = False) -> None:
        """Be looked at by its own schedule again: no list watches over it any more."""
        if self._trust is Trust.ITSELF or (only_young and self._trust is _LISTS):
            return
        self._trust = Trust.ITSELF
        if self._started_at is not None:  # as far as the schedule would be by now
            step = plain_step(self._watch.policy, self._elapsed())
            self._steps = max(self._steps, step)
        if self._alarm is None and not self.busy:
            self._sleep_until(None)

    def _rely_on_lists(self) -> None:
        if self._trust is _LISTS or self.has_alarm or not self._watch.is_swept:
            return
        if self._trust is Trust.ITSELF and self._is_young():
            return  # it may be over long before a list can tell
        self._trust = _LISTS
        self._sleep_until(None)

    def _wants_suspended(self) -> bool:
        return self._watch.policy.on_suspended == "raise"

    def _was_false_alarm(self) -> None:
        """Take note that a list was wrong: lists are not believed for a while."""
        self._doubt = min(2 * self._doubt, _LONGEST_DOUBT)
        self._believe_from = self._looked_at + self._doubt
        self.rely_on_itself()

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
        is_watched_over = self.has_alarm or self._trust is _LISTS
        usual: Why = "safety" if is_watched_over else "schedule"
        why, self._alarm = self._alarm or usual, None
        if self._trust is Trust.YOUNG:  # it was, and no list told of it
            self._trust = Trust.ITSELF
        try:
            status = await self._run.look(why)
        except ConfigurationError as error:  # no look can ever succeed
            return error.about(ref=self._run.ref)
        except DPAError as error:
            return self._unreachable(error, why)
        self._silent_since, self._is_hearsay = None, False
        self._watch.took(asyncio.get_running_loop().time() - self._looked_at)
        if status.ended:
            if why != "safety":  # lists show it running still: that is another run
                self._learn()
            return status
        self._running_at = self._looked_at
        if why == "sweep":
            self._was_false_alarm()
        if status is RunStatus.SUSPENDED and self._wants_suspended():
            words = "it is suspended, and stays so for now"
            return RunSuspendedError(self._run.ref, words)
        return None

    def _unreachable(self, error: DPAError, why: Why) -> RunUnreachableError | None:
        self._intervals = self._own_intervals()  # a plan counts on its looks
        if why == "callback":  # none comes again
            self._alarm, self._trust = why, Trust.ITSELF
        if isinstance(error, InvalidParameterError) and self._is_hearsay:
            words = f"it was never seen, and the platform does not know it: {error}"
            return RunUnreachableError(self._run.ref, words)
        if self._silent_since is None:
            self._silent_since = self._looked_at
        patience = self._watch.policy.max_silence
        if asyncio.get_running_loop().time() - self._silent_since < patience:
            return None
        words = f"no look succeeded for {patience:g} s; the last: {error}"
        return RunUnreachableError(self._run.ref, words)

    def _learn(self) -> None:
        """Learn how long the run took, from the last sign of it and this look."""
        if self._started_at is None or not self._informative:
            return
        after = max(0.0, self._running_at - self._started_at)
        by = max(after, self._looked_at - self._started_at)
        if by < STALE and self._intervals is None:
            self._watch.saw_quick_run()
        self._watch.learned.learn(self.workflow_id, after, by)

    def _is_young(self) -> bool:
        """Tell whether lists may still show what was before it."""
        return self._started_at is not None and self._elapsed() < STALE

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
        policy = self._watch.policy
        if self._trust is _LISTS:  # since its latest look, whatever lists said since
            since = max(self._looked_at, self._started_at or 0.0)
            now = asyncio.get_running_loop().time()
            return max(0.0, since + safety_interval(policy) - now)
        is_first = self._steps == 0
        if is_first:
            self._intervals = self._own_intervals() or self._learned_intervals()
        self._steps += 1
        if self._intervals is not None:
            return next_interval(self._intervals)
        is_quiet = self.has_alarm and self._alarm is None
        interval = plain_interval(policy, self._steps - 1, has_alarm=is_quiet)
        if is_first and self._started_at is not None and not self.has_alarm:
            patience = self._watch.patience() - self._elapsed()
            if patience > interval:
                self._trust = Trust.YOUNG
                return patience
        return interval

    def _learned_intervals(self) -> Iterator[float] | None:
        if self._started_at is None or self.has_alarm:
            return None
        return self._watch.learned.intervals(self.workflow_id, self._elapsed)

    def _sleep_until(self, due: float | None) -> None:
        """Sleep anew, until then; None: as long as the schedule says."""
        self._due = due
        if self._waiter is not None:
            self._sleep()

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
        if self._timer is not None:
            if self._timer.when() <= self._due:
                return
            self._timer.cancel()
        self._timer = loop.call_at(self._due, self, context=self._watch.context)

    def _rest(self) -> None:
        self._watch.remove(self)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _all_leave(self) -> Iterator[Waiter]:
        """Give all who still wait; nobody does any more."""
        self._rest()
        waiters = (self._waiter, *(self._others or ()))
        self._waiter = self._others = None
        return (w for w in waiters if w is not None and not w.done())

    def _break(self, bug: Exception) -> None:
        for waiter in self._all_leave():
            waiter.set_exception(bug)
