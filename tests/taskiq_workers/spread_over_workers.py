"""Keyed requests over two workers on a real Redis, one of which is killed midway.

Not found by pytest by itself: it needs Debian's `redis-server`; `nox -s taskiq`.
"""

import asyncio
import importlib
import json
import os
import subprocess
import sys
import time
from collections import Counter
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from redis_process import kill, process, redis_server

from dpa_async import RunRequest

HERE = Path(__file__).parent
REQUESTS, WORKFLOWS, KILL_AFTER = 500, 50, 150


@contextmanager
def platform(*duration):
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with process(
        sys.executable, HERE / "platform_process.py", *duration, **pipes
    ) as started:
        yield started, json.loads(started.stdout.readline())


def worker(environment, log):
    words = ("--workers", "1", "--max-async-tasks", "200", "--log-level", "INFO")
    patience = ("--wait-tasks-timeout", "1")
    return process(
        *(sys.executable, "-W", "ignore", "-m", "taskiq", "worker", *words, *patience),
        "workers_tasks:broker",
        cwd=HERE,
        env={**os.environ, **environment, "PYTHONPATH": f"{Path.cwd()}:{HERE}"},
        stdout=log,
        stderr=log,
    )


@pytest.fixture
def stage(tmp_path, monkeypatch, duration):
    """A Redis, a platform, and the module of tasks as whoever sends has it."""
    with ExitStack() as stack:
        redis = stack.enter_context(redis_server(tmp_path))
        simulator, environment = stack.enter_context(platform(*duration))
        environment = {**environment, "TASKIQ_REDIS": redis.url}
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.syspath_prepend(HERE)
        sys.modules.pop("workers_tasks", None)
        log = stack.enter_context((tmp_path / "workers.log").open("w"))
        workers = [stack.enter_context(worker(environment, log)) for _ in range(2)]
        yield importlib.import_module("workers_tasks"), simulator, workers, redis


def executions(simulator):
    """Ask the platform what it executed: how often each key."""
    simulator.stdin.write("tell\n")
    simulator.stdin.flush()
    return Counter(
        params["key"] for _, params in json.loads(simulator.stdout.readline())
    )


def say(words):
    sys.stdout.write(f"{words}\n")


def requests():
    for number in range(REQUESTS):
        key = f"row-{number}"
        workflow_id = f"md-{number % WORKFLOWS:02}"
        yield RunRequest(workflow_id, {"key": key}, key=key)


async def spread(tasks, workers):
    outcomes, killed_at = {}, None
    await tasks.broker.startup()
    try:
        async with asyncio.timeout(240):
            async for outcome in tasks.runs.spread(requests()):
                assert outcome.request.key not in outcomes
                outcomes[outcome.request.key] = outcome
                if len(outcomes) >= KILL_AFTER and killed_at is None:
                    killed_at = len(outcomes)
                    kill(workers[0])
        again = tasks.runs.spread(requests())
        repeated = {each.request.key: each async for each in again}
    finally:
        await tasks.broker.shutdown()
    return outcomes, killed_at, repeated


@pytest.mark.parametrize("duration", [("0.3", "1.5")])
def test_each_key_is_executed_once_though_a_worker_is_killed(stage):
    tasks, simulator, workers, _ = stage
    began = time.monotonic()
    outcomes, killed_at, repeated = asyncio.run(spread(tasks, workers))
    took = time.monotonic() - began
    executed = executions(simulator)

    kinds = Counter(
        each.result.status.name if each.result else type(each.error).__name__
        for each in outcomes.values()
    )
    say(f"{len(outcomes)} outcomes of {REQUESTS} keys on {WORKFLOWS} workflows")
    say(f"one of 2 workers killed after {killed_at} outcomes")
    for kind, count in sorted(kinds.items()):
        say(f"  {kind}: {count}")
    twice = sum(count > 1 for count in executed.values())
    say(f"executed: {executed.total()}; keys executed twice: {twice}; {took:.0f} s")

    assert len(outcomes) == REQUESTS
    assert max(executed.values()) == 1
    assert kinds.keys() <= {"SUCCEEDED", "SubmissionUncertainError"}
    for key, outcome in outcomes.items():
        if outcome.result is not None:
            assert executed[key] == 1
            assert repeated[key].result.ref == outcome.result.ref
            assert repeated[key].result.outputs == outcome.result.outputs
        else:
            assert outcome.error.submission.key == key


async def some(tasks, count, meanwhile=None):
    """The outcomes of a few requests, each of a workflow of its own."""
    await tasks.broker.startup()
    try:
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            if meanwhile is not None:
                group.create_task(meanwhile())
            return [each async for each in tasks.runs.spread([*requests()][:count])]
    finally:
        await tasks.broker.shutdown()


@pytest.mark.parametrize("duration", [("1", "3", "1.5")])
def test_a_redis_that_restarts_ends_no_worker_and_loses_nothing(stage, tmp_path):
    tasks, simulator, workers, redis = stage

    async def restart():
        await asyncio.sleep(2.5)
        redis.kill()  # executes are out, and runs under way
        await asyncio.sleep(1)
        redis.start()

    outcomes = asyncio.run(some(tasks, 20, restart))
    executed = executions(simulator)
    say(f"Redis restarted: {len(outcomes)} keys, {executed.total()} runs")
    assert [outcome.error for outcome in outcomes] == [None] * 20
    assert executed.total() == len(executed) == 20
    assert [worker.poll() for worker in workers] == [None, None]
    assert "is dead" not in (tmp_path / "workers.log").read_text()


@pytest.mark.parametrize("duration", [("5", "6")])
def test_a_worker_that_is_told_to_stop_leaves_its_runs_to_the_other(stage):
    tasks, simulator, workers, _ = stage

    async def stop_one():
        await asyncio.sleep(3)
        workers[0].terminate()

    outcomes = asyncio.run(some(tasks, 20, stop_one))
    assert workers[0].wait(20) == 0
    executed = executions(simulator)
    say(f"one of 2 workers stopped: {len(outcomes)} keys, {executed.total()} runs")
    assert [outcome.error for outcome in outcomes] == [None] * 20
    assert executed.total() == len(executed) == 20
