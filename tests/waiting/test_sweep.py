"""One list of all workflows wakes the runs that are over; in virtual time.

Whatever a list says, or fails to say, costs looks, and never a result.
"""

import asyncio
import json
import random
from collections import Counter
from statistics import mean

import pytest

from dpa_async import (
    DPAClient,
    Runner,
    RunRequest,
    RunSuspendedError,
    WaitPolicy,
    run_and_wait,
    run_many,
)
from dpa_async.events import Ended, Looked
from dpa_async.simulator import Behaviour, Fault, MemorySimulator, SimulatedWorkflow
from dpa_async.simulator.virtual_time import run


class Scene:
    """A platform, a runner on it, and what the runner's looks were taken for."""

    def __init__(self, platform, runner):
        self.platform = platform
        self.runner = runner
        self.why = Counter()
        self.lags = []

    def observe(self, event):
        if isinstance(event, Looked):
            self.why[event.why] += 1
        if isinstance(event, Ended):
            truth = self.platform.platform.runs[event.ref.run_id]
            self.lags.append(self.platform.now() - truth.ends_at)

    @property
    def lists(self):
        return self.platform.platform.requests["listAll"]

    @property
    def looks(self):
        return self.platform.platform.requests["getProcessRunStatus"]

    async def run_all(self, ids):
        """Run each workflow once, all at a time; sees that each got its own outputs."""
        requests = [RunRequest(workflow_id, {"w": workflow_id}) for workflow_id in ids]
        batch = run_many(self.runner, requests, concurrency=len(requests))
        async with batch:
            async for outcome in batch:
                assert outcome.error is None
                own = {"w": outcome.request.workflow_id}
                assert outcome.result.outputs.json("echo") == own

    def assert_each_was_executed_once(self):
        ours = [r for r in self.platform.platform.runs.values() if not r.foreign]
        assert len(ours) == len({r.workflow_id for r in ours}) == len(self.lags)


def play(test, workflows=None, *, policy=None, **options):
    async def main():
        platform = MemorySimulator(workflows, **options)
        async with DPAClient(platform.settings(), backend=platform) as client:
            scene = Scene(platform, None)
            async with Runner(
                client, wait=policy or WaitPolicy(), observers=[scene.observe]
            ) as runner:
                scene.runner = runner
                await test(scene)
        await platform.aclose()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left, left

    run(main())


def names(count):
    return [f"w{n}" for n in range(count)]


def lasting(seconds, count):
    return [SimulatedWorkflow(name, duration=seconds) for name in names(count)]


def test_300_runs_of_4_to_9_seconds_take_few_looks():
    async def test(scene):
        await scene.run_all(names(300))
        scene.assert_each_was_executed_once()
        assert scene.looks + scene.lists <= 1.6 * 300
        assert mean(scene.lags) <= 1.0
        assert scene.why["sweep"] > 250

    play(test, lasting((4.0, 9.0), 300))


def test_1000_runs_while_lists_are_stale_and_others_run_the_same_workflows():
    rng = random.Random(7)
    workflows = [
        SimulatedWorkflow(name, duration=51 * rng.lognormvariate(0, 0.5))
        for name in names(1_000)
    ]

    async def test(scene):
        platform = scene.platform

        async def meddle(workflow_id):
            """Execute it as somebody else, up to a minute after our run's end."""
            await asyncio.sleep(10.0)  # all were executed by then
            (ours,) = platform.platform.executions(workflow_id)
            await asyncio.sleep(ours.ends_at + rng.uniform(0, 60) - platform.now())
            platform.platform.execute_as_other_user(workflow_id, platform.now())

        others = [asyncio.create_task(meddle(name)) for name in names(1_000)[::10]]
        await scene.run_all(names(1_000))
        for task in others:
            task.cancel()
        ended = await asyncio.gather(*others, return_exceptions=True)
        assert all(isinstance(end, asyncio.CancelledError | None) for end in ended)
        assert ended.count(None) > 80  # did as they were meant to
        scene.assert_each_was_executed_once()
        ours = [r for r in platform.platform.runs.values() if not r.foreign]
        every_second = sum(int(r.ends_at - r.submitted_at) + 1 for r in ours)
        assert 15 * (scene.looks + scene.lists) <= every_second
        assert mean(scene.lags) <= 0.6

    play(test, workflows, behaviour=Behaviour(list_all_lag_after_execute=2.0), seed=1)


