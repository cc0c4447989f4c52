"""The answer to an execute is held until the run is over; in virtual time."""

import asyncio

import pytest

from dpa_async import (
    ConfigurationError,
    DPAClient,
    Limits,
    Runner,
    RunRequest,
    RunStatus,
    RunTimeoutError,
    SubmissionUncertainError,
    WaitPolicy,
    run_and_wait,
    run_many,
)
from dpa_async.simulator import Behaviour, Fault, MemorySimulator, SimulatedWorkflow
from dpa_async.simulator.virtual_time import run

READS = ("getProcessRunStatus", "listAll", "getOutParamByModelId")


def play(test, *workflows, sync_wait=10.0, limits=None, **options):
    """Run `test(platform, runner)`; sees that it leaves nothing."""

    async def main():
        platform = MemorySimulator(workflows, **options)
        settings = platform.settings(limits=limits or Limits())
        async with DPAClient(settings, backend=platform) as client:
            policy = WaitPolicy(sync_wait=sync_wait, jitter=lambda seconds: seconds)
            async with Runner(client, wait=policy) as runner:
                await test(platform, runner)
        await platform.aclose()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left, left

    run(main())


def lasting(seconds, name="wf", **options):
    return SimulatedWorkflow(name, duration=seconds, **options)


def requests_of(platform):
    requests = platform.platform.requests
    return {name: requests[name] for name in ("execute", *READS) if requests[name]}


def lag_of(platform, result):
    return platform.now() - platform.platform.runs[result.ref.run_id].ends_at


@pytest.mark.parametrize("carries_outcome", [True, False])
def test_a_short_run_takes_three_requests_and_no_lag(carries_outcome):
    async def test(platform, runner):
        result = await run_and_wait(runner, "wf", {"n": 1})
        assert result.outputs.json("echo") == {"n": 1}
        assert requests_of(platform) == {
            "execute": 1,
            "getProcessRunStatus": 1,
            "getOutParamByModelId": 1,
        }
        assert lag_of(platform, result) <= 0.1

    play(
        test,
        lasting(4.0),
        behaviour=Behaviour(sync_carries_outcome=carries_outcome),
    )


@pytest.mark.parametrize("carries_outcome", [True, False])
def test_a_long_run_goes_on_to_the_ordinary_wait(carries_outcome):
    async def test(platform, runner):
        result = await run_and_wait(runner, "wf")
        assert result.status is RunStatus.SUCCEEDED
        assert 2 <= result.looks <= 11
        assert lag_of(platform, result) <= 15.1

    play(
        test,
        lasting(60.0),
        behaviour=Behaviour(sync_carries_outcome=carries_outcome),
    )


def test_a_server_that_ignores_it_costs_nothing():
    """One that answers at once, and without a status."""
    looks = []

    async def test(platform, runner):
        del platform
        looks.append((await run_and_wait(runner, "wf")).looks)

    ignoring = Behaviour(sync_carries_outcome=False, ignores_sync=True)
    play(test, lasting(20.0), behaviour=ignoring)
    play(test, lasting(20.0), sync_wait=None)
    assert looks[0] == looks[1]


def test_what_the_answer_says_of_the_end_is_not_believed():
    async def test(platform, runner):
        body = (
            b'{"code":200,"data":{"instanceId":"in1606749734084","modelId":"wf",'
            b'"status":"FINISH"}}'
        )
        lie = Fault.garbage(body, carried_out=True)
        platform.faults.add("execute", lie, calls={1})
        result = await run_and_wait(runner, "wf")
        assert lag_of(platform, result) >= 0
        assert result.looks > 1

    play(test, lasting(20.0, fails=False))


def test_a_request_has_its_time_out_beyond_what_it_is_held():
    async def test(platform, runner):
        result = await run_and_wait(runner, "wf")
        assert result.looks == 1
        assert lag_of(platform, result) <= 0.1

    play(test, lasting(50.0), sync_wait=60.0)  # request_timeout is 30 s


def test_the_deadline_is_kept_and_tells_of_the_run():
    async def test(platform, runner):
        began = platform.now()
        with pytest.raises(RunTimeoutError) as caught:
            await run_and_wait(runner, "wf", timeout=8.0)
        assert platform.now() - began == pytest.approx(8.0)
        result = await runner.attach(caught.value.ref)
        assert result.status is RunStatus.SUCCEEDED

    play(test, lasting(30.0), sync_wait=60.0)


