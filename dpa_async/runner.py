"""`Runner`: what runs share, and `run_and_wait`, the one line that most need."""

import asyncio
import copy
import uuid
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Literal, Protocol, Self

from dpa_async.attempt import IfBusy, Order, Place, Start
from dpa_async.checks import check_choice, check_number, check_type, refuse
from dpa_async.client import DPAClient
from dpa_async.errors import ConfigurationError, DPAError
from dpa_async.events import Announcer, Observer, Submitted
from dpa_async.models import Execution, RunRef, RunRequest, RunResult, Submission
from dpa_async.run import Run, Surroundings
from dpa_async.sharing import Owner
from dpa_async.starter import Starter
from dpa_async.waiting import WaitPolicy, Watch

_DEFAULT_POLICY = WaitPolicy()


class Closeable(Protocol):
    """What is closed before the runner that it works with."""

    async def aclose(self) -> None:
        """End it; raises nothing."""
        ...


class Runner:
    """What runs share: lanes, one wait per run, observers; an async context manager.

    All that goes through one runner behaves as one client of the platform: a workflow
    is run once at a time, in the order of the calls, and workflows in parallel.

    Args:
        client: The platform.
        wait: When runs are looked at.
        observers: Called with each `RunEvent`, on the event loop.

    Attributes:
        client: The platform, as given.
    """

    def __init__(
        self,
        client: DPAClient,
        *,
        wait: WaitPolicy = _DEFAULT_POLICY,
        observers: Iterable[Observer] = (),
    ) -> None:
        check_type("client", client, DPAClient)
        check_type("wait", wait, WaitPolicy)
        self.client = client
        self._owner = Owner()
        reads = client.settings.limits.reads_in_flight
        self._here = Surroundings(
            client=client,
            watch=Watch(self._owner, wait, at_once=reads),
            announce=Announcer(observers),
            owner=self._owner,
            on_end=self._forget,
        )
        self._starter = Starter(
            self._here, latest=self._latest_of, started=self._started
        )
        self._open: dict[RunRef, Run] = {}
        self._latest: dict[str, Run] = {}
        self._dependants: list[Closeable] = []
        client.adopt(self)

    async def __aenter__(self) -> Self:
        """Use it in `async with`, so that it leaves nothing behind."""
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    @property
    def open_runs(self) -> tuple[RunRef, ...]:
        """The runs that were started or attached to, and not yet seen to be over."""
        return tuple(self._open)

    async def start(
        self,
        workflow_id: str,
        params: Mapping[str, object] | None = None,
        *,
        if_busy: IfBusy = "queue",
        key: str | None = None,
        timeout: float | None = None,
        validate: bool = False,
        outputs: bool = True,
    ) -> Run:
        """Start a run of a workflow, once, when the workflow is free.

        If the caller is cancelled while the POST is out, the runner still finishes it,
        and the run is among `open_runs`. Rests on interface 3; where the platform says
        busy, on 6.

        Args:
            workflow_id: Which workflow.
            params: Its parameters by name.
            if_busy: Whether a busy workflow is waited for or raises.
            key: The caller's own id of this start.
            timeout: Seconds until the run has to be started; None: no limit.
            validate: Whether the parameters' names are compared with those that the
                workflow takes, before it is executed.
            outputs: Whether outputs are read when it ends.

        Raises:
            ConfigurationError: Nothing was sent: an argument cannot be right, or the
                runner is closed.
            WorkflowBusyError: It is busy, and `if_busy` is "fail".
            NotStartedError: The deadline came first; nothing was started.
            SubmissionUncertainError: The POST left and its fate is not known: a run may
                have been started.
            SubmissionError: The runner was closed first; nothing was started.
            APIError: The platform refused; nothing was started.
            TransportError: The platform cannot be reached; nothing was started.
            UnexpectedResponseError: Another workflow was started, see `ref`; or the
                request was turned away.
        """
        check_choice("if_busy", if_busy, "queue", "fail")
        order = self.order(
            RunRequest(workflow_id, params, key=key, timeout=timeout),
            if_busy=if_busy,
            validate=validate,
            outputs=outputs,
        )
        start = await self.begin(order, timeout)
        if isinstance(start, DPAError):
            raise start
        return start

    def order(
        self,
        request: RunRequest,
        *,
        if_busy: IfBusy = "queue",
        validate: bool = False,
        outputs: bool = True,
        place: Place | None = None,
        source: object = None,
    ) -> Order:
        """Write down what is meant, checked as far as it can be; sends nothing.

        Raises:
            ConfigurationError: Something cannot be right, or the runner is closed.
        """
        self._check_open()
        if request.timeout is not None:
            check_number("timeout", request.timeout, least=0)
        if request.key is not None:
            check_type("key", request.key, str)
        params = request.params
        return Order(
            submission=self._intent(request.workflow_id, params, request.key),
            # What is meant now, whatever becomes of the caller's mapping.
            params=None if params is None else copy.deepcopy(dict(params)),
            if_busy=if_busy,
            validate=validate,
            outputs=outputs,
            place=place,
            source=source,
        )

    def begin(
        self, order: Order, timeout: float | None = None
    ) -> "asyncio.Future[Start]":
        """Carry out an order; gives a future of a run, or of why there is none.

        Cancelling the future gives the order up; a POST that is out is finished.
        """
        return self._starter.begin(order, timeout)

    def attach(self, ref: RunRef | str) -> Run:
        """Take up a run that was started before, here or elsewhere.

        The same reference gives the same `Run`, as long as it is not over.

        Raises:
            ConfigurationError: It is no reference, or of another platform; or the
                runner is closed.
        """
        self._check_open()
        if isinstance(ref, str):
            ref = _parse(ref)
        self.client.check_origin(ref)
        known = self._open.get(ref)
        return known if known is not None else self._keep(Run(self._here, ref))

    def adopt(self, dependant: Closeable) -> None:
        """Close something, once, before this runner is closed."""
        self._dependants.append(dependant)

    def release(self, dependant: Closeable) -> None:
        """Forget something that was adopted and has ended by itself."""
        if dependant in self._dependants:
            self._dependants.remove(dependant)

    async def aclose(self) -> None:
        """Stop starting, finish POSTs that are out (5 s at most), detach from all runs.

        The runs themselves go on. Idempotent; raises nothing.
        """
        self._owner.closed = True
        while self._dependants:
            await self._dependants[-1].aclose()
        self._here.watch.close()
        await self._starter.close()
        self.client.release(self)

    def _check_open(self) -> None:
        if self._owner.closed:
            msg = "the runner is closed: make a new one"
            raise ConfigurationError(msg)

    def _intent(
        self, workflow_id: str, params: Mapping[str, object] | None, key: str | None
    ) -> Submission:
        """Check what can be before anything is sent, and write down what is meant."""
        self.client.settings.execute_url(workflow_id)
        try:
            digest = Submission.digest(params)
        except (ValueError, TypeError, RecursionError) as error:
            problem = str(error)
        else:
            origin = self.client.settings.base_url
            return Submission(origin, key or uuid.uuid4().hex, workflow_id, digest)
        msg = f"params of workflow {workflow_id!r} cannot be sent as JSON: {problem}"
        raise ConfigurationError(msg)

    def _latest_of(self, workflow_id: str) -> Run | None:
        return self._latest.get(workflow_id)

    def _started(self, order: Order, execution: Execution) -> Run:
        previous = self._latest.get(order.workflow_id)
        if previous is not None:
            self._forget(previous)  # the platform has just told that it is over
        run = Run(
            self._here,
            execution.run,
            submitted_at=datetime.now(UTC),
            wants_outputs=order.outputs,
        )
        self._here.announce(Submitted, order.submission.key, run.ref)
        return self._keep(run)

    def _keep(self, run: Run) -> Run:
        self._open[run.ref] = run
        self._latest[run.ref.workflow_id] = run
        return run

    def _forget(self, run: Run) -> None:
        self._open.pop(run.ref, None)
        if self._latest.get(run.ref.workflow_id) is run:
            del self._latest[run.ref.workflow_id]


