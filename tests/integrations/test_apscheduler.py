"""Workflows by the clock: what is fired, missed, skipped, and left when all ends."""

import asyncio
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
from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from dpa_async import ConfigurationError, DPAClient, RunFailedError, RunStatus
from dpa_async.integrations.apscheduler import Service, run_workflow
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
    async with service.scheduling(scheduler, **options):
        yield scheduler, Seen(scheduler)


def test_each_fire_runs_its_workflow_and_tells_the_outcome():
    async def test(platform, client):
        service = Service(client)
        async with scheduled(service) as (scheduler, seen):
            service.add_job(
                scheduler,
                "wf",
                {"day": "today"},
                id="often",
                trigger="interval",
                seconds=1,
            )
            service.add_job(scheduler, "other", id="once", **soon())
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
        async with scheduled(service) as (scheduler, seen):
            service.add_job(scheduler, "fails", id="it", **soon())
            await seen.until("failed")
        (event,) = seen.told
        assert isinstance(event.exception, RunFailedError)
        assert event.exception.result.status is RunStatus.FAILED

    play(test, SimulatedWorkflow("fails", fails=True, duration=0.1))


@pytest.mark.parametrize("overlap", ["skip", "queue"])
def test_a_fire_while_the_one_before_still_runs(overlap):
    async def test(platform, client):
        service = Service(client)
        async with scheduled(service) as (scheduler, seen):
            service.add_job(
                scheduler,
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
            async with scheduled(service, scheduler) as (_, seen):
                if is_there:
                    service.add_job(scheduler, "wf", id="it", **soon(0.3))
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
            async with scheduled(service, scheduler) as (_, seen):
                hourly = {"trigger": "interval", "hours": 1}
                if life == 0:
                    hourly["start_date"] = datetime.now(UTC) + timedelta(seconds=0.3)
                service.add_job(scheduler, "wf", {"life": life}, id="it", **hourly)
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
            async with scheduled(service, scheduler) as (_, seen):
                if life == 0:
                    service.add_job(scheduler, "wf", id="it", late=1, **soon(0.2))
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
            async with scheduled(service) as (scheduler, seen):
                service.add_job(scheduler, "wf", id="it", trigger="date", run_date=due)
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
        async with scheduled(first) as (scheduler, seen):
            first.add_job(scheduler, "wf", id="it", **soon(0.05))
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
    assert "gone on with at the next start" in caplog.text


def test_what_runs_has_time_to_end_where_that_is_wanted():
    async def test(platform, client):
        service = Service(client)
        async with scheduled(service, drain_timeout=10) as (scheduler, seen):
            service.add_job(scheduler, "wf", id="it", **soon(0.05))
            while not platform.platform.executions("wf"):  # noqa: ASYNC110 - it comes true elsewhere
                await asyncio.sleep(0.01)
        assert seen.told[0].retval.status is RunStatus.SUCCEEDED

    play(test, SimulatedWorkflow("wf", duration=1.0))


def test_without_a_journal_a_run_that_is_left_is_told_with_its_reference(caplog):
    async def test(platform, client):
        service = Service(client)
        async with scheduled(service) as (scheduler, _):
            service.add_job(scheduler, "wf", id="it", **soon(0.05))
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
        async with scheduled(service, drain_timeout=5) as (scheduler, _):
            service.add_job(scheduler, "wf", id="it", **soon(0.05))
            while not platform.platform.executions("wf"):  # noqa: ASYNC110 - it comes true elsewhere
                await asyncio.sleep(0.01)
            scheduler.shutdown()
        again = AsyncIOScheduler()
        async with scheduled(service, again) as (_, seen):
            service.add_job(again, "wf", id="it", **soon(0.05))
            await seen.until("executed")

    play(test, SimulatedWorkflow("wf", duration=0.5))


def test_what_cannot_be_right_is_said_at_once():
    async def test(platform, client):
        service = Service(client)
        scheduler = AsyncIOScheduler()
        with pytest.raises(ConfigurationError, match="add it with"):
            await run_workflow("wf")
        async with service.scheduling(scheduler):
            with pytest.raises(ConfigurationError, match="overlap"):
                service.add_job(scheduler, "wf", id="a", overlap="both", **soon())
            with pytest.raises(ConfigurationError, match="timeout"):
                service.add_job(scheduler, "wf", id="a", timeout=-1, **soon())
            with pytest.raises(ConfigurationError, match="late"):
                service.add_job(scheduler, "wf", id="a", late=0, **soon())
            with pytest.raises(ConfigurationError, match="runs already"):
                async with Service(client).scheduling(scheduler):
                    pass

    play(test)
