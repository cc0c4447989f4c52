"""The journal in Redis, held by two workers at once. Run by `nox -s taskiq`."""

import asyncio
import contextlib
from datetime import UTC, datetime

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis_process import redis_server

from dpa_async import (
    DPAClient,
    JournalError,
    NodeOutputs,
    Runner,
    RunRef,
    RunRequest,
    RunResult,
    RunStatus,
    Submission,
    SubmissionUncertainError,
)
from dpa_async.integrations.taskiq.keys import RedisJournal, check_durable
from dpa_async.integrations.taskiq.worker import Errand, LaterError, Worker
from dpa_async.journal import EntryState
from dpa_async.simulator import Simulator

ORIGIN = "https://dpa.example.com"
MEANT = Submission(ORIGIN, "a", "md-1", Submission.digest(None))
REF = RunRef(ORIGIN, "md-1", "run-1")
RESULT = RunResult(
    REF, RunStatus.SUCCEEDED, NodeOutputs(), None, datetime.now(UTC), looks=1
)


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    with redis_server(tmp_path_factory.mktemp("redis")) as url:
        yield url


def scene(url, play, *, lease=30.0):
    """Play with two workers' journals on an empty Redis."""

    async def main():
        async with Redis.from_url(url) as redis:
            await redis.flushall()
            both = [
                RedisJournal(redis, namespace="t", owner=name, lease=lease, keep=60)
                for name in ("one", "two")
            ]
            return await play(redis, *both)

    return asyncio.run(main())


async def intend(journal):
    await journal.intend(MEANT, None, wants_outputs=True)


def test_of_all_who_intend_a_key_at_once_one_does(url):
    async def play(redis, one, two):
        journals = [one, two] * 20
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(refused(intend(each))) for each in journals]
        return [task.result() for task in tasks]

    assert sum(not was_refused for was_refused in scene(url, play)) == 1


async def refused(step):
    try:
        await step
    except JournalError:
        return True
    return False


def test_a_key_goes_its_way_and_both_see_it(url):
    async def play(redis, one, two):
        await intend(one)
        assert (await two.load("a")).entry.state is EntryState.INTENDED
        await one.started("a", REF, None)
        await one.started("a", REF, None)
        assert await refused(one.withdraw("a"))
        assert await refused(two.started("a", RunRef(ORIGIN, "md-1", "other"), None))
        assert (await two.load("a")).entry.ref == REF
        await two.finished("a", RESULT)
        await one.finished("a", RESULT)
        assert (await one.load("a")).entry.result == RESULT
        assert await refused(intend(two))
        return await redis.pttl("t:key:a")

    assert 0 < scene(url, play) <= 60_000


def test_who_was_thought_dead_ends_no_later_attempt(url):
    async def play(redis, one, two):
        await intend(one)  # and is not heard of again, for a while
        await two.load("a")
        await two.withdraw("a")  # by a person's word
        await intend(two)
        assert await refused(one.withdraw("a"))
        assert await refused(one.started("a", REF, None))
        return (await one.load("a")).entry.state

    assert scene(url, play) is EntryState.INTENDED


def test_a_step_whose_answer_was_lost_is_said_again(url):
    class Deaf(Redis):
        lost = 0

        async def execute_command(self, *words, **options):
            answer = await super().execute_command(*words, **options)
            if words[0] == "EVAL" and self.lost:
                self.lost -= 1
                raise RedisConnectionError
            return answer

    async def play(redis, one, two):
        async with Deaf.from_url(url) as deaf:
            journal = RedisJournal(deaf, namespace="t", owner="d", lease=30, keep=60)
            deaf.lost = 1
            assert await refused(intend(journal))
            assert (await one.load("a")) is not None
            assert (await journal.load("a")) is None  # it never left: it is taken back
            await intend(journal)
        return (await one.load("a")).entry.state

    assert scene(url, play) is EntryState.INTENDED


def test_a_redis_that_may_forget_is_told_about(url):
    async def play(redis, *_):
        durable = await check_durable(redis)
        await redis.config_set("appendfsync", "everysec")
        await redis.config_set("maxmemory", "100mb")
        await redis.config_set("maxmemory-policy", "allkeys-lru")
        forgetful = await check_durable(redis)
        await redis.config_set("appendfsync", "always")
        await redis.config_set("maxmemory", "0")
        return len(durable), len(forgetful)

    assert scene(url, play) == (0, 2)


def with_workers(url, play, *, lease=30.0, duration=0.2):
    async def on_stage(redis, *journals):
        async with contextlib.AsyncExitStack() as stack:
            simulator = await stack.enter_async_context(Simulator(duration=duration))
            workers = []
            for journal in journals:
                await journal.beat()
                client = DPAClient(simulator.settings())
                await stack.enter_async_context(client)
                runner = Runner(client, journal=journal)
                workers.append(Worker(await stack.enter_async_context(runner), journal))
            await play(simulator, *workers)
            return len(simulator.platform.executions("md-1"))

    return scene(url, on_stage, lease=lease)


def errand():
    return Errand(RunRequest("md-1", {"x": 1}, key="a"))


async def until_done(worker):
    while True:
        try:
            return await worker.outcome(errand())
        except LaterError:
            await asyncio.sleep(0.05)


def test_two_workers_and_twenty_deliveries_of_a_key_are_one_execute(url):
    async def play(simulator, one, two):
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(until_done(each))
                for each in (one, two)
                for _ in "0123456789"
            ]
        outcomes = [task.result() for task in tasks]
        assert {type(outcome) for outcome in outcomes} == {RunResult}
        assert len({outcome.ref for outcome in outcomes}) == 1

    assert with_workers(url, play) == 1


def test_an_intent_of_a_worker_that_lives_is_left_to_it_then_it_is_in_doubt(url):
    async def play(simulator, one, two):
        meant = Submission(simulator.url, "a", "md-1", Submission.digest({"x": 1}))
        await one.journal.intend(meant, {"x": 1}, wants_outputs=True)
        with pytest.raises(LaterError):
            await two.outcome(errand())
        with pytest.raises(JournalError, match="being sent"):
            await two.settle(meant, ran=None)
        await asyncio.sleep(1.2)  # it was killed: nobody says anything any more
        outcome = await two.outcome(errand())
        assert isinstance(outcome, SubmissionUncertainError)
        assert isinstance(await two.outcome(errand()), SubmissionUncertainError)
        assert not simulator.platform.executions("md-1")
        await two.settle(outcome.submission, ran=None)
        assert (await two.outcome(errand())).status is RunStatus.SUCCEEDED

    assert with_workers(url, play, lease=1.0) == 1


def test_a_busy_workflow_is_not_waited_for(url):
    async def play(simulator, one, two):
        first = await one.runner.start("md-1", key="other")
        for worker in (one, two):
            with pytest.raises(LaterError):
                await worker.outcome(errand())
        await first
        await until_done(two)

    assert with_workers(url, play) == 2
