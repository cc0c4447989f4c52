"""The DPA platform as a pure state machine: no I/O, no clock, no asyncio.

Whoever drives it says what time it is. Nothing happens between two calls: a run's
status is worked out from when it was submitted and how long it takes.
"""

import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Literal, get_args

from attrs import frozen

from dpa_async.simulator.behaviour import Application, Behaviour
from dpa_async.simulator.envelope import (
    Refusal,
    as_object,
    flag,
    json_answer,
    ok,
    read_json,
    read_query,
    seconds,
    text,
)
from dpa_async.simulator.executions import Execute, Executions, execute_path
from dpa_async.simulator.records import Answer, Callback, Held, Request, SimulatedRun
from dpa_async.simulator.security import SecurityCentre
from dpa_async.simulator.workflows import Duration, SimulatedWorkflow

Interface = Literal[
    "authorize",
    "token",
    "listVar",
    "execute",
    "getProcessRunStatus",
    "listAll",
    "getOutParamByModelId",
    "unknown",
]
INTERFACES: tuple[Interface, ...] = get_args(Interface)

_INTERFACE_AT: Mapping[tuple[str, str], Interface] = {
    ("GET", "/api/dp/auth/oauth/authorize"): "authorize",
    ("POST", "/api/dp/auth/oauth/token"): "token",
    ("POST", "/api/dpa/process/variable/listVar"): "listVar",
    ("GET", "/api/dpa/process/processrun/getProcessRunStatus"): "getProcessRunStatus",
    ("POST", "/api/dpa/process/processModel/listAll"): "listAll",
    (
        "POST",
        "/api/dpa/process/processModel/getOutParamByModelId",
    ): "getOutParamByModelId",
}
_NEEDS_NO_TOKEN = frozenset({"authorize", "token", "unknown"})


@frozen
class _Call:
    """A request whose place on the platform is known."""

    workflow_id: str  # whose execute URL it went to; else empty
    query: str
    body: bytes
    now: float
    staleness: float


