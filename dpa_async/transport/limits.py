"""How much is in flight, and how fast it may leave.

Reads, submissions, and those whose answer is held, have budgets of their own: so polls
never keep a launch from leaving, nor does a launch that is held. A place is held by a
request that is under way, never by one that sleeps.
"""

import asyncio
from collections import deque

from dpa_async.settings import Limits
from dpa_async.wire.messages import Budget


class Pace:
    """Spaces requests evenly, and stops them all while the platform wants none.

    The generic cell rate algorithm: requests leave on a grid of `1 / rate` seconds. A
    timer that wakes late does not move the grid, so the mean keeps up with the rate,
    and no second ever holds more than the rate and one. Without a rate only pauses hold
    anything back.

    Args:
        rate: Requests per second, or None for no limit.
    """

    def __init__(self, rate: float | None) -> None:
        self._interval = 0.0 if rate is None else 1 / rate
        self._next = 0.0
        self._paused_until = 0.0
        self._queues: dict[Budget, deque[asyncio.Future[None]]] = {
            "tokens": deque(),
            "submissions": deque(),
            "held": deque(),
            "reads": deque(),
        }
        self._timer: asyncio.TimerHandle | None = None

    def pause(self, seconds: float) -> None:
        """Let nothing leave for so many seconds from now."""
        now = asyncio.get_running_loop().time()
        self._paused_until = max(self._paused_until, now + seconds)

    async def turn(self, budget: Budget) -> float:
        """Wait until one request may leave; the budgets take turns.

        Returns:
            When that was.
        """
        loop = asyncio.get_running_loop()
        if self._timer is None and self._ready_at <= loop.time():
            self._next = loop.time() + self._interval
            return loop.time()
        granted = loop.create_future()
        self._queues[budget].append(granted)
        self._arm(loop)
        try:
            await granted
        except asyncio.CancelledError:
            if granted.done() and not granted.cancelled():
                # Granted and cancelled in one tick: the slot goes to the next.
                self._next -= self._interval
            raise
        return loop.time()

    def is_past(self, given_at: float) -> bool:
        """Tell whether a turn was so long ago that it is somebody else's by now."""
        return asyncio.get_running_loop().time() > given_at + self._interval

    @property
    def _ready_at(self) -> float:
        return max(self._next, self._paused_until)

    def _arm(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._timer is None and any(self._queues.values()):
            self._timer = loop.call_at(self._ready_at, self._grant, loop)

    def _grant(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        while self._ready_at <= loop.time() and (granted := self._pop()) is not None:
            late = loop.time() - self._next
            self._next += self._interval + (late if late > self._interval else 0)
            granted.set_result(None)
        self._arm(loop)

    def _pop(self) -> asyncio.Future[None] | None:
        """Take the next who still waits; the queue it came from goes to the back."""
        for budget in tuple(self._queues):
            queue = self._queues[budget]
            while queue:
                granted = queue.popleft()
                if not granted.done():
                    self._queues[budget] = self._queues.pop(budget)
                    return granted
        return None


class Limiter:
    """The places in flight of one client, and its pace."""

    def __init__(self, limits: Limits) -> None:
        self.pace = Pace(limits.requests_per_second)
        self._places: dict[Budget, asyncio.Semaphore] = {
            # Of their own: who holds another place may be waiting for a token.
            "tokens": asyncio.Semaphore(1),
            "reads": asyncio.Semaphore(limits.reads_in_flight),
            "submissions": asyncio.Semaphore(limits.submissions_in_flight),
            "held": asyncio.Semaphore(limits.held_in_flight),
        }

    def place(self, budget: Budget) -> asyncio.Semaphore:
        """Give what a request has to hold while it is under way."""
        return self._places[budget]
