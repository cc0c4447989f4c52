# APScheduler comes without types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
"""APScheduler 3.11: workflows by the clock, each fire run once.

    service = Service()
    scheduler = AsyncIOScheduler()
    async with service.scheduling(scheduler) as firing, draining(firing) as told:
        service.add_job(scheduler, "md-report", id="nightly", trigger="cron", hour=3)
        await told.wait()

The extra is `dpa-async[apscheduler]`.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, Literal, TypeAlias

from apscheduler.executors.asyncio import AsyncIOExecutor
from apscheduler.executors.base import run_coroutine_job
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from attrs import frozen
from typing_extensions import override

from dpa_async.calls import run_and_wait
from dpa_async.checks import check_choice, check_count, check_number, check_type, refuse
from dpa_async.errors import RunError, SubmissionError
from dpa_async.integrations.service import RunnerService
from dpa_async.models import RunRequest, RunResult
from dpa_async.runner import Runner

Overlap: TypeAlias = Literal["skip", "queue"]
"""What becomes of a fire while the fire before it still runs."""

_Job: TypeAlias = Any
"""APScheduler's own."""

_EXECUTOR: Final = "dpa"
_AS_MANY_AS_COME: Final = 1_000_000
_OF_A_JOB: Final = (  # besides when it is due
    *("args", "coalesce", "executor", "id"),
    *("max_instances", "misfire_grace_time", "name", "trigger"),
)

_log = logging.getLogger("dpa_async")


class _Executor(AsyncIOExecutor):
    """Fires jobs as its parent does, tells them for when, and cancels none.

    Args:
        runner: Runs what is fired.
        is_journaled: Whether what is left is gone on with at the next start.
    """

    def __init__(self, runner: Runner, *, is_journaled: bool) -> None:
        super().__init__()
        self.runner = runner
        self.is_journaled = is_journaled
        self.unsent: list[_Fire] = []
        self._under_way: set[asyncio.Task[list[object]]] = set()

    @override
    def _do_submit_job(self, job: _Job, run_times: Sequence[datetime]) -> None:
        task = asyncio.get_running_loop().create_task(self._fired(job, run_times))
        self._under_way.add(task)
        task.add_done_callback(partial(self._done, job.id))

    async def _fired(self, job: _Job, run_times: Sequence[datetime]) -> list[object]:
        store = job._jobstore_alias  # noqa: SLF001 - as its parent
        events: list[object] = []
        for due in run_times:
            _ = _fire.set(_Fire(self, job, due))
            events += await run_coroutine_job(job, store, [due], self._logger.name)
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
        """Cancel nothing: who closes the runner tells all who wait."""

    async def idle(self, timeout: float | None) -> None:
        """Wait until nothing is under way, or so many seconds."""
        if self._under_way:
            _ = await asyncio.wait(self._under_way, timeout=timeout)


@frozen
class _Fire:
    """One fire of a job: what runs it, and when it was due."""

    executor: _Executor
    job: _Job
    due: datetime

    @property
    def key(self) -> str:
        """The same for the same fire, whichever process it comes in."""
        return f"{self.job.id} {self.due.astimezone(UTC).isoformat()}"

    def left(self, error: RunError) -> None:
        """Take note of a run that goes on without this process."""
        if self.executor.is_journaled:
            _log.info("%s is gone on with at the next start: %s", self.key, error.ref)
        else:
            _log.warning("%s is not waited for any more: %s", self.key, error)


_fire: ContextVar[_Fire | None] = ContextVar("dpa_async_fire", default=None)


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
    _ = _fire.set(None)  # a job that is added from here on is another's
    try:
        return await run_and_wait(
            fire.executor.runner, workflow_id, params, timeout=timeout, key=fire.key
        )
    except SubmissionError as error:
        if type(error) is SubmissionError:  # the runner was closed; nothing was sent
            fire.executor.unsent.append(fire)
        raise
    except RunError as error:
        if type(error) is not RunError:  # the runner was closed: no more than that
            raise
        fire.left(error)
    return None


