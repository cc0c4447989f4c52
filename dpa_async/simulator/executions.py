"""What runs on the simulated platform: workflows, their runs, callbacks to come."""

import heapq
import itertools
import random
from collections.abc import Iterable
from urllib.parse import quote, unquote

from attrs import define

from dpa_async.simulator.envelope import Refusal
from dpa_async.simulator.records import Callback, SimulatedRun
from dpa_async.simulator.workflows import (
    Duration,
    Params,
    SimulatedWorkflow,
    Workflow,
)

EXECUTE_PATH = "/api/dpa/process/execute/"

_FIRST_INSTANCE = 1_606_749_734_084  # instance ids look like those in the document
_CREATED_AT = 1_606_743_910.508  # the workflows were made long before any run


@define
class Execute:
    """What an execute asks for, as far as the run is concerned."""

    workflow_id: str
    params: Params
    callback_url: str | None = None
    foreign: bool = False
    duration: float | None = None  # None: as the workflow has it


class Executions:
    """Keeps the workflows and starts their runs, one at a time for each."""

    def __init__(
        self,
        workflows: Iterable[SimulatedWorkflow] | None,
        duration: Duration,
        rng: random.Random,
        list_lag: float,
    ) -> None:
        self.workflows: dict[str, Workflow] = {}
        self.runs: dict[str, SimulatedRun] = {}
        self._is_open = workflows is None
        self._duration = duration
        self._rng = rng
        self._list_lag = list_lag
        self._numbers = itertools.count(_FIRST_INSTANCE)
        self._ids_by_path: dict[str, str] = {}
        self._callbacks: list[tuple[float, int, Callback]] = []
        for workflow in workflows or ():
            self.add(workflow)

    def add(self, config: SimulatedWorkflow) -> Workflow:
        """Put a workflow on the platform.

        Raises:
            ValueError: There is one with that id or with that execute path.
        """
        path = execute_path(config)
        if config.id in self.workflows or path in self._ids_by_path:
            raise ValueError(f"there is a workflow {config.id!r} or its path already")
        self._ids_by_path[path] = config.id
        workflow = self.workflows[config.id] = Workflow(config, _CREATED_AT)
        return workflow

    def workflow_id_of(self, path: str) -> str | None:
        """Tell whose execute URL a (still percent-encoded) path is."""
        known = self._ids_by_path.get(path) or self._ids_by_path.get(_canonical(path))
        if known is not None:
            return known
        head, segment = path[: len(EXECUTE_PATH)], path[len(EXECUTE_PATH) :]
        if head != EXECUTE_PATH or not segment or "/" in segment:
            return None
        workflow_id = unquote(segment)
        # One that is known has its execute URL elsewhere, or it had been found above.
        return None if workflow_id in self.workflows else workflow_id

    def knows(self, workflow_id: str) -> bool:
        """Tell whether there is such a workflow, or could be."""
        return self._is_open or workflow_id in self.workflows

    def run(self, workflow_id: str, run_id: str) -> SimulatedRun:
        """Find a run by both its ids.

        Raises:
            Refusal: 400, there is none.
        """
        run = self.runs.get(run_id)
        if run is None or run.workflow_id != workflow_id:
            raise Refusal(400, "no such run")
        return run

    def start(self, execute: Execute, now: float) -> SimulatedRun:
        """Start a run.

        Raises:
            Refusal: 404, there is no such workflow; 999, it is busy.
        """
        workflow = self.workflows.get(execute.workflow_id)
        if workflow is None:
            if not self._is_open:
                raise Refusal(404, http_status=404)
            workflow = self.add(SimulatedWorkflow(execute.workflow_id))
        if workflow.is_busy(now):
            raise Refusal(999, "the workflow is running or pending")
        run = self._new_run(workflow, execute, now)
        workflow.add(run)
        self.runs[run.run_id] = run
        self._schedule_callback(run)
        return run

    def callbacks_due(self, now: float) -> list[Callback]:
        """Hand out the callbacks of the runs that ended, each once."""
        due: list[Callback] = []
        while self._callbacks and self._callbacks[0][0] <= now:
            due.append(heapq.heappop(self._callbacks)[2])
        return due

    def next_callback_at(self) -> float | None:
        """Tell when the next callback is due; None where none is to come."""
        return self._callbacks[0][0] if self._callbacks else None

    def _new_run(
        self, workflow: Workflow, execute: Execute, now: float
    ) -> SimulatedRun:
        config = workflow.config
        duration = execute.duration
        if duration is None:
            duration = config.draw_duration(self._rng, self._duration)
        return SimulatedRun(
            run_id=f"in{next(self._numbers)}",
            workflow_id=config.id,
            params=execute.params,
            submitted_at=now,
            ends_at=now + duration,
            end_status=config.draw_end(self._rng, execute.params),
            default_until=now + config.default_for,
            suspensions=tuple((now + a, now + b) for a, b in config.suspended),
            callback_url=execute.callback_url,
            foreign=execute.foreign,
            listed_from=self._listed_from(workflow, now),
        )

    def _listed_from(self, workflow: Workflow, now: float) -> float:
        if not self._list_lag:
            return now
        drawn = now + self._rng.uniform(0.0, self._list_lag)
        return max(drawn, workflow.runs[-1].listed_from) if workflow.runs else drawn

    def _schedule_callback(self, run: SimulatedRun) -> None:
        if run.callback_url is None:
            return
        callback = Callback(
            run.callback_url, run.run_id, run.workflow_id, run.end_status
        )
        heapq.heappush(self._callbacks, (run.ends_at, len(self.runs), callback))


def execute_path(config: SimulatedWorkflow) -> str:
    """Give the path of a workflow's execute URL, percent-encoded."""
    if config.execute_path is None:
        return EXECUTE_PATH + quote(config.id, safe="")
    return _canonical(config.execute_path)


def _canonical(path: str) -> str:
    """Write a path in the one way that can be looked up; a `%2F` stays what it is."""
    return "/".join(quote(unquote(part), safe="") for part in path.split("/"))
