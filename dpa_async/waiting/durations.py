"""What is learned of one workflow's runs: how long they take."""

import math
from collections import deque

from dpa_async.checks import check_number, refuse
from dpa_async.waiting.plan import Plan, best_plan
from dpa_async.waiting.spread import PastRun, Spread, spread_of

_ENOUGH = 5  # runs that ended: under so many, nothing is told
_KEPT = 128  # runs: the older ones are forgotten
_HALF_LIFE = 100  # runs after which one counts for half: so that drift is followed
_RENEWED = 8  # the estimate is made anew when this part of the runs kept is new


class Durations:
    """How long the runs of one workflow take, from the looks at its latest runs.

    Bounded: it keeps the latest 128 runs, and older ones count for less (with their
    plan, some 60 KiB). What it tells may lag behind what it learned by an eighth of the
    runs, so that learning costs next to nothing.
    """

    __slots__ = ("_ended", "_plan", "_runs", "_spread", "_unused")

    def __init__(self) -> None:
        self._runs: deque[PastRun] = deque(maxlen=_KEPT)
        self._ended = 0
        self._unused = 0
        self._spread: Spread | None = None
        self._plan: Plan | None = None

    def __len__(self) -> int:
        """The number of runs kept that are known to have ended."""
        return self._ended

    def learn(self, after: float, by: float) -> None:
        """Learn of one run: it ended after one look, and by the next.

        Args:
            after: Seconds from the run's start to the last look that saw it running;
                0: none did.
            by: Seconds from the start to the look that saw it over; `math.inf`: nobody
                waited so long, which is worth telling too (once for a run), or only
                short runs were ever learned.

        Raises:
            ConfigurationError: These are no times in their order.
        """
        check_number("after", after, least=0)
        if by != math.inf:
            check_number("by", by, least=after)
            self._ended += 1
        if len(self._runs) == _KEPT:
            self._ended -= self._runs[0].by != math.inf
        self._runs.append(PastRun(after, by))
        self._unused += 1

    def quantile(self, share: float, *, elapsed: float = 0.0) -> float | None:
        """Tell by when this share of runs is over, of those that last over `elapsed`.

        The median of what remains for a run, say, is
        `quantile(0.5, elapsed=elapsed) - elapsed`. A little is kept back for runs
        longer than any seen.

        Args:
            share: 0 to 1.
            elapsed: Seconds that the run has lasted already.

        Returns:
            Seconds after the start; None: too few runs are known, or none is thought
            to last so long.
        """
        if not 0 <= share <= 1:
            refuse("share", f"is {share!r}: give a number from 0 to 1")
        self._renew()
        return None if self._spread is None else self._spread.quantile(share, elapsed)

    def plan(self, lag_per_look: float) -> Plan | None:
        """Tell when to look at a run.

        Args:
            lag_per_look: The seconds of lag that one look is worth.

        Returns:
            The best plan; None: fewer than five runs are known.
        """
        self._renew()
        if self._spread is None:
            return None
        if self._plan is None or self._plan.lag_per_look != lag_per_look:
            self._plan = best_plan(self._spread, lag_per_look)
        return self._plan

    def _renew(self) -> None:
        stale = self._unused * _RENEWED >= len(self._runs)
        if self._ended < _ENOUGH or (self._spread is not None and not stale):
            return
        ages = range(len(self._runs) - 1, -1, -1)
        weights = [0.5 ** (age / _HALF_LIFE) for age in ages]
        self._spread = spread_of(self._runs, weights)
        self._plan = None
        self._unused = 0
