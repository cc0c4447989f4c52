"""`run_many` in order, and stopping at the first failure; in virtual time."""

import asyncio

import pytest

from dpa_async import (
    ConfigurationError,
    NotStartedError,
    RunFailedError,
    Runner,
    RunRequest,
    RunTimeoutError,
    run_and_wait,
    run_many,
)
from dpa_async.simulator import Fault, SimulatedWorkflow


async def collect(batch):
    async with batch:
        return [outcome async for outcome in batch]


def ids(outcomes):
    return [outcome.request.workflow_id for outcome in outcomes]


def test_in_order_outcomes_come_as_the_requests_did(in_memory):
    async def test(platform, client):
        names = ["slow", "quick", "bad", "quick", "nowhere", "slow"]
        requests = [RunRequest(name) for name in names]
        outcomes = await collect(run_many(client, requests, ordered=True))
        assert ids(outcomes) == names
        assert [outcome.error is None for outcome in outcomes] == [
            *(True, True, False, True, False, True)
        ]

    in_memory(
        test,
        SimulatedWorkflow("slow", duration=60.0),
        SimulatedWorkflow("quick", duration=1.0),
        SimulatedWorkflow("bad", duration=20.0, fails=True),
    )


def test_in_order_a_duplicate_key_and_bad_parameters_have_their_turn_too(in_memory):
    async def test(platform, client):
        requests = [
            RunRequest("a", key="k"),
            RunRequest("b", key="k"),
            RunRequest("c", {"n": float("nan")}),
            RunRequest("d", timeout=-1),
            RunRequest("e", key="l"),
        ]
        outcomes = await collect(run_many(client, requests, ordered=True))
        assert [o.request for o in outcomes] == requests
        errors = [type(o.error) for o in outcomes]
        bad = ConfigurationError
        assert errors == [type(None), bad, bad, bad, type(None)]
        assert platform.faults.calls["execute"] == 2

    in_memory(test)


def test_in_order_a_slow_run_holds_back_the_source_not_the_memory(in_memory):
    async def test(platform, client):
        read = 0

        def source():
            nonlocal read
            for n in range(1000):
                read += 1
                yield RunRequest("slow" if n == 0 else f"w{n}")

        async with run_many(client, source(), concurrency=10, ordered=True) as batch:
            assert (await anext(batch)).request.workflow_id == "slow"
            assert read <= 41
            assert len([outcome async for outcome in batch]) == 999

    in_memory(
        test,
        SimulatedWorkflow("slow", duration=500.0),
        *(SimulatedWorkflow(f"w{n}", duration=1.0) for n in range(1, 1000)),
    )


def test_fail_fast_stops_starting_and_accounts_for_everything(in_memory):
    async def test(platform, client):
        names = ["slow", "bad", *(f"w{n}" for n in range(50))]
        requests = [RunRequest(name) for name in names]
        batch = run_many(client, requests, concurrency=2, fail_fast=True)
        outcomes = await collect(batch)
        assert sorted(ids(outcomes)) == sorted(names)
        by_id = {o.request.workflow_id: o for o in outcomes}
        assert isinstance(by_id["bad"].error, RunFailedError)
        assert by_id["slow"].error is None  # it ran, and was waited for
        rest = [by_id[f"w{n}"].error for n in range(50)]
        assert {type(error) for error in rest} == {NotStartedError}
        assert all(error.submission is not None for error in rest)
        assert set(platform.platform.executes) == {"slow", "bad"}
        assert client.companion(Runner).open_runs == ()

    in_memory(
        test,
        SimulatedWorkflow("slow", duration=60.0),
        SimulatedWorkflow("bad", duration=20.0, fails=True),
        *(SimulatedWorkflow(f"w{n}") for n in range(50)),
    )


def test_fail_fast_waits_for_a_post_that_is_out_and_sends_it_no_second_time(in_memory):
    async def test(platform, client):
        await client.list_workflows()
        platform.faults.add("execute", Fault.slow_answer(5.0), calls={2})
        platform.faults.add("execute", Fault.body_code(999), calls={3})
        requests = [RunRequest("bad"), RunRequest("out"), RunRequest("turned-away")]
        outcomes = await collect(run_many(client, requests, fail_fast=True))
        errors = {o.request.workflow_id: o.error for o in outcomes}
        assert isinstance(errors["bad"], RunFailedError)
        assert errors["out"] is None
        assert isinstance(errors["turned-away"], NotStartedError)
        assert platform.faults.calls["execute"] == 3

    in_memory(
        test,
        SimulatedWorkflow("bad", duration=0.1, fails=True),
        SimulatedWorkflow("out", duration=1.0),
        SimulatedWorkflow("turned-away", duration=1.0),
    )


def test_fail_fast_reads_no_further_in_an_async_source(in_memory):
    async def test(platform, client):
        read = []

        async def source():
            read.append("bad")
            yield RunRequest("bad")
            await asyncio.sleep(100)
            read.append("good")  # pragma: no cover - never read
            yield RunRequest("good")

        began = asyncio.get_running_loop().time()
        outcomes = await collect(run_many(client, source(), fail_fast=True))
        assert ids(outcomes) == read == ["bad"]
        assert asyncio.get_running_loop().time() - began < 50

    in_memory(test, SimulatedWorkflow("bad", duration=1.0, fails=True))