class Platform:
    """The simulated platform and all that it knows.

    Args:
        workflows: What there is to execute; None: an open platform, which makes any
            workflow at its first execute.
        duration: Seconds a run takes where its workflow does not say.
        seed: Of every random choice.
        behaviour: What it does where the document is silent.

    Attributes:
        behaviour: As given.
        requests: How many requests each interface got. What a fault swallowed on the
            way in is not among them.
        executes: How many executes came in for each workflow, refused ones included.
    """

    def __init__(
        self,
        workflows: Iterable[SimulatedWorkflow] | None = None,
        *,
        duration: Duration = 0.2,
        seed: int = 0,
        behaviour: Behaviour | None = None,
    ) -> None:
        rng = random.Random(seed)  # noqa: S311 - to repeat, not to keep a secret
        self.behaviour = behaviour or Behaviour()
        self.requests: Counter[Interface] = Counter()
        self.executes: Counter[str] = Counter()
        self._security = SecurityCentre(self.behaviour, rng)
        self._executions = Executions(
            workflows, duration, rng, self.behaviour.list_all_lag_after_execute
        )
        self._handlers: dict[Interface, Callable[[_Call], Answer | Held]] = {
            "authorize": self._authorize,
            "token": self._token,
            "listVar": self._list_variables,
            "execute": self._execute,
            "getProcessRunStatus": self._run_status,
            "listAll": self._list_all,
            "getOutParamByModelId": self._outputs,
            "unknown": self._unknown,
        }

    def handle(
        self, request: Request, now: float, *, staleness: float = 0.0
    ) -> Answer | Held:
        """Carry out one request.

        Args:
            request: What came in.
            now: What time it is, in seconds; never less than in an earlier call.
            staleness: How old a listAll of this one request may be, at least.
        """
        path, _, query = request.target.partition("?")
        interface, workflow_id = self._place_of(request.method, path)
        self.requests[interface] += 1
        call = _Call(workflow_id, query, request.body, now, staleness)
        try:
            if interface not in _NEEDS_NO_TOKEN:
                self._security.check(request.headers.get("authorization", ""), now)
            return self._handlers[interface](call)
        except Refusal as refusal:
            return refusal.answer()

    def interface_of(self, request: Request) -> Interface:
        """Tell which interface a request is for, without carrying it out."""
        return self._place_of(request.method, request.target.partition("?")[0])[0]

    # --- what tests look at -----------------------------------------------------

    @property
    def application(self) -> Application:
        """The (first) application; change it to have it expire."""
        return next(iter(self._security.applications.values()))

    @property
    def runs(self) -> Mapping[str, SimulatedRun]:
        """Every run there ever was by its id, in the order in which they started."""
        return MappingProxyType(self._executions.runs)

    def executions(self, workflow_id: str) -> Sequence[SimulatedRun]:
        """Give the runs of one workflow that really started, oldest first."""
        workflow = self._executions.workflows.get(workflow_id)
        return tuple(workflow.runs) if workflow else ()

    def execute_path(self, workflow_id: str) -> str:
        """Give the path of a workflow's execute URL, percent-encoded."""
        workflow = self._executions.workflows.get(workflow_id)
        config = workflow.config if workflow else SimulatedWorkflow(workflow_id)
        return self.behaviour.prefix + execute_path(config)

    # --- what tests make happen -------------------------------------------------

    def add_workflow(self, config: SimulatedWorkflow) -> None:
        """Put one more workflow on the platform.

        Raises:
            ValueError: There is one with that id or with that execute path.
        """
        self._executions.add(config)

    def execute_as_other_user(
        self, workflow_id: str, now: float, duration: float | None = None
    ) -> SimulatedRun:
        """Have somebody else execute a workflow; `duration` None: its usual one.

        Raises:
            ValueError: There is no such workflow, or it is busy.
        """
        execute = Execute(workflow_id, {}, foreign=True, duration=duration)
        try:
            return self._executions.start(execute, now)
        except Refusal as refusal:
            raise ValueError(f"{workflow_id!r} cannot be executed: {refusal}") from None

    def revoke(self, token: str) -> None:
        """Make one access token worthless ahead of its `exp`."""
        self._security.revoke(token)

    def revoke_all(self) -> None:
        """Make every access token worthless that was issued so far."""
        self._security.revoke_all()

    # --- callbacks --------------------------------------------------------------

    def callbacks_due(self, now: float) -> list[Callback]:
        """Hand out the callbacks of the runs that have ended, each once."""
        return self._executions.callbacks_due(now)

    def next_callback_at(self) -> float | None:
        """Tell when the next callback is due; None where none is to come."""
        return self._executions.next_callback_at()

    # --- the interfaces ---------------------------------------------------------

    def _place_of(self, method: str, path: str) -> tuple[Interface, str]:
        if not path.startswith(self.behaviour.prefix):
            return "unknown", ""
        path = path.removeprefix(self.behaviour.prefix)
        interface = _INTERFACE_AT.get((method, path))
        if interface is not None:
            return interface, ""
        if method == "POST":
            workflow_id = self._executions.workflow_id_of(path)
            if workflow_id is not None:
                return "execute", workflow_id
        return "unknown", ""

    def _unknown(self, _: _Call) -> Answer:
        raise Refusal(404, http_status=404)

    def _authorize(self, call: _Call) -> Answer:
        code = self._security.authorize(read_query(call.query), call.now)
        return ok({"code": code})

    def _token(self, call: _Call) -> Answer:
        if self.behaviour.token_body == "form":  # noqa: S105 - a format
            fields = read_query(call.body.decode(errors="replace"))
        else:
            fields = read_json(call.body)
        token = self._security.exchange(fields, call.now)
        return ok({"token_type": "Bearer", "access_token": token})

    def _list_variables(self, call: _Call) -> Answer:
        fields = read_json(call.body)
        workflow_id, kind = text(fields, "processModelId"), text(fields, "type")
        if not self._executions.knows(workflow_id):
            raise Refusal(400, "no such workflow")
        workflow = self._executions.workflows.get(workflow_id)
        names = workflow.config.variables if workflow else None
        return ok([{"name": name, "type": kind} for name in names or ()] or None)

    def _execute(self, call: _Call) -> Answer | Held:
        self.executes[call.workflow_id] += 1
        fields = read_json(call.body)
        is_held, designated = flag(fields, "sync"), flag(fields, "paramFlag")
        is_held = is_held and not self.behaviour.ignores_sync
        second = seconds(fields, "second", self.behaviour.sync_seconds)
        execute = Execute(
            call.workflow_id,
            as_object(fields.get("mapParam", {}), "mapParam"),
            text(fields, "callbackUrl") if "callbackUrl" in fields else None,
        )
        if is_held and not self.behaviour.callback_with_sync:
            execute.callback_url = None
        run = self._executions.start(execute, call.now)
        if not is_held:
            return ok(self._shaped(_ids(run)))
        until = min(run.ends_at, call.now + second)
        return Held(until, ok(self._shaped(self._outcome(run, until, designated))))

    def _run_status(self, call: _Call) -> Answer:
        run = self._asked_for(read_query(call.query))
        return ok({**_ids(run), "status": run.status_at(call.now)})

    def _list_all(self, call: _Call) -> Answer:
        lag = max(self.behaviour.list_all_lag, call.staleness)
        as_of, workflows = call.now - lag, self._executions.workflows.values()
        rows = b",".join([w.row(as_of, self.behaviour) for w in workflows])
        return json_answer(b'{"code":200,"message":"success","data":[%b]}' % rows)

    def _outputs(self, call: _Call) -> Answer:
        fields = read_json(call.body)
        run = self._asked_for(fields)
        return ok(self._nodes(run, call.now, flag(fields, "paramFlag")) or None)

    def _asked_for(self, fields: Mapping[str, object]) -> SimulatedRun:
        return self._executions.run(text(fields, "modelId"), text(fields, "instanceId"))

    def _nodes(
        self, run: SimulatedRun, now: float, designated: bool
    ) -> list[dict[str, str | None]]:
        if not run.has_ended(now):
            return []
        config = self._executions.workflows[run.workflow_id].config
        nodes = config.nodes(run.params, designated_only=designated)
        return [{"nodeName": name, "result": result} for name, result in nodes]

    def _outcome(
        self, run: SimulatedRun, at: float, designated: bool
    ) -> dict[str, object]:
        if not self.behaviour.sync_carries_outcome:
            return _ids(run)
        outcome = {**_ids(run), "status": run.status_at(at)}
        if run.has_ended(at):
            outcome["outputs"] = self._nodes(run, at, designated)
        return outcome

    def _shaped(self, data: dict[str, object]) -> object:
        match self.behaviour.execute_data:
            case "text":
                return data["instanceId"]
            case "nested":
                return {"processRun": data}
            case _:
                return data


def _ids(run: SimulatedRun) -> dict[str, object]:
    return {"instanceId": run.run_id, "modelId": run.workflow_id}
