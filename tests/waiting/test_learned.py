"""A runner learns how long a workflow's runs take; in virtual time."""

import asyncio

from dpa_async import DPAClient, Runner, WaitPolicy, run_and_wait
from dpa_async.simulator import Fault, MemorySimulator, SimulatedWorkflow
from dpa_async.simulator.virtual_time import run


def looks_of(runs, policy, *, broken=None, duration=(18.0, 22.0)):
    """Run a workflow so often; give the looks and the lag of each run."""

    async def main():
        platform = MemorySimulator([SimulatedWorkflow("wf", duration=duration)], seed=1)
        async with (
            DPAClient(platform.settings(), backend=platform) as client,
            Runner(client, wait=policy) as runner,
        ):
            seen = []
            for n in range(runs):
                if n == broken:
                    platform.faults.add("getProcessRunStatus", Fault.reset(), first=1)
                result = await run_and_wait(runner, "wf")
                ended = platform.platform.executions("wf")[-1].ends_at
                seen.append((result.looks, platform.now() - ended))
        await platform.aclose()
        return seen

    return run(main())


def mean(values):
    values = list(values)
    return sum(values) / len(values)


def test_after_some_runs_there_are_fewer_looks_and_less_lag():
    seen = looks_of(60, WaitPolicy())
    plain = looks_of(60, WaitPolicy(adaptive=False))
    assert mean(looks for looks, _ in seen[30:]) < 0.5 * mean(n for n, _ in plain)
    assert mean(lag for _, lag in seen[30:]) < 0.5 * mean(lag for _, lag in plain)


def test_the_first_five_runs_are_looked_at_by_the_plain_schedule():
    policy = {"jitter": lambda seconds: seconds}
    seen = looks_of(5, WaitPolicy(**policy))
    assert seen == looks_of(5, WaitPolicy(adaptive=False, **policy))


def test_a_failed_look_makes_the_rest_of_a_run_plain():
    seen = looks_of(40, WaitPolicy(), broken=30)
    (broken, lag), (after, _) = seen[30], seen[31]
    assert broken > after
    assert lag < 20


def test_a_generator_of_ones_own_is_used_instead():
    def every_two():
        while True:
            yield 2.0

    seen = looks_of(
        20, WaitPolicy(wait_gen=every_two, jitter=lambda s: s), duration=19.0
    )
    assert {looks for looks, _ in seen} == {10}


def test_who_comes_late_does_not_make_a_run_longer():
    async def main():
        platform = MemorySimulator([SimulatedWorkflow("wf", duration=5.0)])
        async with (
            DPAClient(platform.settings(), backend=platform) as client,
            Runner(client) as runner,
        ):
            for _ in range(10):
                handle = await runner.start("wf")
                await asyncio.sleep(100)  # nobody looks meanwhile
                await handle
            result = await run_and_wait(runner, "wf")
            assert result.looks > 3  # it is not thought to take a hundred seconds
        await platform.aclose()

    run(main())
