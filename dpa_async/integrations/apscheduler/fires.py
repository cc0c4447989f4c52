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
from dpa_async.errors import DPAError, SubmissionError, SubmissionUncertainError
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

_log = logging.getLogger("dpa_async")


def store_of(job: JobLike) -> str:
    """Give the name of the store that a job is in."""
    alias: str = job._jobstore_alias  # noqa: SLF001 - as APScheduler's own executors do
    return alias


class Executor(AsyncIOExecutor):
    """Fires jobs as its parent does, and tells them for when; ends with no error.

    Args:
        runner: Runs what is fired.
    """

    def __init__(self, runner: Runner) -> None:
        super().__init__()
        self.runner = runner
        self.is_leaving = False
        self.unsent: list[Fire] = []
        self._under_way: set[asyncio.Task[list[object]]] = set()

    @override
    def _do_submit_job(self, job: JobLike, run_times: Sequence[datetime]) -> None:
        task = asyncio.get_running_loop().create_task(self._fire_each(job, run_times))
        self._under_way.add(task)
        task.add_done_callback(partial(self._done, job.id))

    async def _fire_each(
        self, job: JobLike, run_times: Sequence[datetime]
    ) -> list[object]:
        events: list[object] = []
        for due in run_times:
            _ = _current.set(Fire(self, job, due))
            store, logger = store_of(job), self._logger.name
            events += await run_coroutine_job(job, store, [due], logger)
        return events

    def _done(self, job_id: str, task: "asyncio.Task[list[object]]") -> None:
        self._under_way.discard(task)
        failed = asyncio.CancelledError() if task.cancelled() else task.exception()
        if failed is not None:
            self._run_job_error(job_id, failed, failed.__traceback__)
        else:
            self._run_job_success(job_id, task.result())

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
        """Run it; None where the scheduler ended first.

        Raises:
            DPAError: As `run_and_wait`.
        """
        runner, clock = self.executor.runner, asyncio.get_running_loop().time
        began, timeout = clock(), request.timeout
        order = runner.order(request)
        run: Run | None = None
        try:
            run = _started(await runner.begin(order, timeout))
            if timeout is not None:
                timeout = max(0.0, timeout - (clock() - began))
            return await run.result(timeout=timeout)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or not self.executor.is_leaving or task.uncancel():
                raise  # that is somebody else's
        self._leave(order, run)
        return None

    def _leave(self, order: Order, run: Run | None) -> None:
        """Say what becomes of it without this scheduler."""
        match run or order.given_up("its scheduler ended", SubmissionError):
            case Run(ref=ref):
                _log.warning("%s goes on, as %s", self.key, ref)
            case SubmissionUncertainError():
                _log.warning("%s was sent, and its answer is not known yet", self.key)
            case _:
                _log.warning("%s was not sent, and goes back to its store", self.key)
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
