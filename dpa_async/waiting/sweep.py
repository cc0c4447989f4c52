"""One list for all runs: what is over is looked at, what goes on is left alone.

The platform tells the status of every workflow in one answer. It is the workflow's and
not the run's, and can be stale: an alarm clock like any other, so that each run that is
thought to be over is confirmed by a look of its own.

The rule, where the policy says "auto": a list counts as so many status reads as it is
16 KiB long, and one; or as it takes their time, where that is more. With n runs asleep
there is a list as often as makes one read a run every third of `maximum` (15 s: every
5 s), but not more often than every 0.8 s. Where that is rarer than every half of
`maximum`, or n is under 6, there is no sweep; one that goes on ends where it is rarer
than every `maximum`, or n is under 3, so that it does not flutter.
"""

import asyncio

from attrs import frozen

from dpa_async.errors import DPAError
from dpa_async.sharing import Owner
from dpa_async.waiting.lists import Lists
from dpa_async.waiting.watch import Watch

_SHORTEST = 0.8
_READ_EVERY = 1 / 3  # of the policy's maximum
_TOO_SLOW = 10.0
_FAILURES = 3
_FIRST_REST = 60.0
_LONGEST_REST = 960.0


@frozen
class _Bounds:
    """So many runs at least; so much of the policy's maximum between two lists."""

    fewest: int
    longest: float


_TO_BEGIN = _Bounds(6, 0.5)
_TO_GO_ON = _Bounds(3, 1.0)


class Sweep:
    """Asks for lists while that costs less than looking at each run.

    Args:
        watch: Whose runs they are.
        lists: What is asked.
        owner: Of the task that asks.
    """

    def __init__(self, watch: Watch, lists: Lists, owner: Owner) -> None:
        self._watch = watch
        self._lists = lists
        self._owner = owner
        self._rest = _FIRST_REST
        self._not_before = 0.0
        self._sweeping: asyncio.Task[None] | None = None
        lists.hearers.append(watch.hear)
        if watch.policy.sweep != "never":
            watch.on_change = self._consider

    def _interval(self, bounds: _Bounds) -> float | None:
        """Give the seconds between two lists; None: each run is looked at instead."""
        runs, policy = self._watch.without_alarm, self._watch.policy
        if not runs:
            return None
        weight = self._lists.weight(self._watch.read_seconds)
        interval = max(_SHORTEST, weight * policy.maximum * _READ_EVERY / runs)
        if policy.sweep == "always":
            return min(interval, max(_SHORTEST, policy.maximum))
        too_rare = interval > policy.maximum * bounds.longest
        return None if runs < bounds.fewest or too_rare else interval

    def _consider(self) -> None:
        """Begin, where that has become worth it."""
        if self._sweeping is not None or self._owner.closed:
            return
        if self._interval(_TO_BEGIN) is None:
            return
        if asyncio.get_running_loop().time() >= self._not_before:
            self._sweeping = self._owner.spawn(self._sweep())
            self._sweeping.add_done_callback(self._ended)

    def _ended(self, sweeping: asyncio.Task[None]) -> None:
        self._sweeping = None
        if not self._owner.closed:
            self._watch.rely_on_lists(None)
        if not sweeping.cancelled() and (bug := sweeping.exception()) is not None:
            raise bug

    async def _sweep(self) -> None:
        failures = 0
        while (interval := self._interval(_TO_GO_ON)) is not None:
            self._watch.rely_on_lists(interval)
            await asyncio.sleep(interval)
            if not self._watch.without_alarm:  # the last one ended meanwhile
                return
            failures = 0 if await self._heard() else failures + 1
            if failures == _FAILURES:
                loop = asyncio.get_running_loop()
                self._not_before = loop.time() + self._rest
                self._rest = min(2 * self._rest, _LONGEST_REST)
                return

    async def _heard(self) -> bool:
        try:
            async with asyncio.timeout(_TOO_SLOW):
                _ = await self._lists.ask(repeat=False)
        except (DPAError, TimeoutError):
            return False
        self._rest = _FIRST_REST
        return True
