"""Workflows by the clock: what is fired, missed, skipped, and left when all ends."""

import asyncio
import os
import signal
import sys
from collections import Counter
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import pairwise

import pytest
from apscheduler.events import (
    EVENT_JOB_ERROR,
    EVENT_JOB_EXECUTED,
    EVENT_JOB_MAX_INSTANCES,
    EVENT_JOB_MISSED,
)
from apscheduler.jobstores.memory import MemoryJobStore
from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.schedulers.background import BackgroundScheduler
from sqlalchemy.exc import OperationalError

from dpa_async import (
    ConfigurationError,
    DPAClient,
    RunFailedError,
    Runner,
    RunStatus,
    run_and_wait,
)
from dpa_async.draining import draining
from dpa_async.integrations.apscheduler import Service, run_workflow, scheduling
from dpa_async.journal import SQLiteJournal
from dpa_async.simulator import Fault, SimulatedWorkflow, Simulator

WORDS = {
    EVENT_JOB_ERROR: "failed",
    EVENT_JOB_EXECUTED: "executed",
    EVENT_JOB_MAX_INSTANCES: "skipped",
    EVENT_JOB_MISSED: "missed",
}


class Seen:
    """What APScheduler tells its listeners."""

    def __init__(self, scheduler):
        self.scheduler = scheduler
        self.told = []
        self._news = asyncio.Event()
        scheduler.add_listener(self._take, sum(WORDS))

    def _take(self, event):
        self.told.append(event)
        self._news.set()

    @property
    def words(self):
        return [WORDS[event.code] for event in self.told]

    async def until(self, *words):
        """Wait until so many of each of these were told."""
        while Counter(words) - Counter(self.words):
            self._news.clear()
            await self._news.wait()


def play(test, *workflows, duration=0.1):
    async def main():
        async with asyncio.timeout(30):
            async with Simulator(workflows or None, duration=duration) as platform:
                await test(platform, partial(DPAClient, platform.settings()))
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left, left

    asyncio.run(main())


def soon(seconds=0.1):
    return {
        "trigger": "date",
        "run_date": datetime.now(UTC) + timedelta(seconds=seconds),
    }


def stored(path):
    return AsyncIOScheduler(
        jobstores={"default": SQLAlchemyJobStore(f"sqlite:///{path}")}
    )


@asynccontextmanager
async def scheduled(service, scheduler=None, **options):
    scheduler = scheduler or AsyncIOScheduler()
    async with service.scheduling(scheduler, **options) as firing:
        yield firing, Seen(scheduler)


def test_each_fire_runs_its_workflow_and_tells_the_outcome():
    async def test(platform, client):
        service = Service(client)
        async with scheduled(service) as (firing, seen):
            firing.add_job(
                "wf",
                {"day": "today"},
                id="often",
                trigger="interval",
                seconds=1,
            )
            firing.add_job("other", id="once", **soon())
            await seen.until("executed", "executed", "executed")
        results = [event.retval for event in seen.told]
        assert {result.status for result in results} == {RunStatus.SUCCEEDED}
        assert {event.job_id for event in seen.told} == {"often", "once"}
        started = platform.platform.executions("wf")
        assert len({result.ref for result in results}) == len(results)
        assert started[0].params == {"day": "today"}
        assert platform.faults.calls["token"] == 1

    play(test)


def test_a_run_that_fails_is_a_job_that_failed():
    async def test(platform, client):
        service = Service(client)
        async with scheduled(service) as (firing, seen):
            firing.add_job("fails", id="it", **soon())
            await seen.until("failed")
        (event,) = seen.told
        assert isinstance(event.exception, RunFailedError)
        assert event.exception.result.status is RunStatus.FAILED

    play(test, SimulatedWorkflow("fails", fails=True, duration=0.1))


