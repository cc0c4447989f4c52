# APScheduler comes without types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
"""One fire of a job: a run of a workflow, let go of when the scheduler ends."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeAlias

from apscheduler.executors.asyncio import AsyncIOExecutor
from apscheduler.executors.base import run_coroutine_job
from attrs import frozen
from typing_extensions import override

from dpa_async.checks import refuse
from dpa_async.errors import (
    ConfigurationError,
    DPAError,
    RunError,
    SubmissionError,
    SubmissionUncertainError,
)
from dpa_async.models import RunRequest, RunResult
from dpa_async.order import Order, Start
from dpa_async.run import Run
from dpa_async.runner import Runner

Params: TypeAlias = (
    Mapping[str, object] | Callable[[datetime], Mapping[str, object]] | None
)
"""A workflow's parameters, or what makes them of the time that a fire was due."""

JobLike: TypeAlias = Any
"""APScheduler's job, as untyped as it comes."""

_OF_THE_CLOSED = frozenset({ConfigurationError, RunError, SubmissionError})
"""What those get whose runner is closed: of these classes, and of none below them."""

_log = logging.getLogger("dpa_async")


def store_of(job: JobLike) -> str:
    """Give the name of the store that a job is in."""
    alias: str = job._jobstore_alias  # noqa: SLF001 - as APScheduler's own executors do
    return alias


class Executor(AsyncIOExecutor):
    """Fires jobs as its parent does, and tells them for when; ends with no error.

    Args:
        runner: Runs what is fired.

    Attributes:
        runner: As given.
        is_leaving: Whether what is fired is let go of.
        unsent: What was fired of which nothing was sent.
    """

    def __init__(self, runner: Runner) -> None:
        super().__init__()
        self.runner = runner
        self.is_leaving = False
        self.unsent: list[Fire] = []
        self._under_way: set[asyncio.Task[list[object]]] = set()

    @override
    def _do_submit_job(self, job: JobLike, run_times: Sequence[datetime]) -> None:
        fires = [Fire(self, job, due) for due in run_times]
        task = asyncio.get_running_loop().create_task(self._fire_each(job, fires))
        self._under_way.add(task)
        task.add_done_callback(partial(self._done, job.id, fires))

    async def _fire_each(self, job: JobLike, fires: list["Fire"]) -> list[object]:
        events: list[object] = []
        while fires and not self.is_leaving:
            fire = fires.pop(0)
            _ = _current.set(fire)
            store, logger = store_of(job), self._logger.name
            events += await run_coroutine_job(job, store, [fire.due], logger)
        return events

    def _done(
        self, job_id: str, left: list["Fire"], task: "asyncio.Task[list[object]]"
    ) -> None:
        self._under_way.discard(task)
        for fire in left:
            fire.was_not_sent()
        events: list[object] = []
        failed: BaseException | None
        if task.cancelled():  # before it began
            failed = None if self.is_leaving else asyncio.CancelledError()
        else:
            failed = task.exception()
            events += [] if failed is not None else task.result()
        if failed is not None:
            self._run_job_error(job_id, failed, failed.__traceback__)
        else:
            self._run_job_success(job_id, events)

    @override
    def shutdown(self, wait: bool = True) -> None:
        """Cancel nothing: what is fired is left in good order, by `Firing`."""

    async def drain(self, timeout: float) -> None:
        """Wait until nothing is under way, or so many seconds."""
        if self._under_way:
            _ = await asyncio.wait(self._under_way, timeout=timeout)

    async def leave(self) -> None:
        """Let go of what is under way; it ends at once, and each fire says how."""
        self.is_leaving = True
        for task in self._under_way:
            if not task.cancelling():
                _ = task.cancel()
        if self._under_way:
            _ = await asyncio.wait(self._under_way)


@frozen
class Fire:
    """One fire of a job: what runs it, and when it was due."""

    executor: Executor
    job: JobLike
    due: datetime

    @property
    def key(self) -> str:
        """The same for the same fire, whichever process it comes in."""
        return f"{self.job.id} {self.due.astimezone(UTC).isoformat()}"

    async def run(self, request: RunRequest) -> RunResult | None:
        """Run it; None where the scheduler, or its runner, ended first.

        Raises:
            DPAError: As `run_and_wait`.
        """
        runner, clock = self.executor.runner, asyncio.get_running_loop().time
        began, timeout = clock(), request.timeout
        order: Order | None = None
        run: Run | None = None
        try:
            order = runner.order(request)
            run = _started(await runner.begin(order, timeout))
            if timeout is not None:
                timeout = max(0.0, timeout - (clock() - began))
            return await run.result(timeout=timeout)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or not self.executor.is_leaving or task.uncancel():
                raise  # that is somebody else's
        except DPAError as error:
            if not runner.closed or type(error) not in _OF_THE_CLOSED:
                raise
        self._let_go(order, run)
        return None

    def _let_go(self, order: Order | None, run: Run | None) -> None:
        """Say what becomes of it without this scheduler."""
        if run is not None:
            _log.warning("%s goes on, as %s", self.key, run.ref)
            return
        start = order and order.given_up("its scheduler ended", SubmissionError)
        if isinstance(start, Run):
            _log.warning("%s goes on, as %s", self.key, start.ref)
        elif isinstance(start, SubmissionUncertainError):
            _log.warning("%s was sent, and its answer is not known yet", self.key)
        else:
            self.was_not_sent()

    def was_not_sent(self) -> None:
        """Take note that it is to be given back to its store."""
        self.executor.unsent.append(self)


def _started(start: Start) -> Run:
    if isinstance(start, DPAError):
        raise start
    return start


_current: ContextVar[Fire | None] = ContextVar("dpa_async_fire", default=None)


async def run_workflow(
    workflow_id: str, params: Params = None, timeout: float | None = None
) -> RunResult | None:
    """Run a workflow for a fire: what `Firing.add_job` has APScheduler call.

    A job store keeps this function by its name, and its arguments as they are.

    Args:
        workflow_id: Which workflow.
        params: Its parameters by name, or what makes them.
        timeout: Seconds for queueing, submission and waiting together; None: no limit.

    Returns:
        The result; None where the scheduler ended before.

    Raises:
        DPAError: As `run_and_wait`; APScheduler tells it as `EVENT_JOB_ERROR`.
        ConfigurationError: It was not called by the executor of a `Firing`.
    """
    fire = _current.get()
    if fire is None:
        refuse("run_workflow", "was called by itself: add it with `Firing.add_job`")
    _ = _current.set(None)  # what is called from here has not this fire's key
    made = params(fire.due) if callable(params) else params
    return await fire.run(RunRequest(workflow_id, made, key=fire.key, timeout=timeout))
