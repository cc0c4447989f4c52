"""`Runner`: what runs share, and `run_and_wait`, the one line that most need."""

import asyncio
import copy
import uuid
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Literal, Protocol, Self

from attrs import evolve

from dpa_async.attempt import Attempt, IfBusy, Order, Place
from dpa_async.checks import check_choice, check_number, check_type, refuse
from dpa_async.client import DPAClient
from dpa_async.errors import (
    ConfigurationError,
    NotStartedError,
    SubmissionError,
)
from dpa_async.events import Announcer, Observer, Submitted
from dpa_async.lanes import Lanes
from dpa_async.models import Execution, RunRef, RunRequest, RunResult, Submission
from dpa_async.run import Run
from dpa_async.sharing import Owner, Shared
from dpa_async.submission import uncertain_error
from dpa_async.waiting import WaitPolicy

_FINISH_POSTS = 5.0
"""Seconds that closing waits for the answers of executes that are out there."""

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
        self._client = client
        self._policy = wait
        self._announce = Announcer(observers)
        self._lanes = Lanes()
        self._attempts: dict[asyncio.Task[Any], Order] = {}
        self._open: dict[RunRef, Run] = {}
        self._latest: dict[str, Run] = {}
        self._owner = Owner()
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
        place: Place | None = None,
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
            place: A place among runs that may go on at once; taken when the workflow is
                free, before the POST, and left to the caller to give back.

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
        self._check_open()
        check_choice("if_busy", if_busy, "queue", "fail")
        if timeout is not None:
            check_number("timeout", timeout, least=0)
        if key is not None:
            check_type("key", key, str)
        order = Order(
            submission=self._intent(workflow_id, params, key),
            # What is meant now, whatever becomes of the caller's mapping.
            params=None if params is None else copy.deepcopy(dict(params)),
            if_busy=if_busy,
            validate=validate,
            outputs=outputs,
            place=place,
        )
        if timeout == 0:
            raise _late(order, "the deadline came at once", NotStartedError)
        attempt = self._attempt(order)
        if timeout is not None:
            order.departure.deadline = asyncio.get_running_loop().time() + timeout
        timer = asyncio.timeout_at(order.departure.deadline)
        try:
            async with timer:
                return await attempt.join()
        except TimeoutError:
            if not timer.expired():
                raise
        if not attempt.under_way:  # done in the very moment of the deadline
            return await attempt.join()
        raise _late(order, f"the deadline of {timeout:g} s came", NotStartedError)

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
        self._client.check_origin(ref)
        known = self._open.get(ref)
        return known if known is not None else self._keep(self._run(ref))

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
        out = {
            task for task, order in self._attempts.items() if order.departure.abandon()
        }
        await self._owner.close(spared=out, grace=_FINISH_POSTS)
        self._client.release(self)

    def _check_open(self) -> None:
        if self._owner.closed:
            msg = "the runner is closed: make a new one"
            raise ConfigurationError(msg)

    def _intent(
        self, workflow_id: str, params: Mapping[str, object] | None, key: str | None
    ) -> Submission:
        """Check what can be before anything is sent, and write down what is meant."""
        self._client.settings.execute_url(workflow_id)
        try:
            digest = Submission.digest(params)
        except (ValueError, TypeError, RecursionError) as error:
            problem = str(error)
        else:
            origin = self._client.settings.base_url
            return Submission(origin, key or uuid.uuid4().hex, workflow_id, digest)
        msg = f"params of workflow {workflow_id!r} cannot be sent as JSON: {problem}"
        raise ConfigurationError(msg)

    def _attempt(self, order: Order) -> Shared[Run]:
        work = Attempt(
            order=order,
            client=self._client,
            policy=self._policy,
            lanes=self._lanes,
            announce=self._announce,
            latest=self._latest.get,
            started=self._started,
        )
        # A POST that is out is finished even when nobody waits for it any more.
        attempt = Shared(
            self._owner,
            work.carry_out,
            ended_by_owner=lambda: _late(
                order, "the runner was closed", SubmissionError
            ),
            goes_on=order.departure.abandon,
            once=True,
        )
        task = attempt.begin()
        self._attempts[task] = order
        task.add_done_callback(self._attempts.pop)
        return attempt

    def _started(self, order: Order, execution: Execution) -> Run:
        previous = self._latest.get(order.workflow_id)
        if previous is not None:
            self._forget(previous)  # the platform has just told that it is over
        run = self._run(
            execution.run,
            submitted_at=datetime.now(UTC),
            wants_outputs=order.outputs,
        )
        run = self._keep(run)
        self._announce(Submitted, order.submission.key, run.ref)
        return run

    def _run(
        self,
        ref: RunRef,
        *,
        submitted_at: datetime | None = None,
        wants_outputs: bool = True,
    ) -> Run:
        return Run(
            self._client,
            ref,
            policy=self._policy,
            announce=self._announce,
            owner=self._owner,
            on_end=self._forget,
            submitted_at=submitted_at,
            wants_outputs=wants_outputs,
        )

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
    return await complete(
        runner_of(target),
        RunRequest(workflow_id, params, key=key, timeout=timeout),
        check=check,
        validate=validate,
        outputs=outputs,
    )


async def complete(
    runner: Runner,
    request: RunRequest,
    *,
    check: bool = True,
    validate: bool = False,
    outputs: bool = True,
    place: Place | None = None,
) -> RunResult:
    """Start what is requested and see it through, in the time that it has for both.

    Raises:
        DPAError: As `run_and_wait` says.
    """
    clock = asyncio.get_running_loop().time
    began = clock()
    run = await runner.start(
        request.workflow_id,
        request.params,
        key=request.key,
        timeout=request.timeout,
        validate=validate,
        outputs=outputs,
        place=place,
    )
    left = request.timeout
    if left is not None:
        left = max(0.0, left - (clock() - began))
    return await run.result(timeout=left, check=check)


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


def _late(order: Order, reason: str, kind: type[SubmissionError]) -> SubmissionError:
    """Say what became of an order that is given up: its POST may be out there."""
    if order.departure.left:
        sent_at = order.departure.left_at
        sent = evolve(order.submission, sent_at=sent_at, seen=(reason,))
        return uncertain_error(sent, f"{reason} while the answer was awaited")
    return kind(order.submission, f"{reason}; nothing was started")


def _parse(text: str) -> RunRef:
    try:
        return RunRef.parse(text)
    except ValueError as error:
        problem = str(error)
    raise ConfigurationError(problem)
