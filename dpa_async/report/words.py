"""Numbers, times and states as a person reads them, and the statistics they come of."""

from collections.abc import Sequence
from datetime import UTC, datetime

from dpa_async.report.runs import RunState

_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400

SHORT = {
    RunState.SUCCEEDED: "s",
    RunState.FAILED: "f",
    RunState.UNCERTAIN: "u",
    RunState.RUNNING: "r",
    RunState.INTENDED: "i",
    RunState.NOT_STARTED: "n",
}
"""A state as the class that has its colour, in the order in which states are shown."""

STATES = tuple(SHORT)


def quantile(ordered: Sequence[float], share: float) -> float:
    """Give a quantile of sorted values, at least one; between two, in proportion."""
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def count(number: int, one: str, many: str | None = None) -> str:
    """Give `1 run`, `1,200 runs`."""
    word = one if number == 1 else many or f"{one}s"
    return f"{number:,} {word}"


def seconds(value: float) -> str:
    """Give a duration: `0.84 s`, `12.3 s`, `4 min 12 s`, `2 h 03 min`, `3 d 4 h`."""
    if value < 9.995:  # noqa: PLR2004 - from here on it would be 10.00
        return f"{max(value, 0.0):.2f} s"
    if value < 59.95:  # noqa: PLR2004 - as above
        return f"{value:.1f} s"
    whole = round(value)
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE:02} s"
    if whole < _DAY:
        return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE:02} min"
    return f"{whole // _DAY} d {whole % _DAY // _HOUR} h"


def moment(at: datetime | None) -> str:
    """Give a time in UTC, to the second."""
    return "" if at is None else f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def share(part: int, whole: int) -> str:
    """Give a percentage that is 100 or 0 only where it is so exactly."""
    if part in {0, whole} or not whole:
        return "100 %" if part and whole else "0 %"
    return f"{min(max(100 * part / whole, 0.1), 99.9):.1f} %"
