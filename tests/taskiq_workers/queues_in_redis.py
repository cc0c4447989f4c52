"""Queues in a real Redis, their workers in this process. Run by `nox -s taskiq`."""

import asyncio
import logging
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import pytest
from redis.asyncio import Redis
from redis_process import redis_server
from taskiq import BrokerMessage, TaskiqMiddleware
from taskiq.api import run_receiver_task
from taskiq.serializers import PickleSerializer

from dpa_async import (
    ConfigurationError,
    DPAClient,
    JournalError,
    RunRequest,
    Submission,
    WaitPolicy,
)
from dpa_async.events import Ended
from dpa_async.integrations.taskiq import RunTask, stream_broker
from dpa_async.simulator import Simulator

NOWHERE = "redis://127.0.0.1:1/0"


class Deliveries(TaskiqMiddleware):
    """Counts what a worker is given; drops the first so many without a word."""

    def __init__(self, dropped=0):
        super().__init__()
        self.dropped = dropped
        self.count = 0

    def pre_execute(self, message):
        self.count += 1
        if self.count <= self.dropped:
            raise RuntimeError
        return message


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


def scene(server, play, *, duration=0.2):
    async def main():
        async with (
            asyncio.timeout(20),
            Redis.from_url(server.url) as redis,
            Simulator(duration=duration) as simulator,
        ):
            await redis.flushall()
            return await play(simulator, redis)

    return asyncio.run(main())


def made(server, simulator, *, queue="dpa", idle_timeout=60.0, **options):
    broker = stream_broker(server.url, queue=queue, idle_timeout=idle_timeout)
    runs = RunTask(
        broker,
        server.url,
        client=lambda: DPAClient(simulator.settings()),
        wait=WaitPolicy(maximum=0.5),
        requeue_delay=0.1,
        **options,
    )
    return broker, runs


@asynccontextmanager
async def working(*brokers):
    async with AsyncExitStack() as stack:
        for broker in brokers:
            broker.is_worker_process = True
            await broker.startup()
            stack.push_async_callback(broker.shutdown)
            worker = asyncio.create_task(run_receiver_task(broker))
            stack.push_async_callback(ended, worker)
        yield


async def ended(task):
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def requests(count, workflow_id=None):
    return [
        RunRequest(workflow_id or f"md-{number}", key=f"row-{number}")
        for number in range(count)
    ]


async def until(condition):
    while not condition():  # noqa: ASYNC110 - of somebody else's
        await asyncio.sleep(0.02)


async def errors(runs, wanted):
    return [each.error async for each in runs.spread(wanted, interval=0.05)]


def test_two_queues_of_one_redis_keep_to_themselves_what_they_put_aside(server):
    async def play(simulator, _):
        one, runs = made(server, simulator, queue="one", name="run_one")
        two, _ = made(server, simulator, queue="two", name="run_two")
        async with working(one, two):
            return await errors(runs, requests(6, "md-1"))

    assert scene(server, play) == [None] * 6


def test_messages_that_are_no_text_are_put_aside_too(server):
    async def play(simulator, _):
        broker, runs = made(server, simulator)
        async with working(broker.with_serializer(PickleSerializer())):
            return await errors(runs, requests(3, "md-1"))

    assert scene(server, play) == [None] * 3


def test_what_cannot_be_read_holds_up_nothing(server):
    async def play(simulator, redis):
        await redis.zadd("dpa:later:dpa:dpa_run", {"[1": 1, '["a", {}, "é"]': 2})
        broker, runs = made(server, simulator)
        async with working(broker):
            outcomes = await errors(runs, requests(3, "md-1"))
        return outcomes, await redis.zcard("dpa:later:dpa:dpa_run")

    assert scene(server, play) == ([None] * 3, 2)


def test_a_run_longer_than_the_idle_timeout_is_delivered_once(server):
    async def play(simulator, redis):
        seen = Deliveries()
        one, runs = made(server, simulator, idle_timeout=1.0)
        two, _ = made(server, simulator, idle_timeout=1.0)
        one.add_middlewares(seen)
        two.add_middlewares(seen)
        async with working(one, two):
            outcomes = await errors(runs, requests(4))
            await asyncio.sleep(0.1)  # what has a result is acknowledged then
        return outcomes, seen.count, await redis.xlen("dpa")

    assert scene(server, play, duration=3.5) == ([None] * 4, 4, 0)


def test_what_taskiq_drops_without_a_word_is_delivered_again(server, caplog):
    caplog.set_level(
        logging.CRITICAL, "asyncio"
    )  # what is logged is kept, and it holds

    async def play(simulator, _):
        seen = Deliveries(dropped=1)
        broker, runs = made(server, simulator, idle_timeout=1.0)
        broker.add_middlewares(seen)
        async with working(broker):
            return await errors(runs, requests(2)), seen.count

    assert scene(server, play) == ([None] * 2, 3)