@pytest.mark.parametrize("overlap", ["skip", "queue"])
def test_a_fire_while_the_one_before_still_runs(overlap):
    async def test(platform, client):
        service = Service(client)
        async with scheduled(service) as (firing, seen):
            firing.add_job(
                "wf",
                id="slow",
                overlap=overlap,
                trigger="interval",
                seconds=0.5,
            )
            if overlap == "skip":
                await seen.until("skipped", "executed")
            else:
                await seen.until("executed", "executed")
                assert "skipped" not in seen.words
        runs = platform.platform.executions("wf")
        assert all(
            before.ends_at <= after.submitted_at for before, after in pairwise(runs)
        )

    play(test, SimulatedWorkflow("wf", duration=0.9))


def test_a_fire_that_was_missed_while_no_process_ran_comes_when_one_does(tmp_path):
    async def test(platform, client):
        for is_there in (True, False):
            service = Service(client)
            scheduler = stored(tmp_path / "jobs.sqlite")
            async with scheduled(service, scheduler) as (firing, seen):
                if is_there:
                    firing.add_job("wf", id="it", **soon(0.3))
                else:
                    await seen.until("executed")
            if is_there:
                await asyncio.sleep(0.5)
                assert not platform.platform.executions("wf")
        assert len(platform.platform.executions("wf")) == 1

    play(test)


def test_a_job_that_is_added_again_does_not_forget_what_was_missed(tmp_path):
    async def test(platform, client):
        for life in range(2):
            service = Service(client)
            scheduler = stored(tmp_path / "jobs.sqlite")
            async with scheduled(service, scheduler) as (firing, seen):
                hourly = {"trigger": "interval", "hours": 1}
                if life == 0:
                    hourly["start_date"] = datetime.now(UTC) + timedelta(seconds=0.3)
                firing.add_job("wf", {"life": life}, id="it", **hourly)
                if life == 1:
                    await seen.until("executed")
            await asyncio.sleep(0.5)
        (execution,) = platform.platform.executions("wf")
        assert execution.params == {"life": 1}

    play(test)


def test_a_fire_that_comes_too_late_is_told_as_missed(tmp_path):
    async def test(platform, client):
        for life in range(2):
            service = Service(client)
            scheduler = stored(tmp_path / "jobs.sqlite")
            async with scheduled(service, scheduler) as (firing, seen):
                if life == 0:
                    firing.add_job("wf", id="it", late=1, **soon(0.2))
                else:
                    await seen.until("missed")
            await asyncio.sleep(1.5)
        assert not platform.platform.executions("wf")

    play(test)


def test_a_fire_that_comes_again_after_a_crash_finds_its_run(tmp_path):
    due = datetime.now(UTC) + timedelta(seconds=0.3)

    async def test(platform, client):
        refs = []
        for _ in range(2):  # the second life was not told that it was fired
            service = Service(
                client, journal=lambda: SQLiteJournal(tmp_path / "runs.journal")
            )
            async with scheduled(service) as (firing, seen):
                firing.add_job("wf", id="it", trigger="date", run_date=due)
                await seen.until("executed")
            refs.append(seen.told[0].retval.ref)
        assert refs[0] == refs[1]
        assert len(platform.platform.executions("wf")) == 1

    play(test)


def test_to_end_cancels_nothing_and_the_next_start_goes_on(tmp_path, caplog):
    caplog.set_level("INFO", logger="dpa_async")

    async def test(platform, client):
        platform.faults.add("execute", Fault.slow_answer(0.5))
        resumed = []

        def service():
            return Service(
                client,
                journal=lambda: SQLiteJournal(tmp_path / "runs.journal"),
                on_resumed=resumed.append,
            )

        first = service()
        async with scheduled(first) as (firing, seen):
            firing.add_job("wf", id="it", **soon(0.05))
            while not platform.faults.calls["execute"]:  # noqa: ASYNC110 - it comes true elsewhere
                await asyncio.sleep(0.01)
        assert seen.words == ["executed"]  # not cancelled, and not failed
        assert seen.told[0].retval is None
        assert resumed == []
        async with scheduled(service()):
            while not resumed:  # noqa: ASYNC110 - it comes true elsewhere
                await asyncio.sleep(0.01)
        (outcome,) = resumed
        (execution,) = platform.platform.executions("wf")
        assert outcome.result.ref.run_id == execution.run_id
        assert outcome.request.key.startswith("it ")

    play(test, SimulatedWorkflow("wf", duration=1.5))
    assert "was sent, and its answer is not known yet" in caplog.text


