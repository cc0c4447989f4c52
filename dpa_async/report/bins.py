"""Many runs in few columns: how many were going on in each, as paths of an SVG."""

from collections.abc import Iterable, Sequence

COLUMNS = 240
HEIGHT = 20
_NEXT_TO_NOTHING = 1e-9


def occupancy(spans: Iterable[tuple[float, float]]) -> list[float]:
    """Give how many went on in each column, in the mean over its width.

    Args:
        spans: From where to where each goes, as shares of the width.
    """
    parts = [0.0] * (COLUMNS + 1)
    steps = [0] * (COLUMNS + 2)
    for left, right in spans:
        first, last = _column(left), _column(right)
        if first == last:
            parts[first] += (right - left) * COLUMNS
            continue
        parts[first] += first + 1 - left * COLUMNS
        parts[last] += right * COLUMNS - last
        steps[first + 1] += 1
        steps[last] -= 1
    whole = 0
    columns: list[float] = []
    for n in range(COLUMNS):
        whole += steps[n]
        columns.append(parts[n] + whole)
    return columns


def with_moments(columns: Sequence[float], places: Iterable[float]) -> list[float]:
    """Have what took no time count where it is, though for next to nothing."""
    there = marks(places)
    return [max(c, _NEXT_TO_NOTHING * m) for c, m in zip(columns, there, strict=True)]


def marks(places: Iterable[float]) -> list[float]:
    """Give how many of these places lie in each column."""
    columns = [0.0] * COLUMNS
    for place in places:
        columns[_column(place)] += 1.0
    return columns


def _column(place: float) -> int:
    return min(int(place * COLUMNS), COLUMNS - 1)


def heights(columns: Sequence[float], most: float, least: int = 0) -> list[int]:
    """Scale to whole units of `HEIGHT`.

    Args:
        columns: The values.
        most: What fills the height.
        least: What the smallest value above nothing gets.
    """
    return [
        min(max(round(HEIGHT * value / most), least), HEIGHT) if value > 0 else 0
        for value in columns
    ]


def path(tall: Sequence[int], above: Sequence[int] | None = None) -> str:
    """Write columns as a path, on top of others; neighbours alike are one."""
    words: list[str] = []
    n = 0
    while n < len(tall):
        floor = HEIGHT - (above[n] if above else 0)
        height = min(tall[n], floor)
        width = 1
        while (
            n + width < len(tall)
            and min(tall[n + width], floor) == height
            and (not above or above[n + width] == above[n])
        ):
            width += 1
        if height:
            words.append(f"M{n} {floor}v-{height}h{width}v{height}z")
        n += width
    return "".join(words)
