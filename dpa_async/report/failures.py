"""What failed, with what its nodes gave, as far as there is room."""

from collections import Counter
from collections.abc import Sequence

from dpa_async.models import NodeOutput, NodeOutputs
from dpa_async.report.lines import Contents, Line
from dpa_async.report.markup import Html, element, join, text
from dpa_async.report.runs import RunState
from dpa_async.report.words import count, moment, seconds

_SHOWN = 60  # and one more for each hundred runs
_ROOM = 16_000  # characters of outputs, and two more for each run
_LEAST_ROOM = 160  # characters of one failure's outputs
_MOST_ROOM = 4_000
_EXCERPT = 120
_NAME = 120
_WORST = 8


def failures(contents: Contents) -> Html:
    """Tell of every failed run that there is room for."""
    failed = contents.of(RunState.FAILED)
    if not failed:
        return element("p", text("No run failed."), class_="note")
    told = failed[: _SHOWN + len(contents.lines) // 100]
    room = (_ROOM + 2 * len(contents.lines)) // len(told)
    room = min(max(room, _LEAST_ROOM), _MOST_ROOM)
    cards = [_card(line, room) for line in told]
    more = len(failed) - len(told)
    rest = text("")
    if more:
        words = f"{count(more, 'failure')} more: in the list of runs, without outputs."
        rest = element("p", text(words), class_="note")
    return join(_by_workflow(failed), *cards, rest)


def _by_workflow(failed: Sequence[Line]) -> Html:
    worst = Counter(line.run.workflow_id for line in failed).most_common()
    parts = [
        element("li", element("bdi", text(name[:_NAME])), text(f": {n:,}"))
        for name, n in worst[:_WORST]
    ]
    if len(worst) > _WORST:
        words = f"and {count(len(worst) - _WORST, 'workflow')} more"
        parts.append(element("li", text(words)))
    return element("ul", *parts, class_="worst")


def _card(line: Line, room: int) -> Html:
    run = line.run
    took = "" if line.took is None else f"after {seconds(line.took)}"
    facts = (run.workflow_id[:_NAME], took, moment(run.ended_at))
    summary = element(
        "summary",
        element("i", class_="dot f"),
        element("b", element("bdi", text((run.key or _run_id(line))[:_NAME]))),
        *(element("span", element("bdi", text(fact))) for fact in facts if fact),
        element("q", element("bdi", text(_excerpt(run.outputs)))),
    )
    reference = element("code", text(run.ref)) if run.ref else text("")
    return element(
        "details",
        summary,
        element("p", text("Run "), reference, class_="ref"),
        _outputs(run.outputs, room),
        *(element("p", text(words)) for words in run.words),
        class_="failure",
        id=f"run-{line.number}",
        data_i=line.number,
    )


def _run_id(line: Line) -> str:
    return line.run.ref.run_id if line.run.ref else "no key"


def _excerpt(outputs: NodeOutputs | None) -> str:
    """Give what the last node that said something said, in one line."""
    if outputs is None or outputs.unread is not None:
        return "its outputs were not read"
    said = [words for node in outputs if (words := (node.result or "").strip())]
    if not said:
        return "it gave no outputs"
    last = said[-1]
    if last.startswith("Traceback "):  # what went wrong comes last in it
        last = last.splitlines()[-1]
    words = " ".join(last[: 4 * _EXCERPT].split())
    return words if len(words) <= _EXCERPT else f"{words[:_EXCERPT]}…"


def _outputs(outputs: NodeOutputs | None, room: int) -> Html:
    if outputs is None:
        return element("p", text("Its outputs are not known."), class_="note")
    if outputs.unread is not None:
        words = f"Its outputs were not read: {outputs.unread[:_MOST_ROOM]}"
        return element("p", text(words), class_="note")
    parts: list[Html] = []
    for n, node in enumerate(outputs):
        if room <= 0:
            words = f"{count(len(outputs) - n, 'node')} more"
            parts.append(element("p", text(words), class_="note"))
            break
        parts.append(_node(node, room))
        room -= len(node.node_name[:_NAME]) + len(node.result or "") + 20
    return join(*parts)


def _node(node: NodeOutput, room: int) -> Html:
    name = element("h3", element("bdi", text(node.node_name[:_NAME])))
    if node.result is None:
        nothing = element("p", text("nothing"), class_="note")
        return element("div", name, nothing, class_="node")
    cut = len(node.result) - room
    words = text(node.result[:room], keep="\n\t")
    more = element("i", text(f" … {cut:,} characters more")) if cut > 0 else text("")
    said = element("pre", words, more, tabindex=0)
    return element("div", name, said, class_="node")
