"""APScheduler 3.11: workflows by the clock, each fire run once.

    service = Service()
    scheduler = AsyncIOScheduler()
    async with service.scheduling(scheduler):
        service.add_job(scheduler, "md-report", id="nightly", trigger="cron", hour=3)
        await asyncio.Event().wait()

The extra is `dpa-async[apscheduler]`.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, Literal, Protocol, TypeAlias

from apscheduler.executors.asyncio import AsyncIOExecutor
from apscheduler.executors.base import (
    run_coroutine_job,  # pyright: ignore[reportUnknownVariableType]
)
from attrs import frozen
from typing_extensions import override

from dpa_async.calls import run_and_wait
from dpa_async.checks import check_choice, check_number, refuse
from dpa_async.errors import RunError
from dpa_async.integrations.service import RunnerService
from dpa_async.models import RunRequest, RunResult
from dpa_async.runner import Runner
from dpa_async.waiting import WaitPolicy

Overlap: TypeAlias = Literal["skip", "queue"]
"""What becomes of a fire while the fire before it still runs."""

_DEFAULT_POLICY: Final = WaitPolicy()
_EXECUTOR: Final = "dpa"
_AS_MANY_AS_COME: Final = 1_000_000

_log = logging.getLogger("dpa_async")


class Scheduler(Protocol):
    """An `AsyncIOScheduler`, as far as it is used here: it comes without types."""

    @property
    def running(self) -> bool:
        """Whether it was started, and not shut down."""
        ...

    def start(self) -> None:
        """Begin to fire."""
        ...

    def pause(self) -> None:
        """Fire no more for now."""
        ...

    def shutdown(self, wait: bool = True) -> None:
        """End."""
        ...

    def add_executor(self, executor: Any, alias: str) -> None:  # noqa: ANN401 - its own
        """Have jobs of that alias run by this executor."""
        ...

    def remove_executor(self, alias: str, shutdown: bool = True) -> None:
        """Forget an executor."""
        ...

    def get_job(self, job_id: str) -> Any:  # noqa: ANN401 - its own
        """Give a job; None: there is none."""
        ...

    def add_job(self, func: Callable[..., object], **options: Any) -> object:  # noqa: ANN401 - its own
        """Add a job."""
        ...


@frozen
class _Fire:
    """One fire of a job: the runner that it is for, and when it was due."""

    service: "Service"
    job_id: str
    due: datetime

    @property
    def key(self) -> str:
        """The same for the same fire, whichever process it comes in."""
        return f"{self.job_id} {self.due.astimezone(UTC).isoformat()}"


_fire: ContextVar[_Fire | None] = ContextVar("dpa_async_fire", default=None)


class _Executor(AsyncIOExecutor):
    """Fires jobs as its parent does, tells them for when, and cancels none."""

    def __init__(self, service: "Service") -> None:
        super().__init__()
        self._service = service
        self._under_way: set[asyncio.Task[list[object]]] = set()

    @override
    def _do_submit_job(self, job: Any, run_times: Sequence[datetime]) -> None:
        task = asyncio.get_running_loop().create_task(self._fired(job, run_times))
        self._under_way.add(task)
        task.add_done_callback(partial(self._done, job.id))

    async def _fired(self, job: Any, run_times: Sequence[datetime]) -> list[object]:  # noqa: ANN401 - its own
        store = job._jobstore_alias  # noqa: SLF001 - as its parent
        events: list[object] = []
        for due in run_times:
            _ = _fire.set(_Fire(self._service, job.id, due))
            events += await run_coroutine_job(job, store, [due], self._logger.name)
        return events

    def _done(self, job_id: str, task: "asyncio.Task[list[object]]") -> None:
        self._under_way.discard(task)
        failed = asyncio.CancelledError() if task.cancelled() else task.exception()
        if failed is not None:
            self._run_job_error(job_id, failed, failed.__traceback__)  # pyright: ignore[reportUnknownMemberType]
        else:
            self._run_job_success(job_id, task.result())  # pyright: ignore[reportUnknownMemberType]

    @override
    def shutdown(self, wait: bool = True) -> None:
        """Cancel nothing: the service closes its runner, which tells who waits."""

    async def idle(self, timeout: float | None) -> None:
        """Wait until nothing is under way, or so many seconds."""
        if self._under_way:
            _ = await asyncio.wait(self._under_way, timeout=timeout)


async def run_workflow(
    workflow_id: str,
    params: Mapping[str, object] | None = None,
    timeout: float | None = None,
) -> RunResult | None:
    """Run a workflow for a fire: what `Service.add_job` has APScheduler call.

    A job store keeps this function by its name, and its arguments as they are.

    Args:
        workflow_id: Which workflow.
        params: Its parameters by name.
        timeout: Seconds for queueing, submission and waiting together; None: no limit.

    Returns:
        The result; None where the service ended while it went on.

    Raises:
        DPAError: As `run_and_wait`; APScheduler tells it as `EVENT_JOB_ERROR`.
        ConfigurationError: It was not called by the service's executor.
    """
    fire = _fire.get()
    if fire is None:
        refuse("run_workflow", "was called by itself: add it with `Service.add_job`")
    runner = fire.service.runner
    try:
        return await run_and_wait(
            runner, workflow_id, params, timeout=timeout, key=fire.key
        )
    except RunError as error:
        if type(error) is not RunError:  # the runner was closed: no more than that
            raise
        fire.service.left(fire.key, error)
    return None


class Service(RunnerService):
    """One client and one runner for all jobs of a scheduler.

    Each fire has a key, of its job's id and the time that it was due. With a journal a
    fire is run once for good, also where it is fired again after a crash; and what was
    under way when the process ended is gone on with at the next start.

    Args:
        client: Makes the client; `DPAClient.from_env` reads `DPA_*`.
        wait: When runs are looked at.
        callbacks: Makes the receiver of callbacks; None: there is none.
        journal: Makes the journal; None: there is none.
        observers: Called with each `RunEvent`, on the event loop.
        on_resumed: Called with each outcome of what the process before this one left
            in the journal, on the event loop; by default it is logged. Of what is fired
            here, APScheduler tells.

    Raises:
        ConfigurationError: Something that is to make something cannot be called.
    """

    def add_job(
        self,
        scheduler: Scheduler,
        workflow_id: str,
        params: Mapping[str, object] | None = None,
        *,
        id: str,  # noqa: A002 - APScheduler's word
        trigger: object,
        overlap: Overlap = "skip",
        timeout: float | None = None,
        late: int | None = None,
        jobstore: str = "default",
        **trigger_args: object,
    ) -> None:
        """Have a workflow run by the clock; in the place of a job of that id.

        Several fires that were missed are one: the latest. A fire that was missed while
        no process ran, by a job in a persistent store, comes when one does.

        Args:
            scheduler: Whose job it is, within `scheduling`.
            workflow_id: Which workflow.
            params: Its parameters by name; kept as they are by a persistent job store.
            id: The job's, in all stores: with the time that it was due, the key of each
                fire.
            trigger: APScheduler's, such as "cron" or "interval".
            overlap: What becomes of a fire while the one before it still runs: it is
                skipped, and told as `EVENT_JOB_MAX_INSTANCES`; or it waits its turn.
            timeout: Seconds for each run's queueing, submission and waiting together;
                None: no limit.
            late: Seconds after which a fire comes too late and is told as
                `EVENT_JOB_MISSED`, 1 or more; None: it is never too late.
            jobstore: Where the job is kept.
            **trigger_args: The trigger's own.

        Raises:
            ConfigurationError: An argument cannot be right, or the service is not
                running.
            ValueError: APScheduler's: the trigger's own cannot be right; `LookupError`
                and `TypeError` likewise.
        """
        check_choice("overlap", overlap, "skip", "queue")
        if late is not None:
            check_number("late", late, least=1)
        # What cannot be run is told now, and not in the night.
        order = self.runner.order(RunRequest(workflow_id, params, timeout=timeout))
        kept = scheduler.get_job(id)
        due = None if kept is None else getattr(kept, "next_run_time", None)
        if due is not None and due <= datetime.now(UTC):
            # To replace a job would forget a fire.
            _ = trigger_args.setdefault("next_run_time", due)
        _ = scheduler.add_job(
            run_workflow,
            trigger=trigger,
            args=(workflow_id, order.params, timeout),
            id=id,
            name=f"{id}: {workflow_id}",
            coalesce=True,
            max_instances=1 if overlap == "skip" else _AS_MANY_AS_COME,
            misfire_grace_time=late,
            jobstore=jobstore,
            executor=_EXECUTOR,
            replace_existing=True,
            **trigger_args,
        )

    @asynccontextmanager
    async def scheduling(
        self, scheduler: Scheduler, *, drain_timeout: float = 0.0
    ) -> AsyncGenerator[Runner]:
        """Start the scheduler, and at the end shut it down without cancelling anything.

        At the end nothing more is fired, runs under way have `drain_timeout` seconds to
        end, executes that are out are finished, and what still runs is detached from.

        Args:
            scheduler: Not started yet.
            drain_timeout: In seconds.

        Yields:
            The runner of all jobs.

        Raises:
            ConfigurationError: Something is missing; the service or the scheduler runs
                already.
            JournalError: The journal is another process's, or cannot be written.
        """
        check_number("drain_timeout", drain_timeout, least=0)
        if _is_running(scheduler):
            refuse("scheduler", "runs already: `scheduling` starts it, and ends it")
        executor = _Executor(self)
        async with self._opened(self._receiver()) as runner:
            scheduler.add_executor(executor, _EXECUTOR)
            scheduler.start()
            try:
                yield runner
                if _is_running(scheduler):
                    scheduler.pause()
                await executor.idle(drain_timeout)
            finally:
                await runner.aclose()  # who waits is told, so jobs end by themselves
                await executor.idle(None)
                if _is_running(scheduler):
                    scheduler.shutdown(wait=False)
                    await asyncio.sleep(0)  # it does so in the loop's next turn
                scheduler.remove_executor(_EXECUTOR, shutdown=False)

    def left(self, key: str, error: RunError) -> None:
        """Take note of a run that goes on without this process."""
        if self._journal is None:
            _log.warning("%s is not waited for any more: %s", key, error)
        else:
            _log.info("%s is gone on with at the next start: %s", key, error.ref)


def _is_running(scheduler: Scheduler) -> bool:
    """Ask anew: type checkers think that it stays as it was."""
    return scheduler.running