def test_what_runs_has_time_to_end_where_that_is_wanted():
    async def test(platform, client):
        service = Service(client)
        async with scheduled(service, drain_timeout=10) as (firing, seen):
            firing.add_job("wf", id="it", **soon(0.05))
            while not platform.platform.executions("wf"):  # noqa: ASYNC110 - it comes true elsewhere
                await asyncio.sleep(0.01)
        assert seen.told[0].retval.status is RunStatus.SUCCEEDED

    play(test, SimulatedWorkflow("wf", duration=1.0))


def test_without_a_journal_a_run_that_is_left_is_told_with_its_reference(caplog):
    async def test(platform, client):
        service = Service(client)
        async with scheduled(service) as (firing, _):
            firing.add_job("wf", id="it", **soon(0.05))
            while not service.runner.open_runs:  # noqa: ASYNC110 - it comes true elsewhere
                await asyncio.sleep(0.01)
            (ref,) = service.runner.open_runs
        (record,) = (r for r in caplog.records if r.name == "dpa_async")
        assert record.levelname == "WARNING"
        assert str(ref) in record.getMessage()

    play(test, SimulatedWorkflow("wf", duration=60.0))


def test_a_scheduler_that_its_owner_ended_ends_in_good_order_too():
    async def test(platform, client):
        service = Service(client)
        async with scheduled(service, drain_timeout=5) as (firing, seen):
            firing.add_job("wf", id="it", **soon(0.05))
            while not platform.platform.executions("wf"):  # noqa: ASYNC110 - it comes true elsewhere
                await asyncio.sleep(0.01)
            seen.scheduler.shutdown()
        again = AsyncIOScheduler()
        async with scheduled(service, again) as (firing, seen):
            firing.add_job("wf", id="it", **soon(0.05))
            await seen.until("executed")

    play(test, SimulatedWorkflow("wf", duration=0.5))


async def until(happens):
    while not happens():  # noqa: ASYNC110 - it comes true elsewhere
        await asyncio.sleep(0.01)


async def life(service, scheduler, jobs, **options):
    """A life of a service until it is cancelled."""
    async with service.scheduling(scheduler, **options) as firing:
        for name, due in jobs.items():
            firing.add_job(name, id=name, **soon(due))
        await asyncio.Event().wait()


def journaling(client, tmp_path, **options):
    journal = partial(SQLiteJournal, tmp_path / "runs.journal")
    return Service(client, journal=journal, **options)


@pytest.mark.parametrize("cancels", [1, 2])
def test_what_comes_due_while_it_ends_is_fired_at_the_next_start(tmp_path, cancels):
    async def test(platform, client):
        platform.faults.add("execute", Fault.slow_answer(1.5), calls={1})
        store = tmp_path / "jobs.sqlite"
        scheduler = stored(store)
        jobs = {"first": 0.05, "later": 1.0}
        living = asyncio.create_task(
            life(journaling(client, tmp_path), scheduler, jobs, drain_timeout=20)
        )
        await until(lambda: platform.faults.calls["execute"])
        for _ in range(cancels):
            living.cancel()
            await asyncio.sleep(0.3)
        with pytest.raises(asyncio.CancelledError):
            await living
        assert not scheduler.running
        await asyncio.sleep(1.0)  # "later" has come due
        assert not platform.platform.executions("later")
        async with scheduled(journaling(client, tmp_path), stored(store)) as (_, seen):
            await seen.until("executed")
        assert len(platform.platform.executions("later")) == 1
        assert len(platform.platform.executions("first")) == 1

    play(test, SimulatedWorkflow("first", duration=3.0), SimulatedWorkflow("later"))


