"""How long runs take, as far as looks can tell: from a few past runs to a distribution.

A look says only that a run ended since the look before, so each past run is a box:
its end is somewhere between two looks, anywhere alike. A box is widened by the distance
to its neighbours in log time, so that a workflow that takes 2 s or 10 minutes keeps
both its narrow peaks, and one that takes anything becomes smooth. A little is kept back
for what was not seen yet: anywhere among the runs seen, and longer than all of them.
"""

import math
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple

from attrs import frozen

# What was not seen yet, in runs. Much more of the first places looks into the gaps
# between peaks, none of it waits blindly through them; the tail costs little.
_AMONG = 0.1
_LONGER = 0.5
_TAIL_INDEX: int = 2  # of longer ones: a share (longest / t)**2 lasts over t
_TAIL_SPAN = 4.0  # up to so many times the longest
_HEAD_SPAN = 16.0  # and down to this part of the shortest

# A bandwidth is a part of the distance to the k-th neighbour, k ~ the root of the runs.
_NEIGHBOURS = 1.33
_BANDWIDTH = 0.35
_WIDEST = 0.5  # of a bandwidth, in log time: a run without neighbours

_STEP = 1.25  # of the grid where nothing is known; a plan makes it as fine as it needs
_SHORTEST = 1e-3  # seconds: the clock's grain, so that no box has width 0


class PastRun(NamedTuple):
    """What looks told of one run: when it was seen last, and first seen over.

    Attributes:
        after: Seconds from its start to the last look that saw it running; or 0.
        by: Seconds to the look that saw it over; infinite: nobody waited so long.
    """

    after: float
    by: float

    @property
    def middle(self) -> float:
        """Half-way; or as long as it was seen running."""
        return self.after if math.isinf(self.by) else (self.after + self.by) / 2


class _Box(NamedTuple):
    low: float
    high: float
    weight: float


@frozen
class Spread:
    """How likely a run is to end when: shares of all runs, between times.

    Attributes:
        times: Seconds after the start, rising from 0.
        lasting: The share of runs that last longer, for each time: 1 falling to 0.
    """

    times: Sequence[float]
    lasting: Sequence[float]

    def quantile(self, share: float, elapsed: float) -> float | None:
        """Tell by when this share is over, of the runs that last over `elapsed`.

        Returns:
            Seconds after the start; None: no run was ever thought to last so long.
        """
        left = self.share_lasting(elapsed)
        if not left:
            return None
        lasting = left * (1 - share)
        # Falling, so searched by its negative.
        at = bisect_left(self.lasting, -lasting, key=lambda value: -value)
        if at == 0:
            return 0.0
        before, after = self.lasting[at - 1], self.lasting[at]
        part = (before - lasting) / (before - after)
        return self.times[at - 1] + part * (self.times[at] - self.times[at - 1])

    def share_lasting(self, elapsed: float) -> float:
        """Tell the share of all runs that last longer than `elapsed` seconds."""
        at = bisect_left(self.times, elapsed)
        if at == 0 or at == len(self.times):
            return float(at == 0)
        begin, end = self.times[at - 1], self.times[at]
        part = (elapsed - begin) / (end - begin)
        return self.lasting[at - 1] * (1 - part) + self.lasting[at] * part


def spread_of(runs: Sequence[PastRun], weights: Sequence[float]) -> Spread:
    """Estimate how long runs take from what is known of past ones.

    Args:
        runs: Past runs, at least two of which are known to have ended.
        weights: How much each counts.
    """
    ended, longer = _redistributed(runs, weights)
    boxes = _boxes(ended)
    shortest = min(box.high for box in boxes)
    longest = max(box.high for box in boxes)
    times = {edge for box in boxes for edge in (box.low, box.high)}
    first = shortest / _HEAD_SPAN
    times.update((0.0, *_geometric(first, longest * _TAIL_SPAN)))
    edges = sorted(times)
    masses = _masses(boxes, edges)
    unseen = [_unseen(edge, first, longest, longer) for edge in edges]
    total = sum(masses) + unseen[0]
    shares = [
        (mass + before - after) / total
        for mass, (before, after) in zip(masses, pairwise(unseen), strict=True)
    ]
    gone = list(accumulate(shares, initial=0.0))
    return Spread(edges, [1 - over / gone[-1] for over in gone])


def _redistributed(
    runs: Sequence[PastRun], weights: Sequence[float]
) -> tuple[list[tuple[PastRun, float]], float]:
    """Give the runs that ended, by length, with their weights, and that of longer ones.

    A run that nobody waited for to its end lasts as long as those that lasted longer do
    (Kaplan and Meier): they share its weight.
    """
    order = sorted(range(len(runs)), key=lambda at: runs[at].middle)
    left = sum(weights) + _LONGER
    growth = 1.0
    ended: list[tuple[PastRun, float]] = []
    for at in order:
        left -= weights[at]
        if math.isinf(runs[at].by):
            growth *= 1 + weights[at] / left
        else:
            ended.append((runs[at], weights[at] * growth))
    return ended, _LONGER * growth


def _boxes(ended: Sequence[tuple[PastRun, float]]) -> list[_Box]:
    """Widen each run by a part of the distance to its neighbours, in log time."""
    count = len(ended)
    middles = [math.log(max(run.middle, _SHORTEST)) for run, _ in ended]
    away = max(1, min((count - 1) // 2, round(_NEIGHBOURS * math.sqrt(count))))
    boxes: list[_Box] = []
    for at, (run, weight) in enumerate(ended):
        # The nearer side: at the edge of a peak the other side is another peak.
        below = middles[at] - middles[at - away] if at >= away else math.inf
        above = middles[at + away] - middles[at] if at + away < count else math.inf
        widening = math.exp(min(_BANDWIDTH * min(below, above), _WIDEST))
        low = run.after / widening
        high = max(run.by * widening, low + max(low, 1.0) * _SHORTEST)
        boxes.append(_Box(low, high, weight))
    return boxes


def _geometric(first: float, last: float) -> Iterator[float]:
    time = first
    while time < last:
        yield time
        time *= _STEP
    yield last


def _masses(boxes: Sequence[_Box], edges: Sequence[float]) -> list[float]:
    """Give the weight of all boxes between each two edges."""
    place = {edge: at for at, edge in enumerate(edges)}
    changes = [0.0] * len(edges)
    for box in boxes:
        density = box.weight / (box.high - box.low)
        changes[place[box.low]] += density
        changes[place[box.high]] -= density
    return [
        max(0.0, density) * (end - begin)  # the sum of the changes may miss 0 by a hair
        for density, (begin, end) in zip(
            accumulate(changes), pairwise(edges), strict=False
        )
    ]


def _unseen(time: float, first: float, longest: float, longer: float) -> float:
    """Give the weight of what was not seen yet and lasts longer than this."""
    if time >= longest * _TAIL_SPAN:
        return 0.0
    if time >= longest:
        return longer * (longest / time) ** _TAIL_INDEX
    before = math.log(max(time, first) / first) / math.log(longest / first)
    return longer + _AMONG * (1 - before)