async def run_and_wait(
    target: DPAClient | Runner,
    workflow_id: str,
    params: Mapping[str, object] | None = None,
    *,
    timeout: float | None = None,
    check: bool = True,
    key: str | None = None,
    validate: bool = False,
    on_uncertain: Literal["report"] = "report",
    outputs: bool = True,
) -> RunResult:
    """Run a workflow, wait for its end and give its outputs.

    Rests on interfaces 3, 4 and 7. If the caller is cancelled the run goes on: the
    platform has no cancel.

    Args:
        target: A client, whose one default runner is used, or a runner.
        workflow_id: Which workflow.
        params: Its parameters by name.
        timeout: Seconds for queueing, submission and waiting together; None: no limit.
        check: Whether a run that ended in FAIL raises.
        key: The caller's own id of this run.
        validate: Whether the parameters' names are checked before it is executed.
        on_uncertain: What to do where an execute's answer is lost: "report" raises.
        outputs: Whether outputs are read when it ends.

    Raises:
        ConfigurationError: Nothing was sent: an argument cannot be right.
        NotStartedError: The deadline came first; nothing was started.
        SubmissionUncertainError: A run may have been started.
        SubmissionError: The runner was closed first; nothing was started.
        APIError: The platform refused; nothing was started.
        TransportError: The platform cannot be reached; nothing was started.
        UnexpectedResponseError: Another workflow was started, see `ref`; or the request
            was turned away.
        RunFailedError: It failed, and `check` is set; `.result` has its outputs.
        RunTimeoutError: It is still running; `.ref` can be attached to.
        RunUnreachableError: The platform was silent for `max_silence` seconds.
        RunSuspendedError: It is suspended, and the policy says to raise.
        OutputsUnavailableError: It succeeded, its outputs could not be read.
    """
    check_choice("on_uncertain", on_uncertain, "report")
    clock = asyncio.get_running_loop().time
    began = clock()
    run = await runner_of(target).start(
        workflow_id,
        params,
        key=key,
        timeout=timeout,
        validate=validate,
        outputs=outputs,
    )
    if timeout is not None:
        timeout = max(0.0, timeout - (clock() - began))
    return await run.result(timeout=timeout, check=check)


def runner_of(target: object) -> Runner:
    """Give the runner itself, or the one default runner of a client.

    Raises:
        ConfigurationError: It is neither; or the client is closed.
    """
    if isinstance(target, Runner):
        return target
    if not isinstance(target, DPAClient):
        refuse("target", f"is {type(target).__name__}: give a DPAClient or a Runner")
    return target.companion(Runner)


def _parse(text: str) -> RunRef:
    try:
        return RunRef.parse(text)
    except ValueError as error:
        problem = str(error)
    raise ConfigurationError(problem)
