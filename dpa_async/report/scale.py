"""Time on the width of a picture: long stretches in which nothing happened are cut."""

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import pairwise

from attrs import frozen

_MOST_CUTS = 12
_CUT_SHARE = 0.12  # of the time in which something happened: what is cut is longer
_MUCH_LONGER = 10  # times the median: so is it
_MOMENT = 0.001  # seconds: what has no length gets a place
_CUT_WIDTH = 0.015  # of the picture
_LABELS = 6
_WORD = 0.08  # of the picture: a word of a label, on a narrow one
LAST = 0.9  # of the picture: a label from here on would leave it
_STEPS = (
    *(1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800),
    *(3_600, 7_200, 14_400, 21_600, 43_200, 86_400, 172_800, 604_800),
)
_MONTH = 2_592_000
_DAY = 86_400
_MINUTE = 60

Span = tuple[float, float]


@frozen
class Stretch:
    """Some time, seconds since 1970, and its place, as shares of the width."""

    begin: float
    end: float
    left: float
    right: float

    def at(self, time: float) -> float:
        """Give the place of a time in it, or of its nearer end."""
        share = (time - self.begin) / (self.end - self.begin)
        return self.left + (self.right - self.left) * min(max(share, 0.0), 1.0)


@frozen
class Tick:
    """A labelled place of the axis."""

    place: float
    label: str


@frozen
class TimeScale:
    """Where on the width each time is.

    Attributes:
        stretches: In order, at least one; between two lies what was cut.
    """

    stretches: Sequence[Stretch]

    def at(self, time: float) -> float:
        """Give the place of a time, as a share of the width."""
        after = bisect_right(self.stretches, time, key=lambda one: one.begin)
        return self.stretches[max(after - 1, 0)].at(time)

    @property
    def begin(self) -> float:
        """When it begins, seconds since 1970."""
        return self.stretches[0].begin

    @property
    def end(self) -> float:
        """When it ends, seconds since 1970."""
        return self.stretches[-1].end

    def ticks(self) -> list[Tick]:
        """Give labelled times, far enough from each other to be read."""
        shown = sum(one.end - one.begin for one in self.stretches)
        step = next((s for s in _STEPS if s * _LABELS >= shown), _MONTH)
        ticks: list[Tick] = []
        day = ""
        for one in self.stretches:
            for time in _times(one, step):
                place = one.at(time)
                moment = datetime.fromtimestamp(time, UTC)
                today = f"{moment:%b}\u00a0{moment.day}"
                words = today if step >= _DAY else _clock(moment, step)
                if today != day and len(self.stretches) > 1 and step < _DAY:
                    words = f"{today} {words}"
                tick = Tick(place, words)
                if not ticks or _is_clear(ticks[-1], tick):
                    day = today
                    ticks.append(tick)
        return ticks


def _is_clear(before: Tick, tick: Tick) -> bool:
    """Tell whether two labels do not touch."""
    needed = _width(before)
    if tick.place > LAST:  # there a label stands before its place, not after it
        needed += _width(tick)
    return tick.place - before.place >= needed


def _width(tick: Tick) -> float:
    return _WORD * (1 + tick.label.count(" "))


def _times(one: Stretch, step: int) -> Iterable[float]:
    first = int(-(-one.begin // step)) * step
    times = range(first, int(one.end) + 1, step)
    return times or (one.begin,)


def _clock(moment: datetime, step: int) -> str:
    return f"{moment:%H:%M}" if step >= _MINUTE else f"{moment:%H:%M:%S}"


def time_scale(spans: Iterable[Span]) -> TimeScale:
    """Make the scale that shows these spans, at least one.

    What is cut is time in which nothing began and nothing ended, and much of it: more
    than runs tend to take, for a run that was going on when its process died is seen to
    end whenever somebody looks again.
    """
    known = list(spans)
    moments = sorted({moment for span in known for moment in span})
    lasted = sorted(end - begin for begin, end in known)
    usual = lasted[len(lasted) // 2]
    waits = [after - before for before, after in pairwise(moments)]
    busy = sum(wait for wait in waits if wait <= _MUCH_LONGER * usual)
    long = max(_MUCH_LONGER * usual, _CUT_SHARE * busy, 1.0) if busy else math.inf
    cuts = sorted((wait, n) for n, wait in enumerate(waits) if wait > long)[
        -_MOST_CUTS:
    ]
    stretches: list[Span] = []
    begin = moments[0]
    for n in sorted(n for _, n in cuts):
        stretches.append((begin, max(moments[n], begin + _MOMENT)))
        begin = moments[n + 1]
    stretches.append((begin, max(moments[-1], begin + _MOMENT)))
    return TimeScale(_placed(stretches))


def _placed(spans: Sequence[Span]) -> list[Stretch]:
    lasted = sum(end - begin for begin, end in spans)
    room = 1.0 - _CUT_WIDTH * (len(spans) - 1)
    # What was short must be seen, however long its neighbours are.
    least = room * 0.25 / len(spans)
    rest = room - least * len(spans)
    placed: list[Stretch] = []
    left = 0.0
    for begin, end in spans:
        width = least + rest * (end - begin) / lasted
        placed.append(Stretch(begin, end, left, left + width))
        left += width + _CUT_WIDTH
    return placed