def test_what_has_no_result_yet_is_not_acknowledged(server):
    async def play(simulator, redis):
        seen = []
        broker, runs = made(server, simulator, observers=[seen.append])
        async with working(broker):
            sent = await runs.send(requests(1)[0])
            await until(lambda: len(simulator.platform.runs) == 1)
            await redis.config_set("maxmemory", "1")  # it takes nothing more
            await until(lambda: any(isinstance(each, Ended) for each in seen))
            await asyncio.sleep(0.5)
            unacknowledged = await redis.xlen("dpa"), await sent.is_ready()
            await redis.config_set("maxmemory", "0")
            result = await runs.outcome(sent)
        assert [each.ref for each in seen if isinstance(each, Ended)] == [result.ref]
        return unacknowledged

    assert scene(server, play, duration=1.0) == (1, False)


def test_connections_that_redis_has_closed_are_no_failure(server):
    async def play(simulator, redis):
        broker, runs = made(server, simulator)
        async with working(broker):
            before = await errors(runs, requests(8))
            await redis.client_kill_filter(_type="normal", skipme=True)
            wanted = [RunRequest(f"md-{n}", key=f"later-{n}") for n in range(8)]
            return before + await errors(runs, wanted)

    assert scene(server, play) == [None] * 16


def test_to_settle_opens_no_receiver(server):
    def receiver():
        raise AssertionError

    async def play(simulator, _):
        broker, runs = made(server, simulator, callbacks=receiver)
        await broker.startup()
        there_is_none = Submission(simulator.url, "a", "md-1", Submission.digest(None))
        with pytest.raises(JournalError, match="is not there"):
            await runs.settle(there_is_none, ran=None)
        await broker.shutdown()

    scene(server, play)


@pytest.mark.parametrize(
    "options",
    [
        {"idle_timeout": 0},
        {"idle_timeout": -1},
        {"idle_timeout": float("nan")},
        {"idle_timeout": "x"},
        {"keep_results": 0},
        {"queue": ""},
    ],
)
def test_a_broker_that_cannot_be_right_is_refused(options):
    (name,) = options
    with pytest.raises(ConfigurationError, match=name):
        stream_broker(NOWHERE, **options)


@pytest.mark.parametrize(
    "options",
    [
        {"keep": 9.0},  # the broker can deliver again for longer than that
        {"client": None},
        {"callbacks": 5},
        {"wait": None},
        {"name": ""},
        {"namespace": ""},
        {"lease": float("inf")},
    ],
)
def test_a_task_that_cannot_be_right_is_refused(options):
    (name,) = options
    with pytest.raises(ConfigurationError, match=name):
        RunTask(stream_broker(NOWHERE, idle_timeout=5), NOWHERE, **options)


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (RunRequest("md-1"), "key is missing"),
        (RunRequest("md-1", key=""), "key is empty"),
        (RunRequest("md-1", key=5), "key is int"),
        (RunRequest("md-1", key="\ud800"), "half a character"),
        (RunRequest("", key="a"), "workflow_id is empty"),
        (RunRequest(5, key="a"), "workflow_id is int"),
        (RunRequest("md-1", ["a"], key="a"), "params is list"),
        (RunRequest("md-1", {"x": {1}}, key="a"), "cannot be sent as JSON"),
    ],
)
def test_a_request_that_no_worker_could_read_is_refused_by_who_sends(request_, words):
    runs = RunTask(stream_broker(NOWHERE), NOWHERE)
    with pytest.raises(ConfigurationError, match=words):
        asyncio.run(runs.send(request_))


def test_a_dead_workers_message_is_found_behind_all_that_living_ones_have(server):
    def broker():
        made_one = stream_broker(server.url, idle_timeout=1.0)
        made_one.is_worker_process = True  # keeps what is in its hands
        return made_one

    def message(number):
        words = {"task_name": "t", "message": str(number).encode(), "labels": {}}
        return BrokerMessage(task_id=str(number), **words)

    async def play(_, redis):
        busy, other = broker(), broker()
        await busy.startup()
        for number in range(300):
            await busy.kick(message(number))
        listening = busy.listen()
        held = [await anext(listening) for _ in range(300)]
        await listening.aclose()
        await busy.kick(message("last"))
        await redis.xreadgroup("taskiq", "dead", {"dpa": ">"}, count=10)
        await other.startup()
        listening = other.listen()
        found = await anext(listening)
        await listening.aclose()
        assert (found.data, len(held)) == (b"last", 300)
        for each in (busy, other):
            await each.shutdown()

    scene(server, play)