def test_a_request_has_a_deadline_of_its_own_in_every_phase(in_memory):
    async def test(platform, client):
        running = RunRequest("hanging", timeout=10)
        queued = RunRequest("hanging", timeout=20)
        quick = RunRequest("quick", timeout=1000)
        outcomes = await collect(run_many(client, [running, queued, quick]))
        errors = {id(o.request): o.error for o in outcomes}
        assert isinstance(errors[id(running)], RunTimeoutError)
        assert isinstance(errors[id(queued)], NotStartedError)
        assert errors[id(quick)] is None
        assert asyncio.get_running_loop().time() < 1000 + 30

    in_memory(
        test,
        SimulatedWorkflow("hanging", duration=float("inf")),
        SimulatedWorkflow("quick", duration=1.0),
    )


def test_a_single_call_does_not_wait_behind_a_large_batch(in_memory):
    async def test(platform, client):
        requests = (RunRequest(f"w{n}") for n in range(3000))
        async with run_many(client, requests, concurrency=3000):
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            run = await client.companion(Runner).start("single")
            executed = list(platform.platform.runs)
            assert executed.index(run.ref.run_id) < 300

    in_memory(test, duration=60.0, latency=0.05)


def test_two_batches_take_turns(in_memory):
    async def test(platform, client):
        def batch(name):
            return run_many(
                client, (RunRequest(f"{name}{n}") for n in range(500)), concurrency=500
            )

        async with batch("a"), batch("b"):
            await asyncio.sleep(1.5)
            assert len(platform.platform.runs) >= 400
            firsts = [r.workflow_id[0] for r in platform.platform.runs.values()][:400]
            assert 100 < firsts.count("b") < 300

    in_memory(test, duration=60.0, latency=0.05)


def test_names_of_parameters_are_asked_for_once_for_all(in_memory):
    async def test(platform, client):
        runs = [run_and_wait(client, "wf", {"A": n}, validate=True) for n in range(30)]
        runs.append(run_and_wait(client, "wf", {"B": 1}, validate=True))
        *good, bad = await asyncio.gather(*runs, return_exceptions=True)
        assert all(result.outputs for result in good)
        assert isinstance(bad, ConfigurationError)
        assert platform.faults.calls["listVar"] == 1

    in_memory(test, SimulatedWorkflow("wf", variables=["A"], duration=1.0))


def test_wrong_names_are_told_before_it_is_their_turn(in_memory):
    async def test(platform, client):
        runner = client.companion(Runner)
        await runner.start("wf", {"A": 1})
        began = asyncio.get_running_loop().time()
        with pytest.raises(ConfigurationError, match="missing: A; unknown: B"):
            await runner.start("wf", {"B": 1}, validate=True)
        assert asyncio.get_running_loop().time() - began < 1
        assert platform.faults.calls["execute"] == 1

    in_memory(test, SimulatedWorkflow("wf", variables=["A"], duration=1000.0))


def test_names_that_do_not_match_are_asked_for_again_after_a_minute(in_memory):
    async def test(platform, client):
        async def wrong():
            with pytest.raises(ConfigurationError, match="unknown: B"):
                await run_and_wait(client, "wf", {"B": 1}, validate=True)
            return platform.faults.calls["listVar"]

        assert await wrong() == 1
        assert await wrong() == 1
        await asyncio.sleep(61)
        assert await wrong() == 2

    in_memory(test, SimulatedWorkflow("wf", variables=["A"]))


def test_names_that_cannot_be_read_start_nothing_and_are_asked_for_again(in_memory):
    async def test(platform, client):
        platform.faults.add("listVar", Fault.body_code(998), first=1)
        calls = [run_and_wait(client, "wf", {"A": 1}, validate=True) for _ in range(3)]
        failed = await asyncio.gather(*calls, return_exceptions=True)
        assert [error.code for error in failed] == [998] * 3
        assert platform.faults.calls["execute"] == 0
        await run_and_wait(client, "wf", {"A": 1}, validate=True)

    in_memory(test, SimulatedWorkflow("wf", variables=["A"]))


def test_one_list_serves_all_lanes_that_wait_for_somebody_elses_runs(in_memory):
    async def test(platform, client):
        names = [f"w{n}" for n in range(200)]
        for name in names:
            platform.platform.execute_as_other_user(name, platform.now(), 300.0)
        outcomes = await collect(
            run_many(client, [RunRequest(name) for name in names], concurrency=200)
        )
        assert all(outcome.error is None for outcome in outcomes)
        assert platform.faults.calls["listAll"] < 60
        assert platform.faults.calls["execute"] <= 2 * len(names)

    in_memory(test, *(SimulatedWorkflow(f"w{n}", duration=1.0) for n in range(200)))