def test_a_signal_leaves_what_runs_its_time_and_fires_no_more(tmp_path):
    async def test(platform, client):
        store = tmp_path / "jobs.sqlite"
        scheduler = stored(store)
        seen = Seen(scheduler)
        service = journaling(client, tmp_path)
        async with (
            service.scheduling(scheduler, drain_timeout=10) as firing,
            draining(firing) as told,
        ):
            firing.add_job("first", id="first", **soon(0.05))
            firing.add_job("later", id="later", **soon(1.0))
            await until(lambda: platform.platform.executions("first"))
            os.kill(os.getpid(), signal.SIGTERM)
            await told.wait()
        (event,) = seen.told
        assert event.retval.status is RunStatus.SUCCEEDED
        async with scheduled(journaling(client, tmp_path), stored(store)) as (_, seen):
            await seen.until("executed")
        assert len(platform.platform.executions("later")) == 1

    play(test, SimulatedWorkflow("first", duration=1.5), SimulatedWorkflow("later"))


@pytest.mark.parametrize("trigger", ["date", "interval"])
def test_a_fire_that_waits_its_turn_is_given_back_to_the_store(tmp_path, trigger):
    due = datetime.now(UTC) + timedelta(seconds=0.1)
    when = {"date": {"run_date": due}, "interval": {"hours": 1, "start_date": due}}

    async def test(platform, client):
        platform.platform.execute_as_other_user("wf", platform.now())
        store = tmp_path / "jobs.sqlite"
        service, scheduler = journaling(client, tmp_path), stored(store)
        async with scheduled(service, scheduler) as (firing, seen):
            firing.add_job("wf", id="it", trigger=trigger, **when[trigger])
            await until(lambda: platform.faults.calls["listAll"])
        assert [event.retval for event in seen.told] == [None]
        async with scheduled(journaling(client, tmp_path), stored(store)) as (_, seen):
            await seen.until("executed")
        (ours,) = (r for r in platform.platform.executions("wf") if not r.foreign)
        assert seen.told[0].retval.ref.run_id == ours.run_id

    play(test, SimulatedWorkflow("wf", duration=1.0))


def test_a_date_that_is_set_anew_is_not_lost_to_the_one_that_was_missed(tmp_path):
    async def test(platform, client):
        for start in range(2):
            service, scheduler = Service(client), stored(tmp_path / "jobs.sqlite")
            async with scheduled(service, scheduler) as (firing, seen):
                when = soon(0.2 if start == 0 else 0.8)
                firing.add_job("wf", {"start": start}, id="it", **when)
                if start == 1:
                    await asyncio.sleep(0.4)
                    assert not seen.told  # the new date, and only that
                    await seen.until("executed")
            await asyncio.sleep(0.4)
        (execution,) = platform.platform.executions("wf")
        assert execution.params == {"start": 1}

    play(test)


def test_starts_that_are_more_frequent_than_a_job_do_not_put_it_off(tmp_path):
    async def test(platform, client):
        for _ in range(4):
            service, scheduler = Service(client), stored(tmp_path / "jobs.sqlite")
            async with scheduled(service, scheduler) as (firing, _):
                firing.add_job("wf", id="it", trigger="interval", seconds=1)
                await asyncio.sleep(0.6)
        assert platform.platform.executions("wf")

    play(test)


def test_what_an_operator_paused_stays_paused(tmp_path):
    async def test(platform, client):
        hourly = {"id": "it", "trigger": "interval", "hours": 1}
        for start in range(2):
            service, scheduler = Service(client), stored(tmp_path / "jobs.sqlite")
            async with scheduled(service, scheduler) as (firing, _):
                firing.add_job("wf", **hourly)
                if start == 0:
                    scheduler.pause_job("it")
                assert scheduler.get_job("it").next_run_time is None

    play(test)


