"""Where to look at a run, knowing how long runs take: the best plan there is.

A plan's cost is the lag, the seconds from a run's end to the look that sees it, plus
so many seconds for each look. Where runs end at a rate h(t), looks about
sqrt(2 * cost of a look / h(t)) apart are best (Keller 1974, doi 10.1287/mnsc.21.3.256);
at the edges of peaks, where the rate jumps, that is wrong. So the rule only tells how
fine a grid of times has to be, and the best of these are found from the last to the
first:

    cost(i) = least over j > i of  look * L(i)  +  the lag of ends in (i, j]  +  cost(j)

where L is the share of runs that last longer. The lag is the time of j, times L(i)
minus L(j), less what ends between add up to: each j is a straight line over L(i), and
the least of lines is their lower hull. The times fall and L(i) rises on the way, so
the hull is a queue: new lines come at its one end, and old ones leave at the other.
The whole costs a few steps for each time, not a search among all pairs.
"""

import math
from bisect import bisect_left
from collections import deque
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple

from attrs import frozen

from dpa_async.waiting.spread import Spread

_FINENESS = 4  # times that may be looked at, for each look that the rule would make
_MOST = 1000  # of these: where looks cost next to nothing, they are coarser


class _Line(NamedTuple):
    """What looking next at one time costs, over the share that lasts until now."""

    slope: float
    start: float
    target: int

    def at(self, lasting: float) -> float:
        return self.start + self.slope * lasting


@frozen
class Plan:
    """When to look next, for every time at which a run may be seen running.

    Attributes:
        lag_per_look: The seconds of lag that one look is worth.
        times: A grid of seconds after the run's start, rising from 0.
        following: For each of these, which is the next look; the last is its own.
    """

    lag_per_look: float
    times: Sequence[float]
    following: Sequence[int]

    def next_look(self, elapsed: float) -> float:
        """Tell when to look at a run that has lasted so long.

        Returns:
            Seconds after the run's start, more than `elapsed`.
        """
        if elapsed >= self.times[-1]:
            # Longer than was ever thought: as if runs ended at a rate of 2 / elapsed.
            return elapsed + math.sqrt(self.lag_per_look * elapsed)
        at = bisect_left(self.times, elapsed)
        if at and elapsed - self.times[at - 1] < self.times[at] - elapsed:
            at -= 1  # a look comes a little late: it stands for the nearest time
        while self.times[self.following[at]] <= elapsed:
            at += 1
        return self.times[self.following[at]]


def best_plan(spread: Spread, lag_per_look: float) -> Plan:
    """Find the plan of least cost: the mean lag, plus so much for each look.

    Args:
        spread: How long runs take.
        lag_per_look: The seconds of lag that one look is worth.
    """
    times, lasting = _refined(spread, lag_per_look)
    ends = _sum_of_ends(times, lasting)
    last = len(times) - 1
    following = [last] * (last + 1)
    hull = deque([_Line(times[last], -ends[last], last)])
    for at in range(last - 1, -1, -1):
        share = lasting[at]
        while len(hull) > 1 and hull[1].at(share) <= hull[0].at(share):
            hull.popleft()
        best = hull[0]
        following[at] = best.target
        cost = lag_per_look * share + ends[at] + best.at(share)
        new = _Line(times[at], cost - times[at] * share - ends[at], at)
        while len(hull) > 1 and _is_above(hull[-2], hull[-1], new):
            hull.pop()
        hull.append(new)
    return Plan(lag_per_look, times, following)


def _refined(spread: Spread, lag_per_look: float) -> tuple[list[float], list[float]]:
    """Put so many times between those of the spread that a plan loses nothing."""
    looks = [
        math.sqrt((left - after) * (end - begin) / (2 * lag_per_look * left))
        for (left, after), (begin, end) in zip(
            pairwise(spread.lasting), pairwise(spread.times), strict=True
        )
    ]
    fineness = min(_FINENESS, _MOST / max(1.0, sum(looks)))
    times, lasting = [0.0], [1.0]
    for at, expected in enumerate(looks, 1):
        begin, left = times[-1], lasting[-1]
        parts = round(expected * fineness)
        for part in range(1, parts):
            times.append(begin + (spread.times[at] - begin) * part / parts)
            lasting.append(left + (spread.lasting[at] - left) * part / parts)
        times.append(spread.times[at])
        lasting.append(spread.lasting[at])
    return times, lasting


def _sum_of_ends(times: Sequence[float], lasting: Sequence[float]) -> list[float]:
    """Give the ends before each time added up, each by its share of runs."""
    pieces = (
        (lasting[at] - lasting[at + 1]) * (times[at] + times[at + 1]) / 2
        for at in range(len(times) - 1)
    )
    return list(accumulate(pieces, initial=0.0))


def _is_above(older: _Line, line: _Line, newer: _Line) -> bool:
    """Tell whether a line is nowhere the least, between its two neighbours."""
    return (newer.start - older.start) * (older.slope - line.slope) <= (
        line.start - older.start
    ) * (older.slope - newer.slope)
