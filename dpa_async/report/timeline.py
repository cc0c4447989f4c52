"""All runs on time: a lane for each workflow, drawn one by one or in columns."""

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from itertools import pairwise

from dpa_async.report.bins import (
    COLUMNS,
    HEIGHT,
    heights,
    marks,
    occupancy,
    path,
    with_moments,
)
from dpa_async.report.lines import Contents, Group, Line
from dpa_async.report.markup import Html, element, join, percent, text
from dpa_async.report.runs import RunState
from dpa_async.report.scale import LAST, TimeScale
from dpa_async.report.words import SHORT, STATES, count, seconds

ONE_BY_ONE = 1_000
"""Up to so many runs each is drawn by itself."""

_LEAST_WIDTH = 0.0025  # of the picture; what is shorter could not be seen
_LEAST_FAILURE = 7  # of HEIGHT: failures are what is looked for
_LEAST_SUCCESS = 3
_TITLED = 100  # bars
_NAME = 60  # characters of a name in a picture


def timeline(contents: Contents, scale: TimeScale | None) -> Html:
    """Draw when each run went on."""
    if scale is None:
        words = text("No time of any run is known.")
        return element("p", words, class_="note")
    drawn = [line for line in contents.lines if line.begin is not None]
    by_one = len(drawn) <= ONE_BY_ONE
    # Most runs succeed: their titles would be a third of the page.
    odd = [line for line in drawn if line.run.state is not RunState.SUCCEEDED]
    titled = {line.number for line in odd[:_TITLED]} if by_one else None
    lanes = [
        _lane(number, group, scale, titled)
        for number, group in enumerate(contents.groups)
    ]
    axis = element("div", _axis(scale), class_="axis")
    grown = "plot" if len(lanes) <= 24 else "plot dense"  # noqa: PLR2004
    return join(
        element("p", text(_how_to_read(scale, by_one=by_one)), class_="note"),
        element("div", axis, _all_at_once(drawn, scale), *lanes, class_=grown),
    )


def _how_to_read(scale: TimeScale, *, by_one: bool) -> str:
    words = (
        "The height is the share of the time in which a run was going on; red stands "
        "where runs failed."
    )
    if by_one:
        words = (
            "Each bar is a run, from the answer of its execute to the look that saw "
            "its end."
        )
    gaps = [after.begin - one.end for one, after in pairwise(scale.stretches)]
    if gaps:
        lost = " and ".join(seconds(gap) for gap in gaps[:3])
        more = " and more" if len(gaps) > len(gaps[:3]) else ""
        words += f" Grey bands: {lost}{more}, cut out, for nothing began or ended."
    return f"{words} Times are UTC."


def _axis(scale: TimeScale) -> Html:
    ticks = scale.ticks()
    lines = [
        element("line", x1=percent(t.place), x2=percent(t.place), y1=18, y2="100%")
        for t in ticks
    ]
    labels = [
        element(
            "text",
            text(tick.label),
            x=percent(tick.place),
            y=11,
            class_="end" if tick.place > LAST else None,
        )
        for tick in ticks
    ]
    cuts = [
        element(
            "rect",
            element("title", text(f"cut out: {seconds(after.begin - one.end)}")),
            class_="cut",
            x=percent(one.right),
            y=18,
            width=percent(after.left - one.right),
        )
        for one, after in pairwise(scale.stretches)
    ]
    return element("svg", *cuts, *lines, *labels, aria_hidden="true")


def _all_at_once(drawn: Iterable[Line], scale: TimeScale) -> Html:
    """Draw how many runs went on at once."""
    columns = occupancy(_places(drawn, scale))
    most = max(columns, default=0.0)
    words = f"At once, {most:.0f} at most"
    area = element("path", d=path(heights(columns, most or 1.0, 1)), class_="all")
    hits = element("path", class_="hit")
    return element(
        "div",
        element(
            "span",
            text("At once"),
            element("small", text(f"{most:.0f}")),
            class_="name",
        ),
        _stretched(words, area, hits),
        class_="lane once",
        data_lane="all",
        data_most=number_of(most),
    )


def number_of(most: float) -> str:
    """Write what fills the height of a lane, for the script."""
    return f"{most:.3f}"


