"""The numbers that are read first, and what the rest can be filtered by."""

from collections import Counter

from dpa_async.report.lines import Contents
from dpa_async.report.markup import Html, element, join, percent, text
from dpa_async.report.runs import RunState
from dpa_async.report.scale import TimeScale
from dpa_async.report.words import SHORT, STATES, count, quantile, seconds, share


def headline(contents: Contents, scale: TimeScale | None) -> Html:
    """Give the numbers of all runs together."""
    counts = Counter(line.run.state for line in contents.lines)
    numbers = [_tile("Runs", f"{len(contents.lines):,}", _workflows(contents))]
    ended = counts[RunState.SUCCEEDED] + counts[RunState.FAILED]
    for state in STATES:
        if counts[state] or state in {RunState.SUCCEEDED, RunState.FAILED}:
            of_ended = state in {RunState.SUCCEEDED, RunState.FAILED} and ended
            small = share(counts[state], ended) if of_ended else ""
            name = state.value.capitalize()
            numbers.append(_tile(name, f"{counts[state]:,}", small, SHORT[state]))
    numbers += _times(contents, scale)
    return element(
        "section",
        element("dl", *numbers, class_="tiles"),
        _bar(counts, len(contents.lines)),
        id="headline",
        aria_label="In numbers",
    )


def _workflows(contents: Contents) -> str:
    return count(sum(group.workflows for group in contents.groups), "workflow")


def _tile(name: str, value: str, small: str, state: str | None = None) -> Html:
    dot = element("i", class_=f"dot {state}") if state else text("")
    return element(
        "div",
        element("dt", dot, text(name)),
        element("dd", text(value), element("small", text(small))),
        class_="tile",
    )


def _times(contents: Contents, scale: TimeScale | None) -> list[Html]:
    took = sorted(t for line in contents.lines if (t := line.took) is not None)
    looks = [n for line in contents.lines if (n := line.run.looks) is not None]
    lags = sorted(s for line in contents.lines if (s := line.run.lag) is not None)
    tiles: list[Html] = []
    if scale is not None and took:
        busy = sum(one.end - one.begin for one in scale.stretches)
        outside = " outside gaps" if len(scale.stretches) > 1 else ""
        pace = f"{60 * len(took) / busy:,.1f} a minute{outside}"
        lasted = seconds(scale.end - scale.begin)
        tiles.append(_tile("From first to last", lasted, pace))
    if took:
        longest = f"{seconds(quantile(took, 0.95))} for 95 %"
        tiles.append(_tile("Median duration", seconds(quantile(took, 0.5)), longest))
    if looks:
        mean = sum(looks) / len(looks)
        tiles.append(_tile("Looks per run", f"{mean:.1f}", f"{sum(looks):,} in all"))
    if lags:
        late = f"{seconds(quantile(lags, 0.95))} for 95 %"
        tiles.append(_tile("Median lag, at most", seconds(quantile(lags, 0.5)), late))
    return tiles


def _bar(counts: Counter[RunState], whole: int) -> Html:
    shapes: list[Html] = []
    left = 0.0
    for state in STATES:
        if counts[state]:
            part = counts[state] / whole
            words = f"{counts[state]:,} {state.value}"
            shapes.append(
                element(
                    "rect",
                    element("title", text(words)),
                    class_=SHORT[state],
                    x=percent(left),
                    width=percent(part),
                    height="100%",
                )
            )
            left += part
    said = ", ".join(f"{counts[s]:,} {s.value}" for s in STATES if counts[s])
    label = f"Of all runs: {said or 'none'}"
    return element("svg", *shapes, role="img", aria_label=label, class_="share")


def filters(contents: Contents) -> Html:
    """Give the controls; the script shows them."""
    counts = Counter(line.run.state for line in contents.lines)
    chips = [
        element(
            "button",
            element("i", class_=f"dot {SHORT[state]}"),
            text(state.value.capitalize()),
            element("small", text(f"{counts[state]:,}")),
            type="button",
            data_state=SHORT[state],
            aria_pressed="false",
        )
        for state in STATES
        if counts[state]
    ]
    everything = element("option", text("All workflows"), value="")
    controls = join(
        element("div", *chips, class_="chips", role="group", aria_label="State"),
        element("select", everything, aria_label="Workflow", id="workflow"),
        element(
            "input",
            type="search",
            id="search",
            placeholder="Search keys, runs, outputs of failures",
            aria_label="Search keys, workflows, runs and what failures say",
            autocomplete="off",
            spellcheck="false",
        ),
        element("button", text("Clear"), type="reset", id="clear"),
        element("output", id="found", aria_live="polite"),
    )
    return element("form", controls, id="filters", role="search", hidden=True)