def test_few_runs_are_looked_at_each_by_itself():
    async def test(scene):
        await scene.run_all(names(5))
        assert scene.lists == 0
        assert set(scene.why) == {"schedule"}

    play(test, lasting(60.0, 5))


def test_never_asks_for_no_list():
    async def test(scene):
        await scene.run_all(names(50))
        assert scene.lists == 0

    play(test, lasting(20.0, 50), policy=WaitPolicy(sweep="never"))


def test_always_sweeps_for_a_single_run():
    async def test(scene):
        await scene.run_all(names(1))
        assert scene.lists > 5
        assert scene.why["sweep"] == 1

    # Not 60 s: it would end with the list that tells and with the safety's look.
    play(test, lasting(47.0, 1), policy=WaitPolicy(sweep="always"))


def test_a_long_list_is_not_worth_it_for_a_few_runs():
    async def test(scene):
        await scene.run_all(names(6))
        assert scene.lists == 1  # its length is known then
        assert scene.why["safety"] == 0
        assert max(scene.lags) <= 17

    play(test, lasting(120.0, 5_000))


def test_a_list_that_takes_long_is_asked_for_less_often():
    async def test(scene):
        scene.platform.faults.add("listAll", Fault.slow_answer(2.0))
        await scene.run_all(names(40))
        scene.assert_each_was_executed_once()
        # 2 s count as forty looks of 50 ms: one every 40 * 5 s / 40 runs.
        assert scene.lists <= 15

    play(test, lasting(60.0, 40))


def test_quick_runs_are_not_kept_waiting_for_a_list():
    async def test(scene):
        requests = [RunRequest(f"w{n % 60}", {"n": n}) for n in range(600)]
        began = scene.platform.now()
        async with run_many(scene.runner, requests, concurrency=600) as batch:
            async for outcome in batch:
                assert outcome.error is None
        assert scene.platform.now() - began <= 2 * 10 * 0.5

    play(test, lasting(0.3, 60))


@pytest.mark.parametrize(
    "fault",
    [
        Fault.http_status(500),
        Fault.body_code(403),
        Fault.reset(),
        Fault.html(),
        Fault.stall(),
    ],
    ids=lambda fault: fault.name,
)
def test_a_list_that_cannot_be_had_is_given_up_for_a_while(fault):
    async def test(scene):
        scene.platform.faults.add("listAll", fault)
        await scene.run_all(names(30))
        scene.assert_each_was_executed_once()
        assert scene.lists <= 12  # three tries, each minute or rarer
        assert set(scene.why) == {"schedule"}
        assert max(scene.lags) <= 17

    play(test, lasting(100.0, 30))


def told(status, ids):
    rows = [{"processModelId": name, "status": status} for name in ids]
    body = {"code": 200, "message": "", "data": rows}
    return Fault.garbage(json.dumps(body).encode())


@pytest.mark.parametrize("status", ["success", "FAIL"])
def test_a_list_that_lies_about_an_end_costs_some_looks(status):
    async def test(scene):
        scene.platform.faults.add("listAll", told(status, names(20)))
        await scene.run_all(names(20))
        scene.assert_each_was_executed_once()
        assert min(scene.lags) >= 0
        assert max(scene.lags) <= 17
        assert scene.looks <= 30 * 20  # the plain schedule alone: 18 each

    play(test, lasting(100.0, 20))


@pytest.mark.parametrize("status", ["default", "PAUSED", ""])
def test_a_list_that_tells_nothing_leaves_runs_to_their_schedule(status):
    async def test(scene):
        scene.platform.faults.add("listAll", told(status, names(20)))
        await scene.run_all(names(20))
        scene.assert_each_was_executed_once()
        assert set(scene.why) == {"schedule"}
        assert max(scene.lags) <= 17

    play(test, lasting(100.0, 20))