def _lane(
    number: int, group: Group, scale: TimeScale, titled: AbstractSet[int] | None
) -> Html:
    """Draw a lane; `titled` are the bars that have titles, None draws columns."""
    drawn = [line for line in group.lines if line.begin is not None]
    words = _words(group)
    whole = group.name is not None
    if whole and titled is not None:
        bars = [_bar(line, scale, titled=line.number in titled) for line in drawn]
        picture = element("svg", element("title", text(words)), *bars, role="img")
        most = 1.0
    else:
        picture, most = _columns(drawn, scale, words, whole=whole)
    return element(
        "div",
        _name(group),
        picture,
        class_="lane",
        data_lane=number,
        data_most=number_of(most),
    )


def _name(group: Group) -> Html:
    failed = group.count(RunState.FAILED)
    numbers = join(
        text(f"{len(group.lines):,}"),
        element("b", text(f" {failed:,}✕")) if failed else text(""),
    )
    small = element("small", numbers)
    if group.name is None:
        words = text(f"{count(group.workflows, 'other workflow')}")
        return element("span", element("i", words), small, class_="name")
    return element(
        "button",
        element("bdi", text(group.name[:_NAME])),
        small,
        type="button",
        class_="name",
        title=group.name,
        aria_label=f"Show only {_words(group)}",
        data_workflow=group.name,
    )


def _words(group: Group) -> str:
    name = group.name or count(group.workflows, "other workflow")
    parts = [f"{n:,} {state.value}" for state in STATES if (n := group.count(state))]
    return f"{name}: {count(len(group.lines), 'run')}, {', '.join(parts)}"


def _bar(line: Line, scale: TimeScale, *, titled: bool) -> Html:
    left, right = _place(line, scale)
    return element(
        "rect",
        element("title", text(_title(line))) if titled else text(""),
        class_=SHORT[line.run.state],
        data_i=line.number,
        x=percent(min(left, 1.0 - _LEAST_WIDTH)),
        width=percent(max(right - left, _LEAST_WIDTH)),
    )


def _title(line: Line) -> str:
    run = line.run
    name = run.key or (run.ref.run_id if run.ref else run.workflow_id)
    took = "" if line.took is None else f", {seconds(line.took)}"
    return f"{name[:_NAME]}: {run.state.value}{took}"


def _columns(
    drawn: Sequence[Line], scale: TimeScale, words: str, *, whole: bool
) -> tuple[Html, float]:
    """Draw many runs in columns; gives what fills the height, too."""
    by_state = {
        state: [line for line in drawn if line.run.state is state] for state in STATES
    }
    going = occupancy(_places(drawn, scale))
    most = max(1.0, max(going, default=0.0) if not whole else 1.0)
    failed = _tall(by_state[RunState.FAILED], scale, most, _LEAST_FAILURE)
    layers = [element("path", class_="f", d=path(failed))]
    below = failed
    for state in (RunState.RUNNING, RunState.SUCCEEDED):
        tall = _tall(by_state[state], scale, most, _LEAST_SUCCESS)
        layers.append(element("path", class_=SHORT[state], d=path(tall, below)))
        below = [min(a + b, HEIGHT) for a, b in zip(below, tall, strict=True)]
    for state in (RunState.UNCERTAIN, RunState.INTENDED, RunState.NOT_STARTED):
        there = marks(_place(line, scale)[0] for line in by_state[state])
        if any(there):
            tall = heights(there, 0.001)
            layers.append(element("path", class_=SHORT[state], d=path(tall)))
    return _stretched(words, *layers, element("path", class_="hit")), most


def _tall(
    lines: Sequence[Line], scale: TimeScale, most: float, least: int
) -> list[int]:
    places = _places(lines, scale)
    columns = with_moments(occupancy(places), [left for left, _ in places])
    return heights(columns, most, least)


def _stretched(words: str, *layers: Html) -> Html:
    return element(
        "svg",
        element("title", text(words)),
        *layers,
        role="img",
        viewBox=f"0 0 {COLUMNS} {HEIGHT}",
        preserveAspectRatio="none",
    )


def _place(line: Line, scale: TimeScale) -> tuple[float, float]:
    return scale.at(line.begin or 0.0), scale.at(line.end or 0.0)


def _places(lines: Iterable[Line], scale: TimeScale) -> list[tuple[float, float]]:
    return [_place(line, scale) for line in lines]