class Firing:
    """A scheduler while it fires; `draining` closes it on a signal. An async closeable.

    It is what `Service.scheduling` gives.
    """

    def __init__(
        self, scheduler: AsyncIOScheduler, executor: _Executor, drain_timeout: float
    ) -> None:
        self._scheduler = scheduler
        self._executor = executor
        self._drain_timeout = drain_timeout
        self._is_down = False

    async def aclose(self) -> None:
        """Fire no more; give what runs `drain_timeout` seconds; then detach from it.

        Idempotent; raises nothing.
        """
        self._pause()
        await self._executor.idle(self._drain_timeout)
        await self.leave()

    async def leave(self) -> None:
        """Fire no more, and detach at once from what runs.

        Executes that are out are finished. Idempotent; raises nothing.
        """
        self._pause()
        try:
            await self._executor.runner.aclose()  # who waits is told, so jobs end
            await self._executor.idle(None)
            await asyncio.sleep(0)  # a shutdown by others has its turn
        finally:
            self._shut_down()

    def _pause(self) -> None:
        if self._scheduler.running:
            self._scheduler.pause()

    def _shut_down(self) -> None:
        """End the scheduler, whatever else goes wrong: it would fire, for nobody."""
        if self._is_down:
            return
        self._is_down = True
        if self._scheduler.running:
            for fire in self._executor.unsent:
                self._give_back(fire)
            self._scheduler.shutdown(wait=False)  # in the loop's next turn
        self._scheduler.remove_executor(_EXECUTOR, shutdown=False)

    def _give_back(self, fire: _Fire) -> None:
        """Have a store that persists fire it again; of several of a job the latest."""
        job, store = fire.job, fire.job._jobstore_alias  # noqa: SLF001 - not public
        try:
            if self._scheduler.get_job(job.id, store) is not None:
                job.modify(next_run_time=fire.due)
                return
            kept = {name: getattr(job, name) for name in _OF_A_JOB}
            _ = self._scheduler.add_job(
                run_workflow, next_run_time=fire.due, jobstore=store, **kept
            )
        except Exception:  # noqa: BLE001 - the store's own, whatever it is
            _log.exception("%s was not sent, and cannot be given back", fire.key)


class Service(RunnerService):
    """One client and one runner for all jobs of a scheduler.

    Each fire has a key, of its job's id and the time that it was due. With a journal a
    fire is run once for good, also where it is fired again after a crash; and runs that
    were under way when the process ended are gone on with at the next start.

    Args:
        client: Makes the client; `DPAClient.from_env` reads `DPA_*`.
        wait: When runs are looked at.
        callbacks: Makes the receiver of callbacks; None: there is none.
        journal: Makes the journal; None: there is none.
        observers: Called with each `RunEvent`, on the event loop.
        on_resumed: Called with each outcome of what the process before this one left
            in the journal, and awaited where it gives something to await; by default
            that is logged. Of what is fired here, APScheduler tells.

    Raises:
        ConfigurationError: Something that is to make something cannot be called.
    """

    def add_job(
        self,
        scheduler: AsyncIOScheduler,
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

        A job that is there with the same trigger keeps its time: what it missed comes,
        and what was paused stays so. Several fires that were missed are one: the
        latest. Without a journal, a date that has passed is run each time it is added.

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
            check_count("late", late)
        # What cannot be run is told now, and not in the night.
        order = self.runner.order(RunRequest(workflow_id, params, timeout=timeout))
        here: _Job = scheduler.get_job(id, jobstore)
        kept: _Job = here or scheduler.get_job(id)
        job = scheduler.add_job(
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
        if kept is None:
            return
        if "next_run_time" not in trigger_args and _keeps_its_time(job, kept):
            job.modify(next_run_time=kept.next_run_time)
        if here is None:  # it moved
            kept.remove()

    @asynccontextmanager
    async def scheduling(
        self, scheduler: AsyncIOScheduler, *, drain_timeout: float = 0.0
    ) -> AsyncGenerator[Firing]:
        """Start the scheduler, and at the end shut it down; no run is cancelled.

        At the end nothing more is fired, runs under way have `drain_timeout` seconds to
        end, executes that are out are finished, and what still runs is detached from.
        Where an exception ends it, or a cancel, there is no time to drain.

        Jobs that are not the service's end as APScheduler ends them: cancelled.

        Args:
            scheduler: Not started yet.
            drain_timeout: In seconds.

        Yields:
            What `draining` closes on a signal.

        Raises:
            ConfigurationError: Something is missing; the service or the scheduler runs
                already.
            JournalError: The journal is another process's, or cannot be written.
        """
        check_number("drain_timeout", drain_timeout, least=0)
        check_type("scheduler", scheduler, AsyncIOScheduler)
        if scheduler.running:
            refuse("scheduler", "runs already: `scheduling` starts it, and ends it")
        async with self._opened(self._receiver()) as runner:
            executor = _Executor(runner, is_journaled=self._journal is not None)
            scheduler.add_executor(executor, _EXECUTOR)
            firing = Firing(scheduler, executor, drain_timeout)
            try:
                scheduler.start()
                yield firing
                await firing.aclose()
            finally:
                await firing.leave()
                await asyncio.sleep(0)  # it is down


def _keeps_its_time(job: _Job, kept: _Job) -> bool:
    """Tell whether a job goes on from where the one that it replaces was."""
    if str(job.trigger) == str(kept.trigger):
        return True
    due, now = kept.next_run_time, datetime.now(UTC)
    if due is None or due > now:
        return False
    # It was missed; but a date that was set anew would not come after it.
    return job.trigger.get_next_fire_time(due, now) is not None
