"""What is not over: uncertain and unfinished runs, and what to do about them."""

import shlex
from collections.abc import Sequence

from attrs import frozen

from dpa_async.report.lines import Contents, Line
from dpa_async.report.markup import Html, element, join, shown, text
from dpa_async.report.runs import RunState
from dpa_async.report.words import SHORT, count, moment

_SHOWN = 50  # of each kind, and one more for each two hundred runs
_OPEN = 5  # as many at most are shown at once
_WORDS = 600  # characters of what is known of one
_NAME = 120


@frozen
class _Advice:
    """What a state means for a person.

    Attributes:
        title: Of those that are in it.
        words: What it means, and what to do.
        command: Of the command line, for all of them or for each; None for none.
        each: Whether the command is for one key.
    """

    title: str
    words: str
    command: str | None = None
    each: bool = False


_ADVICE = {
    RunState.UNCERTAIN: _Advice(
        "Uncertain",
        "The execute left, and nothing says whether a run started. It is not sent "
        "again by itself. Look at the workflow on the platform at about the time it "
        "was sent, then give your verdict: with the command and --ran REF or "
        "--did-not-run at its end, or with Runner.settle.",
        "dpa settle",
        each=True,
    ),
    RunState.RUNNING: _Advice(
        "Unfinished",
        "These started, and nobody saw them end; on the platform they go on. The same "
        "batch again, or Runner.resume, goes on waiting and starts nothing twice; "
        "Runner.attach waits for one of them.",
        "dpa resume",
    ),
    RunState.INTENDED: _Advice(
        "Intended",
        "The execute was about to leave when these were last heard of. If that process "
        "lives, it is on its way. If it was killed, the same batch again finds out or "
        "reports it as uncertain; nothing is sent twice on hope.",
        "dpa resume",
    ),
    RunState.NOT_STARTED: _Advice(
        "Not started",
        "Nothing of these ran. See what is said of each, then ask for them again.",
    ),
}


def is_settled(contents: Contents) -> bool:
    """Tell whether nothing is left to do."""
    return not any(line.run.state in _ADVICE for line in contents.lines)


def unsettled(contents: Contents, journal: str | None) -> Html:
    """Tell what is not over.

    Args:
        contents: The runs.
        journal: The journal's name, for commands; None where there is none.
    """
    room = _SHOWN + len(contents.lines) // 200
    kinds = [(state, contents.of(state)) for state in _ADVICE]
    return join(
        *(_kind(state, there, journal, room) for state, there in kinds if there)
    )


def _kind(
    state: RunState, lines: Sequence[Line], journal: str | None, room: int
) -> Html:
    advice = _ADVICE[state]
    dot = element("i", class_=f"dot {SHORT[state]}")
    head = element(
        "h3", dot, text(advice.title), element("small", text(f"{len(lines):,}"))
    )
    command = text("")
    if advice.command and journal is not None and not advice.each:
        words = f"{advice.command} {shlex.quote(journal)}"
        command = element("p", element("code", text(words)))
    items = [_item(line, advice, journal) for line in lines[:room]]
    rest = text("")
    if len(lines) > room:
        words = f"and {count(len(lines) - room, 'more', 'more')} in the list of runs"
        rest = element("p", text(words), class_="note")
    listed = element(
        "details",
        element("summary", text("Which they are")),
        element("ul", *items, class_="items"),
        rest,
        open=len(lines) <= _OPEN,
    )
    what = element("p", text(advice.words))
    return element("div", head, what, command, listed, class_="kind")


def _item(line: Line, advice: _Advice, journal: str | None) -> Html:
    run = line.run
    when = ""
    if run.submitted_at is not None:
        when = f"started {moment(run.submitted_at)}"
    elif run.sent_at is not None:
        when = f"sent {moment(run.sent_at)}"
    parts = [
        element("b", element("bdi", text((run.key or "no key")[:_NAME]))),
        element("span", element("bdi", text(run.workflow_id[:_NAME]))),
        element("span", text(when)),
    ]
    if run.words:
        known = "; ".join(run.words)[:_WORDS]
        parts.append(element("p", element("bdi", text(known))))
    if run.ref is not None:
        parts.append(element("p", element("code", text(run.ref)), class_="ref"))
    if advice.each and (command := _command(advice, run.key, journal)):
        parts.append(element("p", element("code", text(command)), class_="ref"))
    return element("li", *parts)


def _command(advice: _Advice, key: str | None, journal: str | None) -> str | None:
    """Give what can be copied into a shell as it is; None where nothing can."""
    if key is None or journal is None or shown(key) != key:
        return None
    if key.startswith("-"):  # it would be taken for an option
        return None
    return f"{advice.command} {shlex.quote(journal)} {shlex.quote(key)}"