def test_a_job_that_moves_to_another_store_leaves_the_one_before(tmp_path):
    async def test(platform, client):
        service = Service(client)
        scheduler = AsyncIOScheduler(
            jobstores={name: MemoryJobStore() for name in ("default", "other")}
        )
        async with scheduled(service, scheduler) as (firing, _):
            for store in ("default", "other"):
                firing.add_job("wf", id="it", jobstore=store, **soon(60))
            (job,) = scheduler.get_jobs()
            assert scheduler.get_job("it", "other").id == job.id

    play(test)


def test_a_start_that_fails_can_be_tried_again(tmp_path):
    async def test(platform, client):
        service = Service(client)
        scheduler = stored(tmp_path / "there is no such folder" / "jobs.sqlite")
        for _ in range(2):
            with pytest.raises(OperationalError):
                async with service.scheduling(scheduler):
                    pass
        (tmp_path / "there is no such folder").mkdir()
        async with scheduled(service, scheduler) as (firing, seen):
            firing.add_job("wf", id="it", **soon())
            await seen.until("executed")

    play(test)


def day_of(due):
    """What a job store can keep by its name."""
    return {"day": due.astimezone(UTC).date().isoformat()}


def test_parameters_can_be_made_of_the_time_that_a_fire_was_due(tmp_path):
    due = datetime(2026, 2, 28, 23, 59, tzinfo=UTC)  # missed since long

    async def test(platform, client):
        scheduler = stored(tmp_path / "jobs.sqlite")
        async with scheduled(Service(client), scheduler) as (firing, seen):
            firing.add_job("wf", day_of, id="it", trigger="date", run_date=due)
            await seen.until("executed")
        (execution,) = platform.platform.executions("wf")
        assert execution.params == {"day": "2026-02-28"}

    play(test)


def test_what_makes_wrong_parameters_is_told_as_a_job_that_failed():
    async def test(platform, client):
        async with scheduled(Service(client)) as (firing, seen):
            firing.add_job("wf", lambda due: {"day": due}, id="it", **soon())
            await seen.until("failed")
        assert "JSON" in str(seen.told[0].exception)
        assert not platform.platform.executions("wf")

    play(test)


def test_a_runner_that_is_there_already_is_used_and_left_open(caplog):
    async def test(platform, client):
        scheduler = AsyncIOScheduler()
        seen = Seen(scheduler)
        async with client() as opened, Runner(opened) as runner:
            async with scheduling(scheduler, runner) as firing:
                firing.add_job("slow", id="slow", **soon(0.05))
                firing.add_job("slow", id="waits", **soon(0.05))
                firing.add_job("quick", id="quick", **soon(0.05))
                await seen.until("executed")
            left = {event.job_id: event.retval for event in seen.told}
            assert left.pop("quick").status is RunStatus.SUCCEEDED
            assert left == {"slow": None, "waits": None}
            (ref,) = runner.open_runs
            assert ref.workflow_id == "slow"
            assert (await run_and_wait(runner, "quick")).status is RunStatus.SUCCEEDED
        words = {record.getMessage().partition(" ")[0] for record in caplog.records}
        assert words == {"slow", "waits"}
        assert len(platform.platform.executions("slow")) == 1

    play(
        test,
        SimulatedWorkflow("slow", duration=60.0),
        SimulatedWorkflow("quick", duration=0.1),
    )


def test_a_job_that_is_cancelled_by_somebody_else_failed():
    async def test(platform, client):
        async with scheduled(Service(client)) as (firing, seen):
            firing.add_job("wf", id="it", **soon(0.05))
            await until(lambda: platform.platform.executions("wf"))
            (task,) = firing._executor._under_way
            task.cancel()
            await seen.until("failed")
        assert isinstance(seen.told[0].exception, asyncio.CancelledError)

    play(test, SimulatedWorkflow("wf", duration=60.0))


