# APScheduler comes without types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
"""A scheduler while it fires runs: its jobs, and how it ends."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Final, Literal, TypeAlias

from apscheduler.job import Job
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from dpa_async.checks import check_choice, check_count, check_number, check_type, refuse
from dpa_async.integrations.apscheduler.fires import (
    Executor,
    Fire,
    JobLike,
    Params,
    store_of,
)
from dpa_async.models import RunRequest
from dpa_async.runner import Runner

Overlap: TypeAlias = Literal["skip", "queue"]
"""What becomes of a fire while the fire before it still runs."""

_EXECUTOR: Final = "dpa"
_WHAT_RUNS: Final = "dpa_async.integrations.apscheduler:run_workflow"
_AS_MANY_AS_COME: Final = 1_000_000
_SAID_OTHERWISE: Final = {
    "coalesce": "fires that were missed are one",
    "executor": "it is the service's",
    "max_instances": 'say overlap="skip" or "queue"',
    "misfire_grace_time": "say late=",
    "replace_existing": "a job of that id is replaced",
}

_log = logging.getLogger("dpa_async")


class Firing:
    """A scheduler while it fires runs: has its jobs, and ends in good order.

    `Service.scheduling` and `scheduling` make it; `draining` closes it on a signal.
    """

    def __init__(
        self, scheduler: AsyncIOScheduler, executor: Executor, drain_timeout: float
    ) -> None:
        self._scheduler = scheduler
        self._executor = executor
        self._drain_timeout = drain_timeout
        self._is_ending = False
        self._is_down = False

    def add_job(
        self,
        workflow_id: str,
        params: Params = None,
        *,
        id: str,  # noqa: A002 - APScheduler's word
        trigger: object,
        overlap: Overlap = "skip",
        timeout: float | None = None,
        late: int | None = None,
        jobstore: str = "default",
        **trigger_args: object,
    ) -> Job:
        """Have a workflow run by the clock; in the place of a job of that id.

        A job that is there with the same trigger keeps its time: what it missed comes,
        and what was paused stays so. That an interval begins at another time makes it
        no other trigger: remove the job to move it. Several fires that were missed are
        one: the latest. Without a journal, a date that has passed is run each time it
        is added.

        Args:
            workflow_id: Which workflow.
            params: Its parameters by name, or a function that makes them of the time
                that a fire was due, and of nothing else. A persistent job store keeps
                them as they are, and a function by its name.
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

        Returns:
            APScheduler's job.

        Raises:
            ConfigurationError: An argument cannot be right, or the runner is closed.
            ValueError: APScheduler's: the trigger's own cannot be right; `LookupError`
                and `TypeError` likewise.
            Exception: The job store's: it is not to be had, or cannot keep a function
                that has no name to import it by.
        """
        if self._is_ending:
            refuse("the scheduler", "ends, or has ended: it takes no jobs any more")
        check_choice("overlap", overlap, "skip", "queue")
        if late is not None:
            check_count("late", late)
        for word in trigger_args.keys() & _SAID_OTHERWISE:
            refuse(word, f"is not for the trigger: {_SAID_OTHERWISE[word]}")
        # What cannot be run is told now, and not in the night.
        fixed = None if callable(params) else params
        order = self._executor.runner.order(
            RunRequest(workflow_id, fixed, timeout=timeout)
        )
        here = self._job(id, jobstore)
        kept = here or self._job(id)
        job: Job = self._scheduler.add_job(
            _WHAT_RUNS,
            trigger=trigger,
            args=(workflow_id, params if callable(params) else order.params, timeout),
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
        if kept is not None:
            if "next_run_time" not in trigger_args and _keeps_its_time(job, kept):
                job.modify(next_run_time=kept.next_run_time)
            if here is None:  # it moved
                kept.remove()
        as_kept: Job = self._job(id, jobstore) or job
        return as_kept

    async def aclose(self) -> None:
        """Fire no more; give what runs `drain_timeout` seconds; then let go of it.

        Idempotent; raises nothing.
        """
        self._pause()
        await self._executor.drain(self._drain_timeout)
        await self.leave()

    async def leave(self) -> None:
        """Fire no more, and let go at once of what runs: on the platform it goes on.

        Idempotent; raises nothing.
        """
        self._pause()
        try:
            await self._executor.leave()
            await asyncio.sleep(0)  # a shutdown by others has its turn
        finally:
            self._shut_down()

    def _pause(self) -> None:
        self._is_ending = True
        if self._scheduler.running:
            self._scheduler.pause()

    def _shut_down(self) -> None:
        """End the scheduler, whatever else goes wrong: it would fire, for nobody."""
        if self._is_down:
            return
        self._is_down = True
        for fire in self._executor.unsent:
            words = self._given_back(fire)
            _log.warning("%s was not sent, and %s", fire.key, words)
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)  # in the loop's next turn
        self._scheduler.remove_executor(_EXECUTOR, shutdown=False)

    def _given_back(self, fire: Fire) -> str:
        """Have a store that persists fire it again; of several of a job the latest."""
        if not self._scheduler.running:
            return "its store is closed: somebody else shut the scheduler down"
        job, store = fire.job, store_of(fire.job)
        kept = self._job(job.id, store)
        try:
            if kept is not None and kept.next_run_time is not None:
                kept.modify(next_run_time=fire.due)
            elif kept is not None:
                return "its job was paused meanwhile"
            elif _goes_on(job, fire.due):
                return "its job was removed meanwhile"
            else:  # APScheduler removed it, for this was its last
                self._add_again(job, fire.due)
        except Exception as error:  # noqa: BLE001 - the store's own, whatever it is
            return f"cannot be given back to its store: {error!r}"
        return "goes back to its store"

    def _add_again(self, job: JobLike, due: datetime) -> None:
        self._scheduler.add_job(
            _WHAT_RUNS,
            trigger=job.trigger,
            args=job.args,
            id=job.id,
            name=job.name,
            coalesce=job.coalesce,
            max_instances=job.max_instances,
            misfire_grace_time=job.misfire_grace_time,
            next_run_time=due,
            jobstore=store_of(job),
            executor=_EXECUTOR,
        )

    def _job(self, job_id: str, store: str | None = None) -> JobLike:
        """Give a job, or None; one that cannot be restored is as good as none."""
        try:
            return self._scheduler.get_job(job_id, store)
        except Exception as error:  # noqa: BLE001 - whatever it was pickled with
            _log.warning(
                "job %r cannot be restored, so it is no job: %r", job_id, error
            )
        return None


@asynccontextmanager
async def scheduling(
    scheduler: AsyncIOScheduler, runner: Runner, *, drain_timeout: float = 0.0
) -> AsyncGenerator[Firing]:
    """Start a scheduler for a runner that there is, and at the end shut it down.

    At the end nothing more is fired, what runs has `drain_timeout` seconds to end, and
    what still runs is let go of. Where an exception ends it, or a cancel, there is no
    time to drain. The runner stays open: whoever made it closes it.

    Jobs that are not ours end as APScheduler ends them: cancelled.

    Args:
        scheduler: Not started yet.
        runner: Runs what is fired.
        drain_timeout: In seconds.

    Yields:
        What has the jobs, and what `draining` closes on a signal.

    Raises:
        ConfigurationError: An argument cannot be right, or the scheduler runs already.
    """
    check_number("drain_timeout", drain_timeout, least=0)
    check_type("scheduler", scheduler, AsyncIOScheduler)
    check_type("runner", runner, Runner)
    if scheduler.running:
        refuse("scheduler", "runs already: `scheduling` starts it, and ends it")
    executor = Executor(runner)
    scheduler.add_executor(executor, _EXECUTOR)
    firing = Firing(scheduler, executor, drain_timeout)
    try:
        scheduler.start()
        yield firing
        await firing.aclose()
    finally:
        await firing.leave()
        await asyncio.sleep(0)  # it is down


def _keeps_its_time(job: JobLike, kept: JobLike) -> bool:
    """Tell whether a job goes on from where the one that it replaces was."""
    if _identity(job.trigger) == _identity(kept.trigger):
        return True
    due = kept.next_run_time
    if due is None or due > datetime.now(UTC):
        return False
    # It was missed; but a date that was set anew would not come after it.
    return _goes_on(job, due)


def _goes_on(job: JobLike, due: datetime) -> bool:
    """Tell whether a job's trigger has another time after this one."""
    return job.trigger.get_next_fire_time(due, datetime.now(UTC)) is not None


def _identity(trigger: object) -> Sequence[object]:
    """Give what tells triggers apart.

    An interval's beginning is none of it: where none is given it is the time at which
    the trigger was made.
    """
    rest = [getattr(trigger, name, None) for name in ("timezone", "end_date", "jitter")]
    return [type(trigger), str(trigger), *map(str, rest)]
