"""How long runs took, by workflow; how many looks they took, and with what lag."""

import math
from bisect import bisect_left
from collections.abc import Sequence

from dpa_async.report.bins import HEIGHT, heights, path
from dpa_async.report.lines import Contents, Group
from dpa_async.report.markup import Html, element, join, number, percent, text
from dpa_async.report.runs import RunState
from dpa_async.report.words import count, quantile, seconds

_COLUMNS = 48
_DECADES = (0.01, 0.1, 1.0, 10.0, 60.0, 600.0, 3_600.0, 36_000.0, 86_400.0, 864_000.0)
_BRIEF = {60.0: "1 min", 600.0: "10 min", 3_600.0: "1 h", 36_000.0: "10 h"}
_EDGES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 60.0, 120.0, 300.0)
_MOST_LOOKS = 24  # more of them share a column
_LABEL_ROOM = 0.12  # of the width


class _Widths:
    """Durations on the width of a picture, by their logarithm."""

    def __init__(self, shortest: float, longest: float) -> None:
        self._low = math.log(max(shortest, 0.001) / 1.15)
        self._high = math.log(max(longest, 0.001) * 1.15)

    def at(self, duration: float) -> float:
        """Give the place of a duration, as a share of the width."""
        place = math.log(max(duration, 0.001)) - self._low
        return place / (self._high - self._low)

    def columns(self, durations: Sequence[float]) -> list[float]:
        """Count durations by column."""
        columns = [0.0] * _COLUMNS
        for duration in durations:
            columns[min(int(self.at(duration) * _COLUMNS), _COLUMNS - 1)] += 1
        return columns

    def labels(self) -> list[tuple[float, str]]:
        """Give labelled places."""
        found = [(self.at(d), _brief(d)) for d in _DECADES]
        inside = [(at, words) for at, words in found if 0.0 < at < 1.0]
        return [
            pair
            for n, pair in enumerate(inside)
            if n == 0 or pair[0] - inside[n - 1][0] > _LABEL_ROOM
        ]


def _brief(duration: float) -> str:
    if duration in _BRIEF:
        return _BRIEF[duration]
    days = duration / 86_400
    return f"{number(days)} d" if days >= 1 else f"{number(duration)} s"


def durations(contents: Contents) -> Html:
    """Draw how long runs took."""
    took = [t for line in contents.lines if (t := line.took) is not None]
    if not took:
        return element("p", text("No run is known from its start to its end."))
    widths = _Widths(min(took), max(took))
    rows = [_row(group, widths) for group in contents.groups if group.durations]
    head = element(
        "tr",
        _head("Workflow"),
        _head("Runs", "n"),
        element("th", text("Duration"), _axis(widths), scope="col", class_="wide"),
        _head("Median", "n"),
        _head("95 %", "n more"),
        _head("Longest", "n more"),
        _head("Looks", "n more"),
    )
    table = element("table", element("thead", head), element("tbody", *rows))
    words = (
        "From the answer of the execute to the look that saw the end, on one "
        "logarithmic scale; the line is the median. Red ones failed."
    )
    return join(
        element("p", text(words), class_="note"),
        element("div", table, class_="durations"),
    )


def _head(words: str, class_: str | None = None) -> Html:
    return element("th", text(words), scope="col", class_=class_)


def _axis(widths: _Widths) -> Html:
    labels = [
        element("text", text(words), x=percent(place), y=10)
        for place, words in widths.labels()
    ]
    return element("svg", *labels, aria_hidden="true", class_="ticks")


def _row(group: Group, widths: _Widths) -> Html:
    took = group.durations
    failed = sorted(
        t
        for line in group.lines
        if line.run.state is RunState.FAILED and (t := line.took) is not None
    )
    looks = [line.run.looks for line in group.lines if line.run.looks is not None]
    median = quantile(took, 0.5)
    name = group.name or count(group.workflows, "other workflow")
    words = (
        f"{name}: {count(len(took), 'duration')} from {seconds(took[0])} to "
        f"{seconds(took[-1])}, median {seconds(median)}"
    )
    cells = (
        element("td", text(f"{len(group.lines):,}"), class_="n"),
        element("td", _picture(took, failed, widths, words), class_="wide"),
        element("td", text(seconds(median)), class_="n"),
        element("td", text(seconds(quantile(took, 0.95))), class_="n more"),
        element("td", text(seconds(took[-1])), class_="n more"),
        element("td", text(_mean(looks)), class_="n more"),
    )
    title = element("bdi", text(name[:80]))
    return element(
        "tr",
        element("th", title, scope="row", title=name),
        *cells,
        data_workflow=group.name,
    )