def waiting_fire(test, tmp_path, **when):
    """Play where a fire waits for somebody else's run, with a store that persists."""

    async def main(platform, client):
        platform.platform.execute_as_other_user("wf", platform.now())
        store = tmp_path / "jobs.sqlite"
        async with client() as opened, Runner(opened) as runner:
            scheduler = stored(store)
            async with scheduling(scheduler, runner) as firing:
                job = firing.add_job("wf", id="it", **when)
                await until(lambda: platform.faults.calls["listAll"])
                await test(job, runner, scheduler)
        again = stored(store)
        again.start(paused=True)
        try:
            return again.get_job("it")
        finally:
            again.shutdown()
            await asyncio.sleep(0)

    def run(check):
        async def both(platform, client):
            check(await main(platform, client))

        play(both, SimulatedWorkflow("wf", duration=60.0))

    return run


def daily():
    return {
        "trigger": "interval",
        "days": 1,
        "start_date": datetime.now(UTC) + timedelta(seconds=0.1),
    }


def test_a_fire_goes_back_to_its_store_also_where_its_runner_was_closed_first(tmp_path):
    async def test(job, runner, scheduler):
        await runner.aclose()

    when = daily()

    def check(kept):
        assert kept.next_run_time == when["start_date"]

    waiting_fire(test, tmp_path, **when)(check)


def test_a_job_that_was_removed_while_its_fire_waited_stays_removed(tmp_path, caplog):
    async def test(job, runner, scheduler):
        job.remove()

    def check(kept):
        assert kept is None

    waiting_fire(test, tmp_path, **daily())(check)
    assert "removed meanwhile" in caplog.text


def test_a_job_that_was_paused_while_its_fire_waited_stays_paused(tmp_path, caplog):
    async def test(job, runner, scheduler):
        job.pause()

    def check(kept):
        assert kept.next_run_time is None

    waiting_fire(test, tmp_path, **daily())(check)
    assert "paused meanwhile" in caplog.text


def test_who_shuts_the_scheduler_down_is_told_what_that_lost(tmp_path, caplog):
    async def test(job, runner, scheduler):
        scheduler.shutdown()
        await asyncio.sleep(0)

    def check(kept):
        assert kept.next_run_time > datetime.now(UTC)

    waiting_fire(test, tmp_path, **daily())(check)
    assert "shut the scheduler down" in caplog.text


def test_a_fire_that_has_not_begun_when_it_is_left_goes_back_to_its_store(tmp_path):
    async def test(platform, client):
        store = tmp_path / "jobs.sqlite"
        scheduler = stored(store)
        async with Service(client).scheduling(scheduler) as firing:
            firing.add_job("wf", id="it", **soon(60))
            job = scheduler.get_job("it")
            firing._executor.submit_job(job, [job.next_run_time])
            scheduler.remove_job("it")  # as APScheduler does in the same tick
            await firing.leave()
        assert not platform.platform.executions("wf")
        async with scheduled(Service(client), stored(store)) as (firing, _):
            (kept,) = firing._scheduler.get_jobs()
            assert kept.next_run_time == job.next_run_time

    play(test)


def test_of_several_fires_of_one_job_those_that_wait_are_left_too(tmp_path):
    async def test(platform, client):
        began = datetime.now(UTC)
        async with scheduled(Service(client)) as (firing, _):
            job = firing.add_job("wf", id="it", **soon(60))
            times = [began + timedelta(seconds=n) for n in range(3)]
            firing._executor.submit_job(job, times)
            await until(lambda: platform.platform.executions("wf"))
            await firing.leave()
            assert {fire.due for fire in firing._executor.unsent} == set(times[1:])
        assert len(platform.platform.executions("wf")) == 1

    play(test, SimulatedWorkflow("wf", duration=60.0))


