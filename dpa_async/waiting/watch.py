"""Which runs are waited for, and whose turn it is to be looked at.

Nothing here knows what a look shows: that is the matter of each `Wait`.
"""

import asyncio
import contextvars
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from typing import Protocol, TypeAlias

from dpa_async.errors import DPAError
from dpa_async.models import RunStatus, WorkflowStatus
from dpa_async.sharing import Owner
from dpa_async.waiting.learned import Learned
from dpa_async.waiting.schedules import WaitPolicy

End: TypeAlias = RunStatus | DPAError
"""How waiting ended. An error is given as a value: whoever was cancelled in the same
moment leaves no "never retrieved" behind, and nobody shares a traceback."""

STALE = 2.5
"""Seconds by which the platform's list may lag behind an execute."""

_SCOUTS = 10  # one run in so many looks by itself though there are lists
_LONGEST_PATIENCE = 3.0  # seconds, beyond those in which a list may be stale
_QUICK = 60.0  # seconds for which one quick run makes all others look by themselves
_AT_A_TIME = 1_000
_LATEST = 0.1  # what the latest look counts for among what looks take


def _nothing() -> None:
    """Begin nothing: there is no sweep."""


class Sleeper(Protocol):
    """The wait for the end of one run, as far as a watch has to know it."""

    busy: bool
    has_alarm: bool
    workflow_id: str

    @property
    def context(self) -> contextvars.Context | None:
        """The context variables that a look sees; None: the watch's."""
        ...

    def look(self) -> Coroutine[None, None, None]:
        """Look once."""
        ...

    def hear(self, status: WorkflowStatus | None, asked_at: float) -> None:
        """Take note of what a list says of the workflow."""
        ...

    def rely_on_itself(self, *, only_young: bool = False) -> None:
        """Be looked at by its own schedule again."""
        ...

    def give_up(self) -> None:
        """Tell all who wait that nobody looks any more."""
        ...


class Watch:
    """Looks at the runs of one runner, each when it is due.

    Args:
        owner: Of the looks that are under way.
        policy: When runs are looked at, and when waiting is given up.
        at_once: How many looks are under way at the most; others that are due wait.

    Attributes:
        policy: As given.
        learned: What is known of how long the runs of workflows take.
        context: One for all runs: each timer and callback would else make its own.
        without_alarm: So many runs are waited for that no callback will wake.
        read_seconds: What a look takes, of late.
        on_change: Called when one more run is waited for, and after each look: it may
            be time to sweep, or to sweep again.
    """

    def __init__(self, owner: Owner, policy: WaitPolicy, *, at_once: int) -> None:
        self.policy = policy
        self.learned = Learned(policy)
        self.context = contextvars.copy_context()
        self.without_alarm = 0
        self.read_seconds = 0.0
        self.on_change: Callable[[], None] = _nothing
        self._owner = owner
        self._free = at_once
        self._due: deque[Sleeper] = deque()
        self._waits: set[Sleeper] = set()
        self._sweep_every: float | None = None
        self._young = 0
        self._quick_until = 0.0

    def __len__(self) -> int:
        """Give how many runs are waited for."""
        return len(self._waits)

    @property
    def closed(self) -> bool:
        """Whether nothing is looked at any more."""
        return self._owner.closed

    @property
    def is_swept(self) -> bool:
        """Whether there will be more lists, one after the other."""
        return self._sweep_every is not None

    def close(self) -> None:
        """Tell all who wait that nobody looks any more; the owner ends the looks."""
        for wait in tuple(self._waits):
            wait.give_up()

    def add(self, wait: Sleeper) -> None:
        """Take up a wait."""
        self._waits.add(wait)
        if not wait.has_alarm:
            self.without_alarm += 1
            self.on_change()

    def remove(self, wait: Sleeper) -> None:
        """Forget a wait that is over."""
        if wait in self._waits:
            self._waits.remove(wait)
            self.without_alarm -= not wait.has_alarm

    def look(self, wait: Sleeper) -> None:
        """Look at a run now, or as soon as there is room for one look more."""
        wait.busy = True
        self._due.append(wait)
        self._go_on()

    def took(self, seconds: float) -> None:
        """Take note of what a look took."""
        self.read_seconds += _LATEST * (seconds - self.read_seconds)

    def rely_on_lists(self, every: float | None) -> None:
        """Count on a list every so many seconds, or, with None, on none any more."""
        self._sweep_every = every
        if every is None:
            _ = self._owner.spawn(self._leave_lists())

    def hear(self, statuses: Mapping[str, WorkflowStatus], asked_at: float) -> None:
        """Tell all who wait what a list says, and when it was asked for."""
        for wait in tuple(self._waits):
            wait.hear(statuses.get(wait.workflow_id), asked_at)

    def patience(self) -> float:
        """Give the seconds for which a new run of an unknown workflow is let alone.

        A list cannot tell of it before. If runs are as short as that, each has to look
        by itself: a few always do, as scouts.
        """
        if self._sweep_every is None:
            return 0.0
        self._young += 1
        is_scout = self._young % _SCOUTS == 1
        if is_scout or asyncio.get_running_loop().time() < self._quick_until:
            return 0.0
        return STALE + min(1.5 * self._sweep_every, _LONGEST_PATIENCE)

    def saw_quick_run(self) -> None:
        """Take note that a run of an unknown workflow was over before a list tells."""
        now = asyncio.get_running_loop().time()
        was_quick, self._quick_until = now < self._quick_until, now + _QUICK
        if not was_quick:  # else none is let alone, and there may be ten thousand
            for wait in tuple(self._waits):
                wait.rely_on_itself(only_young=True)

    async def _leave_lists(self) -> None:
        for number, wait in enumerate(tuple(self._waits)):
            wait.rely_on_itself()
            if number % _AT_A_TIME == 0:
                await asyncio.sleep(0)  # so that ten thousand do not stop the loop
            if self.is_swept:
                break

    def _go_on(self) -> None:
        while self._free and self._due and not self.closed:
            wait = self._due.popleft()
            if wait in self._waits:
                self._free -= 1
                context = wait.context or self.context
                looking = self._owner.spawn(wait.look(), context=context)
                looking.add_done_callback(self._looked, context=self.context)
            else:  # nobody waits any more
                wait.busy = False

    def _looked(self, _: object) -> None:
        self._free += 1
        self._go_on()
        self.on_change()
