"""Simulated workflows: what a user configures, and what has become of them."""

import json
import random
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime

from attrs import define, field, frozen

from dpa_async.simulator.behaviour import Behaviour
from dpa_async.simulator.envelope import compact
from dpa_async.simulator.records import EndStatus, SimulatedRun

Params = Mapping[str, object]
Node = tuple[str, str | None]
Outputs = Sequence[Node] | Callable[[Params], Sequence[Node]]
Duration = float | tuple[float, float]

_NEVER = float("inf")


def echo(params: Params) -> Sequence[Node]:
    """Give the parameters back, so that outputs tell whose request they belong to."""
    return [("echo", json.dumps(params, ensure_ascii=False, sort_keys=True))]


@frozen
class SimulatedWorkflow:
    """A workflow and how its runs go.

    Attributes:
        id: Its `processModelId`.
        duration: Seconds from execute to end, suspensions included; a pair: drawn
            evenly from between the two; None: the platform's default; infinite: never.
        fails: Whether its runs FAIL: always or never, with a probability, or as a
            function of the parameters has it.
        outputs: (node name, result) in order, or a function of the parameters.
        variables: The names listVar tells; None: it takes no parameters.
        designated: The nodes that `paramFlag` true leaves; None: all of them.
        default_for: Seconds at the start in which a run's status is `DEFAULT`.
        suspended: From when until when a run is `PENDING`, in seconds after execute.
        execute_path: The path of its execute URL; None: the platform's usual one.
        name: Its `modelName`; None: its id after a blank, as the example has it.
    """

    id: str
    duration: Duration | None = field(default=None, kw_only=True)
    fails: bool | float | Callable[[Params], bool] = field(default=False, kw_only=True)
    outputs: Outputs = field(default=echo, kw_only=True)
    variables: Sequence[str] | None = field(default=None, kw_only=True)
    designated: AbstractSet[str] | None = field(default=None, kw_only=True)
    default_for: float = field(default=0.02, kw_only=True)
    suspended: Sequence[tuple[float, float]] = field(default=(), kw_only=True)
    execute_path: str | None = field(default=None, kw_only=True)
    name: str | None = field(default=None, kw_only=True)

    def draw_duration(self, rng: random.Random, default: Duration) -> float:
        """Decide how long a run takes."""
        duration = default if self.duration is None else self.duration
        return rng.uniform(*duration) if isinstance(duration, tuple) else duration

    def draw_end(self, rng: random.Random, params: Params) -> EndStatus:
        """Decide what a run ends in."""
        if callable(self.fails):
            failed = self.fails(params)
        elif isinstance(self.fails, bool):
            failed = self.fails
        else:
            failed = rng.random() < self.fails
        return "FAIL" if failed else "FINISH"

    def nodes(self, params: Params, *, designated_only: bool) -> Sequence[Node]:
        """Give the outputs of a run with these parameters."""
        nodes = self.outputs(params) if callable(self.outputs) else self.outputs
        if not designated_only or self.designated is None:
            return nodes
        return [node for node in nodes if node[0] in self.designated]


@frozen
class _Row:
    """A row of listAll, written once and good for as long as nothing changes."""

    text: bytes
    good_from: float
    good_until: float


@define(eq=False)
class Workflow:
    """A workflow on the platform, with all its runs, oldest first."""

    config: SimulatedWorkflow
    created_at: float
    runs: list[SimulatedRun] = field(factory=list[SimulatedRun], init=False)
    _row: _Row | None = field(default=None, init=False)

    def add(self, run: SimulatedRun) -> None:
        """Put a run that starts now on record."""
        self.runs.append(run)
        self._row = None

    def is_busy(self, now: float) -> bool:
        """Tell whether it cannot be executed: one run at a time."""
        return bool(self.runs) and not self.runs[-1].has_ended(now)

    def row(self, now: float, behaviour: Behaviour) -> bytes:
        """Write its row of listAll as of `now`; mostly this is a look-up."""
        row = self._row
        if row is None or not row.good_from <= now < row.good_until:
            row = self._row = self._written_row(now, behaviour)
        return row.text

    def _last_run(self, now: float) -> tuple[SimulatedRun | None, float]:
        """Give the run that was the last one then, and when the next one came."""
        after = bisect_right(self.runs, now, key=lambda run: run.listed_from)
        later = self.runs[after].listed_from if after < len(self.runs) else _NEVER
        return (self.runs[after - 1] if after else None), later

    def _written_row(self, now: float, behaviour: Behaviour) -> _Row:
        run, later = self._last_run(now)
        good_until = min(later, run.next_change(now)) if run else later
        updated_at = _last_change(run, now) if run else self.created_at
        # A run that is still DEFAULT makes its workflow busy all the same.
        status = _LISTED[run.status_at(now)] if run else "default"
        fields: dict[str, object] = {
            "processModelId": self.config.id,
            "modelName": self.config.name or f" {self.config.id}",
            "stepNums": 3,
            "status": status.upper() if behaviour.list_all_upper_case else status,
            "createUser": "simulator",
        }
        if behaviour.list_all_times != "absent":
            fields["createTime"] = _moment(self.created_at, behaviour)
            fields["updateTime"] = _moment(updated_at, behaviour)
        return _Row(compact(fields), now, good_until)


_LISTED = {
    "DEFAULT": "running",
    "RUNNING": "running",
    "PENDING": "pending",
    "FINISH": "success",
    "FAIL": "fail",
}


def _last_change(run: SimulatedRun, now: float) -> float:
    return run.ends_at if run.has_ended(now) else run.submitted_at


def _moment(at: float, behaviour: Behaviour) -> object:
    shown = at + behaviour.clock_skew
    match behaviour.list_all_times:
        case "epoch_ms":
            return int(shown * 1000)
        case "iso":
            return datetime.fromtimestamp(shown, UTC).isoformat(timespec="seconds")
        case _:
            return None
