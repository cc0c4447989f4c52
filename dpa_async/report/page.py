"""The page: its head, its sections in order, and the data that its script filters."""

from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.resources import files

from dpa_async.report.durations import durations, looks_and_lag
from dpa_async.report.failures import failures
from dpa_async.report.headline import filters, headline
from dpa_async.report.lines import Contents, contents_of
from dpa_async.report.markup import Html, data, element, join, text, verbatim
from dpa_async.report.runs import ReportedRun
from dpa_async.report.scale import TimeScale, time_scale
from dpa_async.report.timeline import timeline
from dpa_async.report.unsettled import is_settled, unsettled
from dpa_async.report.words import SHORT, moment

_ASSETS = files("dpa_async.report")
_ORIGINS = 3


def render(
    runs: Iterable[ReportedRun],
    *,
    title: str | None = None,
    journal: str | None = None,
    made_at: datetime | None = None,
) -> str:
    """Make a report, one HTML page with nothing from outside; no I/O.

    Args:
        runs: What it is of, in any order.
        title: Its heading; None: a plain one.
        journal: The name of the journal's file, for the commands it gives; None where
            there is none.
        made_at: When the runs were as they are; None: when one was last heard of.

    Returns:
        The page; it can be written as UTF-8, whatever the runs hold.
    """
    contents = contents_of(runs)
    spans = [
        (line.begin, line.end)
        for line in contents.lines
        if line.begin is not None and line.end is not None
    ]
    scale = time_scale(spans) if spans else None
    if made_at is None and contents.until is not None:
        made_at = datetime.fromtimestamp(contents.until, UTC)
    heading = title or "DPA runs"
    style, style_source = verbatim("style", _asset("page.css"))
    script, script_source = verbatim("script", _asset("page.js"))
    policy = (
        f"default-src 'none'; script-src {script_source}; style-src {style_source}; "
        "base-uri 'none'; form-action 'none'"
    )
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", name="referrer", content="no-referrer"),
        element("meta", name="robots", content="noindex"),
        element("title", text(heading)),
        style,
    )
    main = _main(contents, scale, journal)
    body = element(
        "body",
        _header(contents, heading, made_at),
        main,
        _data(contents, scale),
        script,
    )
    page = element("html", head, body, lang="en")
    return f"<!doctype html>\n{page}\n"


def _asset(name: str) -> str:
    return _ASSETS.joinpath(name).read_text(encoding="utf-8").strip()


def _header(contents: Contents, heading: str, made_at: datetime | None) -> Html:
    origins = sorted({line.run.origin for line in contents.lines} - {None}, key=str)
    shown = [str(origin) for origin in origins[:_ORIGINS]]
    if len(origins) > _ORIGINS:
        shown.append(f"{len(origins) - _ORIGINS} more platforms")
    facts = [*shown, f"as of {moment(made_at)} UTC" if made_at else ""]
    words = text(" · ".join(fact for fact in facts if fact))
    return element("header", element("h1", text(heading)), element("p", words))


def _main(contents: Contents, scale: TimeScale | None, journal: str | None) -> Html:
    sections = [
        headline(contents, scale),
        filters(contents),
        _section("timeline", "Timeline", timeline(contents, scale)),
        _section("durations", "Durations", durations(contents)),
        _section("looks", "Looks and lag", looks_and_lag(contents)),
        _section("failures", "Failures", failures(contents)),
        _section("runs", "Runs", _runs()),
    ]
    if not is_settled(contents):
        to_do = _section("unsettled", "To be settled", unsettled(contents, journal))
        sections.insert(1, to_do)
    return element("main", *sections)


def _section(name: str, title: str, *content: Html) -> Html:
    heading = element("h2", text(title), id=f"{name}-title")
    return element(
        "section", heading, *content, id=name, aria_labelledby=f"{name}-title"
    )


def _runs() -> Html:
    without = element("p", text("The list and its filters need JavaScript."))
    return join(
        element("noscript", without),
        element("div", id="table", class_="table"),
        element("button", text("Show more"), type="button", id="more", hidden=True),
    )


def _data(contents: Contents, scale: TimeScale | None) -> Html:
    """Give what the script needs: a column for each field, times in milliseconds."""
    origin = scale.begin if scale else 0.0
    ids = sorted({line.run.workflow_id for line in contents.lines})
    numbers = {name: n for n, name in enumerate(ids)}
    lanes = {group.name: n for n, group in enumerate(contents.groups)}
    rest = len(contents.groups) - 1
    platforms = list(dict.fromkeys(line.run.origin for line in contents.lines))
    stretches = scale.stretches if scale else ()

    def since(time: float | None) -> int | None:
        return None if time is None else round(1000 * (time - origin))

    lines = contents.lines
    return data(
        "data",
        {
            "origin": round(1000 * origin),
            "scale": [
                (since(s.begin), since(s.end), s.left, s.right) for s in stretches
            ],
            "names": {short: state.value for state, short in SHORT.items()},
            "workflows": ids,
            "lanes": [lanes.get(name, rest) for name in ids],
            "platforms": platforms,
            "state": "".join(SHORT[line.run.state] for line in lines),
            "workflow": [numbers[line.run.workflow_id] for line in lines],
            "platform": [platforms.index(line.run.origin) for line in lines],
            "key": [line.run.key for line in lines],
            "run": [line.run.ref.run_id if line.run.ref else None for line in lines],
            "begin": [since(line.begin) for line in lines],
            "end": [since(line.end) for line in lines],
            "timed": "".join("1" if line.took is not None else "0" for line in lines),
            "looks": [line.run.looks for line in lines],
            "lag": [
                None if (s := line.run.lag) is None else round(s, 3) for line in lines
            ]
            if any(line.run.lag is not None for line in lines)
            else None,
        },
    )
