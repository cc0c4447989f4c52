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
from dpa_async.simulator import Fault, Simulator

ORIGIN = "https://dpa.example.com"
MEANT = Submission(ORIGIN, "a", "md-1", Submission.digest(None))
REF = RunRef(ORIGIN, "md-1", "run-1")
RESULT = RunResult(
    REF, RunStatus.SUCCEEDED, NodeOutputs(), None, datetime.now(UTC), looks=1
)


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server.url


class Fickle(Redis):
    """Loses some answers to scripts, goes away when it has an intent, or is late."""

    lost = 0
    away = False
    leaves = False
    late = 0.0

    async def execute_command(self, *words, **options):
        if self.away:
            raise RedisConnectionError
        answer = await super().execute_command(*words, **options)
        if words[0] == "EVAL":
            await asyncio.sleep(self.late)
        if self.leaves and "intended" in words:
            self.leaves, self.away = False, True
        if words[0] == "EVAL" and self.lost:
            self.lost -= 1
            raise RedisConnectionError
        return answer


def scene(url, play, *, lease=30.0, patience=0.0):
    """Play with two workers' journals on an empty Redis; the first one's is fickle."""

    async def main():
        async with Fickle.from_url(url) as fickle, Redis.from_url(url) as redis:
            await redis.flushall()
            both = [
                RedisJournal(
                    client,
                    namespace="t",
                    owner=name,
                    lease=lease,
                    keep=60,
                    patience=patience,
                )
                for name, client in (("one", fickle), ("two", redis))
            ]
            return await play(fickle, *both)

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
    async def play(redis, one, two):
        redis.lost = 2
        await intend(one)
        redis.lost = 2
        await one.started("a", REF, None)
        return (await two.load("a")).entry.ref

    assert scene(url, play, patience=5) == REF


def test_an_intent_of_which_redis_said_nothing_is_taken_back(url):
    async def play(redis, one, two):
        redis.lost = 1
        assert await refused(intend(one))
        assert (await two.load("a")) is not None
        assert (await one.load("a")) is None  # it never left
        await intend(one)
        return (await two.load("a")).entry.state

    assert scene(url, play) is EntryState.INTENDED


@pytest.mark.parametrize(
    ("step", "state"),
    [
        (lambda one: one.started("a", REF, None), EntryState.STARTED),
        (lambda one: one.uncertain(MEANT), EntryState.UNCERTAIN),
        (lambda one: one.finished("a", RESULT), EntryState.FINISHED),
        (lambda one: one.withdraw("a"), None),
    ],
)
def test_what_redis_did_not_hear_it_hears_when_it_answers(url, step, state):
    async def play(redis, one, two):
        await intend(one)
        redis.away = True
        assert await refused(step(one))
        redis.away = False
        living = asyncio.create_task(one.live())
        await asyncio.sleep(0.5)
        living.cancel()
        known = await two.load("a")
        return known and known.entry.state

    assert scene(url, play, lease=1.0) is state


def test_what_is_told_late_ends_no_later_attempt(url):
    async def play(redis, one, two):
        await intend(one)
        redis.away = True
        assert await refused(one.withdraw("a"))
        await two.load("a")
        await two.withdraw("a")  # by a person's word
        await intend(two)
        redis.away = False
        await one.catch_up()
        return (await two.load("a")).entry.state

    assert scene(url, play) is EntryState.INTENDED


def test_to_look_at_a_later_attempt_gives_no_right_to_end_it(url):
    async def play(redis, one, two):
        await intend(one)  # its POST is out for long
        await two.load("a")
        await two.withdraw("a")  # by a person's word
        await intend(two)
        await one.load("a")  # its message was delivered again
        assert await refused(one.withdraw("a"))  # the answer: refused
        assert await refused(one.started("a", REF, None))
        return (await two.load("a")).entry.state

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


def with_workers(url, play, *, lease=30.0, duration=0.2, late=0.0):
    async def on_stage(redis, *journals):
        redis.late = late
        async with contextlib.AsyncExitStack() as stack:
            simulator = await stack.enter_async_context(Simulator(duration=duration))
            workers = []
            for journal in journals:
                await journal.beat()
                client = DPAClient(simulator.settings())
                await stack.enter_async_context(client)
                runner = Runner(client, journal=journal)
                workers.append(Worker(await stack.enter_async_context(runner), journal))
            simulator.redis = redis
            await play(simulator, *workers)
            return len(simulator.platform.executions("md-1"))

    return scene(url, on_stage, lease=lease)


def errand(until=None):
    return Errand(RunRequest("md-1", {"x": 1}, key="a"), until)


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


def test_an_intent_in_other_hands_is_not_waited_for_beyond_the_deadline(url):
    async def play(simulator, one, two):
        meant = Submission(simulator.url, "a", "md-1", Submission.digest({"x": 1}))
        await one.journal.intend(meant, {"x": 1}, wants_outputs=True)
        with pytest.raises(LaterError):
            await two.outcome(errand())
        outcome = await two.outcome(errand(until=0.0))
        assert isinstance(outcome, SubmissionUncertainError)

    assert with_workers(url, play) == 0


def test_a_key_that_is_delivered_while_its_intent_is_written_is_one_execute(url):
    async def play(simulator, one, _):
        async def deliver(delay):
            await asyncio.sleep(delay)
            return await until_done(one)

        deliveries = (deliver(number / 50) for number in range(10))
        outcomes = await asyncio.gather(*deliveries)
        assert len({outcome.ref for outcome in outcomes}) == 1

    assert with_workers(url, play, late=0.1) == 1


def test_a_doubt_is_told_though_redis_is_away_and_can_be_settled(url):
    async def play(simulator, one, two):
        simulator.faults.add("execute", Fault.answer_lost(), first=1)
        simulator.redis.leaves = True
        outcome = await one.outcome(errand())
        assert isinstance(outcome, SubmissionUncertainError)
        with pytest.raises(LaterError):
            await two.outcome(errand())
        simulator.redis.away = False
        await one.journal.catch_up()
        assert isinstance(await two.outcome(errand()), SubmissionUncertainError)
        (run,) = simulator.platform.executions("md-1")
        ran = RunRef(simulator.url, "md-1", run.run_id)
        await two.settle(outcome.submission, ran=ran)
        assert (await two.outcome(errand())).ref == ran

    assert with_workers(url, play) == 1


def test_a_run_is_waited_for_though_redis_did_not_hear_of_it(url):
    async def play(simulator, one, two):
        simulator.faults.add("execute", Fault.slow_answer(0.3), first=1)
        simulator.redis.leaves = True
        waiting = asyncio.create_task(one.outcome(errand()))
        await asyncio.sleep(1.5)  # it is over, and that cannot be written down either
        assert not waiting.done()
        simulator.redis.away = False
        result = await waiting
        assert (await two.outcome(errand())).ref == result.ref

    assert with_workers(url, play) == 1


def test_a_busy_workflow_is_not_waited_for(url):
    async def play(simulator, one, two):
        first = await one.runner.start("md-1", key="other")
        for worker in (one, two):
            with pytest.raises(LaterError):
                await worker.outcome(errand())
        await first
        await until_done(two)

    assert with_workers(url, play) == 2