def test_a_job_that_cannot_be_restored_is_replaced(tmp_path, monkeypatch, caplog):
    async def test(platform, client):
        store = tmp_path / "jobs.sqlite"
        async with scheduled(Service(client), stored(store)) as (firing, _):
            firing.add_job("wf", day_of, id="it", **soon(60))
        monkeypatch.delattr(sys.modules[__name__], "day_of")
        async with scheduled(Service(client), stored(store)) as (firing, _):
            job = firing.add_job("wf", {"day": "today"}, id="it", **soon(60))
            assert job.args[1] == {"day": "today"}
        assert "cannot be restored" in caplog.text

    play(test)


@pytest.mark.parametrize(
    "changed",
    [
        {"timezone": "Asia/Tokyo"},
        {"end_date": datetime(2100, 1, 1, tzinfo=UTC)},
        {"jitter": 60},
        {"hour": 4},
    ],
)
def test_another_trigger_has_another_time(tmp_path, changed):
    async def test(platform, client):
        cron = {"id": "it", "trigger": "cron", "hour": 3, "timezone": "UTC"}
        store = tmp_path / "jobs.sqlite"
        async with scheduled(Service(client), stored(store)) as (firing, _):
            firing.add_job("wf", **cron)
            firing._scheduler.pause_job("it")
        async with scheduled(Service(client), stored(store)) as (firing, _):
            assert firing.add_job("wf", **cron).next_run_time is None
            assert firing.add_job("wf", **{**cron, **changed}).next_run_time is not None

    play(test)


def test_who_has_ended_takes_no_jobs():
    async def test(platform, client):
        async with scheduled(Service(client)) as (firing, _):
            await firing.aclose()
            with pytest.raises(ConfigurationError, match="takes no jobs"):
                firing.add_job("wf", id="it", **soon())

    play(test)


def test_a_job_that_a_fire_adds_is_no_part_of_that_fire():
    async def test(platform, client):
        service = Service(client)
        async with scheduled(service) as (firing, seen):

            def follow(event):
                if event.job_id == "it":
                    seen.scheduler.add_job(run_workflow, args=["wf"], id="by hand")

            seen.scheduler.add_listener(follow, EVENT_JOB_EXECUTED)
            firing.add_job("wf", id="it", **soon())
            await seen.until("executed", "failed")
        (by_hand,) = (e for e in seen.told if e.job_id == "by hand")
        assert isinstance(by_hand.exception, ConfigurationError)

    play(test)


def test_what_cannot_be_right_is_said_at_once():
    async def test(platform, client):
        service = Service(client)
        scheduler = AsyncIOScheduler()
        with pytest.raises(ConfigurationError, match="add it with"):
            await run_workflow("wf")
        for wrong in (BackgroundScheduler(), AsyncIOScheduler):
            with pytest.raises(ConfigurationError, match="give AsyncIOScheduler"):
                async with service.scheduling(wrong):
                    pass
        async with service.scheduling(scheduler) as firing:
            with pytest.raises(ConfigurationError, match="overlap"):
                firing.add_job("wf", id="a", overlap="both", **soon())
            with pytest.raises(ConfigurationError, match="timeout"):
                firing.add_job("wf", id="a", timeout=-1, **soon())
            for late in (0, 1.5):
                with pytest.raises(ConfigurationError, match="late"):
                    firing.add_job("wf", id="a", late=late, **soon())
            with pytest.raises(ConfigurationError, match="JSON"):
                firing.add_job("wf", {"a": object()}, id="a", **soon())
            with pytest.raises(LookupError):
                firing.add_job("wf", id="a", trigger="never")
            with pytest.raises(ConfigurationError, match="say late="):
                firing.add_job("wf", id="a", misfire_grace_time=60, **soon())
            assert not scheduler.get_jobs()
            with pytest.raises(ConfigurationError, match="runs already"):
                async with Service(client).scheduling(scheduler):
                    pass

    play(test)