def test_a_deadline_that_leaves_no_second_holds_nothing():
    async def test(platform, runner):
        with pytest.raises(RunTimeoutError):
            await run_and_wait(runner, "wf", timeout=1.5)
        assert requests_of(platform)["getProcessRunStatus"] == 2

    play(test, lasting(30.0))


def test_an_answer_that_is_lost_meanwhile_is_uncertain():
    async def test(platform, runner):
        platform.faults.add("execute", Fault.answer_lost())
        with pytest.raises(SubmissionUncertainError):
            await run_and_wait(runner, "wf")
        assert platform.platform.executes["wf"] == 1

    play(test, lasting(4.0))


def test_held_requests_are_bounded_and_nobody_waits_for_a_place():
    async def test(platform, runner):
        held = []
        handle = platform.platform.handle

        def counted(request, *rest, **options):
            if b'"sync":"true"' in request.body.replace(b" ", b""):
                held.append(request)
            return handle(request, *rest, **options)

        platform.platform.handle = counted
        began = platform.now()
        requests = [RunRequest(f"w{n}") for n in range(20)]
        async with run_many(runner, requests) as batch:
            outcomes = [outcome async for outcome in batch]
        assert all(outcome.error is None for outcome in outcomes)
        assert len(held) == 3
        assert platform.now() - began <= 8.0

    workflows = [lasting(5.0, f"w{n}") for n in range(20)]
    play(test, *workflows, limits=Limits(held_in_flight=3))


def test_held_executes_keep_no_other_from_leaving():
    async def test(platform, runner):
        requests = [RunRequest(f"w{n}") for n in range(150)]
        began = platform.now()
        async with run_many(runner, requests, concurrency=150) as batch:
            outcomes = [outcome async for outcome in batch]
        assert all(outcome.error is None for outcome in outcomes)
        assert platform.now() - began <= 14.0

    workflows = [lasting(9.0, f"w{n}") for n in range(150)]
    limits = Limits(submissions_in_flight=2, held_in_flight=100)
    play(test, *workflows, limits=limits)


def test_auto_holds_what_is_known_to_be_short_and_nothing_else():
    async def test(platform, runner):
        for _ in range(30):
            short = await run_and_wait(runner, "short")
            long = await run_and_wait(runner, "long")
        assert short.looks == 1
        assert lag_of(platform, long) <= 15
        before = requests_of(platform)
        result = await run_and_wait(runner, "short")
        assert lag_of(platform, result) <= 0.1
        after = requests_of(platform)
        assert {name: after[name] - before[name] for name in after} == {
            "execute": 1,
            "getProcessRunStatus": 1,
            "getOutParamByModelId": 1,
        }

    play(
        test,
        lasting((2.0, 2.2), "short"),
        lasting(60.0, "long"),
        sync_wait="auto",
    )


def test_a_runner_that_closes_waits_for_answers_that_are_held():
    async def test(platform, runner):
        starting = asyncio.create_task(runner.start("wf"))
        await asyncio.sleep(1.0)
        began = platform.now()
        await runner.aclose()
        assert platform.now() - began == pytest.approx(19.0, abs=0.1)
        assert (await starting).ref.workflow_id == "wf"

    play(test, lasting(20.0), sync_wait=30.0)


def test_a_caller_that_leaves_while_an_answer_is_held_loses_no_run():
    async def test(platform, runner):
        waiting = asyncio.create_task(run_and_wait(runner, "wf"))
        await asyncio.sleep(1.0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await asyncio.sleep(5.0)
        assert [ref.workflow_id for ref in runner.open_runs] == ["wf"]
        assert platform.platform.executes["wf"] == 1

    play(test, lasting(4.0))


@pytest.mark.parametrize("sync_wait", [0, -1, "often", float("inf"), 0.5])
def test_a_window_that_cannot_be_is_refused(sync_wait):
    with pytest.raises(ConfigurationError, match="sync_wait"):
        WaitPolicy(sync_wait=sync_wait)