def _picture(
    took: Sequence[float], failed: Sequence[float], widths: _Widths, words: str
) -> Html:
    columns = widths.columns(took)
    bad = heights(widths.columns(failed), max(columns), 4)
    tall = heights(columns, max(columns), 2)
    good = [max(a - b, 0) for a, b in zip(tall, bad, strict=True)]
    middle = widths.at(quantile(took, 0.5)) * _COLUMNS
    return element(
        "svg",
        element("title", text(words)),
        element("path", class_="f", d=path(bad)),
        element("path", class_="s", d=path(good, bad)),
        element("path", class_="middle", d=f"M{number(middle)} 0v{HEIGHT}"),
        role="img",
        viewBox=f"0 0 {_COLUMNS} {HEIGHT}",
        preserveAspectRatio="none",
    )


def _mean(values: Sequence[int]) -> str:
    return number(sum(values) / len(values), 1) if values else ""


def looks_and_lag(contents: Contents) -> Html:
    """Draw how many looks runs took, and how late their ends were seen."""
    looks = [n for line in contents.lines if (n := line.run.looks) is not None]
    lags = sorted(s for line in contents.lines if (s := line.run.lag) is not None)
    figures: list[Html] = []
    if looks:
        mean = number(sum(looks) / len(looks), 2)
        caption = f"Looks per run: {mean} in the mean, {max(looks):,} at most"
        figures.append(_chart(caption, _by_looks(looks)))
    if lags:
        caption = (
            f"Lag, at most: median {seconds(quantile(lags, 0.5))}, "
            f"95 % {seconds(quantile(lags, 0.95))}, {seconds(lags[-1])} the longest"
        )
        figures.append(_chart(caption, _by_lag(lags)))
    else:
        words = "How late each end was seen is not known here: a journal does not tell."
        figures.append(element("p", text(words), class_="note"))
    return element("div", *figures, class_="figures")


def _by_looks(looks: Sequence[int]) -> list[tuple[str, int]]:
    width = -(-(max(looks) + 1) // _MOST_LOOKS)
    counts = [0] * (max(looks) // width + 1)
    for value in looks:
        counts[value // width] += 1
    first = min(n for n, there in enumerate(counts) if there)
    return [
        (str(n * width) if width == 1 else f"{n * width}-{(n + 1) * width - 1}", there)
        for n, there in enumerate(counts)
        if n >= min(first, 1)
    ]


def _by_lag(lags: Sequence[float]) -> list[tuple[str, int]]:
    counts = [0] * (len(_EDGES) + 1)
    for lag in lags:
        counts[bisect_left(_EDGES, lag)] += 1
    names = [f"≤ {number(edge)} s" for edge in _EDGES] + [f"> {_EDGES[-1]:.0f} s"]
    there = [n for n, count_of in enumerate(counts) if count_of]
    return list(zip(names, counts, strict=True))[max(there[0] - 1, 0) : there[-1] + 1]


def _chart(caption: str, columns: Sequence[tuple[str, int]]) -> Html:
    most = max(there for _, there in columns)
    width = 1.0 / len(columns)
    every = -(-len(columns) // 8)
    shapes: list[Html] = []
    for n, (name, there) in enumerate(columns):
        tall = 100 * there / most
        shapes.append(
            element(
                "rect",
                element("title", text(f"{name}: {count(there, 'run')}")),
                x=percent((n + 0.1) * width),
                width=percent(0.8 * width),
                y=f"{number(100 - tall)}%",
                height=f"{number(tall)}%",
                class_="s",
            )
        )
    labels = [
        element("text", text(name), x=percent((n + 0.5) * width), y=11)
        for n, (name, _) in enumerate(columns)
        if n % every == 0
    ]
    return element(
        "figure",
        element("figcaption", text(caption)),
        element("svg", *shapes, role="img", aria_label=caption, class_="chart"),
        element("svg", *labels, aria_hidden="true", class_="ticks"),
    )
