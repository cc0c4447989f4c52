"""Runs to report of, and a page taken apart as a browser would."""

import json
import random
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser

from attrs import define, field

from dpa_async import NodeOutput, NodeOutputs, RunRef
from dpa_async.report import ReportedRun, RunState

ORIGIN = "https://dpa.example.com"
THEN = datetime(2026, 11, 23, 14, 0, tzinfo=UTC)
VOID = {"br", "input", "meta"}

# What would do harm, or mislead, where it is not taken as plain text.
HOSTILE = (
    "<script>alert(1)</script>",
    "</script><img src=x onerror=alert(2)>",
    '"><svg onload=alert(3)>',
    "' autofocus onfocus='alert(4)",
    "<!-- <script>",
    "]]></title></style><h1>",
    "&lt;b&gt; &amp;#60;",
    "javascript:alert(5)",
    "line\u2028separator\u2029and \u202eright to left",
    "\x1b[31mterminal\x1b[0m \x00\x07",
    "half a pair \ud83d of two",
    "数据库连接失败",
)


def run(
    number=0, state=RunState.SUCCEEDED, *, workflow="md1", at=0.0, took=10.0, **fields
):
    """Give a run in a state, with what is known in it."""
    begun = THEN + timedelta(seconds=at)
    known = {"key": f"order-{number:05}", "origin": ORIGIN}
    if state in {RunState.SUCCEEDED, RunState.FAILED, RunState.RUNNING}:
        known["ref"] = RunRef(ORIGIN, workflow, f"in{number:07}")
        known["submitted_at"] = begun
    if state in {RunState.SUCCEEDED, RunState.FAILED}:
        known["ended_at"] = begun + timedelta(seconds=took)
        known["looks"] = 3
    if state is RunState.UNCERTAIN:
        known["sent_at"] = begun
    return ReportedRun(workflow_id=workflow, state=state, **(known | fields))


def outputs(*results):
    return NodeOutputs([NodeOutput(f"node {n}", r) for n, r in enumerate(results)])


def many(count, *, workflows=12, failing=0.06, seed=1):
    """Give a batch as they are: lanes that are mostly busy, a few failures."""
    rng = random.Random(seed)
    free = [0.0] * workflows
    usual = [rng.choice([5, 20, 60]) * rng.uniform(0.7, 1.4) for _ in free]
    runs = []
    for n in range(count):
        lane = rng.randrange(workflows)
        took = usual[lane] * rng.uniform(0.8, 1.5)
        failed = rng.random() < failing
        said = f'{{"error": "step {n % 7} gave up"}}\n{HOSTILE[n % len(HOSTILE)]}'
        runs.append(
            run(
                n,
                RunState.FAILED if failed else RunState.SUCCEEDED,
                workflow=f"md{lane:010x}",
                at=free[lane],
                took=took,
                looks=rng.randrange(1, 12),
                outputs=outputs(said) if failed else None,
            )
        )
        free[lane] += took + rng.uniform(0.1, 3)
    last = max(free)
    runs[-3] = run(count - 3, RunState.UNCERTAIN, at=last / 2, words=("it was lost",))
    runs[-2] = run(count - 2, RunState.RUNNING, at=last - 5)
    runs[-1] = run(count - 1, RunState.INTENDED)
    return runs


@define(eq=False)
class Node:
    """An element: its attributes, and what is in it, in order."""

    name: str
    attributes: dict
    children: list = field(factory=list)

    @property
    def text(self):
        return "".join(c if isinstance(c, str) else c.text for c in self.children)

    def walk(self):
        yield self
        for child in self.children:
            if isinstance(child, Node):
                yield from child.walk()

    def all(self, name=None, **attributes):
        """Give what is in it of this name and these attributes; `class_` is one of."""
        wanted = {k.rstrip("_").replace("_", "-"): v for k, v in attributes.items()}
        return [
            node
            for node in self.walk()
            if name in {None, node.name}
            and all(
                v in node.attributes.get(k, "").split()
                if k == "class"
                else node.attributes.get(k) == v
                for k, v in wanted.items()
            )
        ]

    def one(self, name=None, **attributes):
        (found,) = self.all(name, **attributes)
        return found


class _Tree(HTMLParser):
    def __init__(self):
        super().__init__()
        self.root = Node("", {})
        self._open = [self.root]

    def handle_starttag(self, tag, attrs):
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), (tag, names)
        node = Node(tag, dict(attrs))
        self._open[-1].children.append(node)
        if tag not in VOID:
            self._open.append(node)

    def handle_endtag(self, tag):
        assert self._open.pop().name == tag, f"</{tag}> closes another element"

    def handle_data(self, data):
        self._open[-1].children.append(data)

    def handle_comment(self, data):
        raise AssertionError(data)

    def close(self):
        super().close()
        assert self._open == [self.root], "an element is left open"


def tree(page):
    """Take a page apart; every element must be closed, and by its own name."""
    parser = _Tree()
    parser.feed(page)
    parser.close()
    return parser.root


def data(page):
    """Give what the page's script is given."""
    return json.loads(tree(page).one("script", id="data").text)


def section(page, name):
    return tree(page).one("section", id=name)