def test_a_workflow_that_is_missing_in_the_list_is_looked_at_by_its_schedule():
    async def test(scene):
        scene.platform.faults.add("listAll", told("running", names(10)))
        await scene.run_all(names(20))
        scene.assert_each_was_executed_once()
        by_id = {
            r.workflow_id: lag
            for r, lag in zip(
                sorted(scene.platform.platform.runs.values(), key=lambda r: r.ends_at),
                scene.lags,
                strict=True,
            )
        }
        assert len(by_id) == 20
        assert sorted(scene.lags)[9] <= 17  # the ten that are missing
        assert max(scene.lags) <= 67  # those "running" for ever: the safety interval

    play(test, lasting((100.0, 110.0), 20))


def test_a_list_that_vanishes_midway_leaves_nobody_asleep():
    async def test(scene):
        async def break_it():
            await asyncio.sleep(30.0)
            scene.platform.faults.add("listAll", Fault.http_status(503))

        breaking = asyncio.create_task(break_it())
        await scene.run_all(names(50))
        await breaking
        scene.assert_each_was_executed_once()
        assert max(scene.lags) <= 17

    play(test, lasting((60.0, 100.0), 50))


def test_the_last_runs_of_a_sweep_are_not_left_to_the_safety_interval():
    async def test(scene):
        await scene.run_all(names(22))
        scene.assert_each_was_executed_once()
        assert max(scene.lags) <= 17

    play(
        test,
        [
            *lasting(20.0, 20),
            *(SimulatedWorkflow(f"w{n}", duration=95.0) for n in (20, 21)),
        ],
    )


def test_lanes_that_wait_for_somebody_elses_runs_hear_the_sweeps_lists():
    async def test(scene):
        for name in names(20):
            now = scene.platform.now()
            scene.platform.platform.execute_as_other_user(name, now, 40.0)
        await scene.run_all(names(60))
        # A list every 0.8 s, and one more for each that comes anew to wait.
        assert scene.lists <= 120 + 20

    play(test, lasting(50.0, 60))


def test_a_suspended_run_shows_in_the_list_to_who_wants_to_know():
    workflows = lasting(300.0, 9)
    held = SimulatedWorkflow("held", duration=300.0, suspended=[(20.0, 200.0)])

    async def test(scene):
        runs = [await scene.runner.start(name) for name in [*names(9), "held"]]
        began = scene.platform.now()
        with pytest.raises(RunSuspendedError):
            await asyncio.gather(*(run.result() for run in runs))
        assert scene.platform.now() - began <= 23
        await asyncio.sleep(0.1)

    async def cancelling(scene):
        await test(scene)

    play(cancelling, [*workflows, held], policy=WaitPolicy(on_suspended="raise"))


def test_who_leaves_and_comes_back_is_not_left_to_a_list():
    async def test(scene):
        runs = [await scene.runner.start(name) for name in names(10)]
        others = [asyncio.create_task(run.result()) for run in runs[1:]]
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(10.0):
                await runs[0].result()
        for other in others:
            other.cancel()
        await asyncio.wait(others)
        await asyncio.sleep(100.0)  # over by now, and nobody swept
        before = scene.platform.now()
        await runs[0].result()
        assert scene.platform.now() - before <= 1.0

    play(test, lasting(60.0, 10))


def test_silence_is_when_looks_fail_and_not_when_none_was_due():
    async def test(scene):
        scene.platform.faults.add("getProcessRunStatus", Fault.reset(), calls={2})
        await scene.run_all(names(10))
        scene.assert_each_was_executed_once()

    play(test, lasting(200.0, 10), policy=WaitPolicy(max_silence=30.0))


def test_a_single_run_after_a_crowd_is_no_worse_off():
    async def test(scene):
        await scene.run_all(names(30))
        result = await run_and_wait(scene.runner, "w0")
        assert result.looks <= 12

    play(test, lasting(30.0, 30))
