"""A sweep comes back when lists do, and ends with the last who waits; virtual time."""

import asyncio

from dpa_async import Runner
from dpa_async.simulator import Fault, SimulatedWorkflow


def lasting(seconds, count):
    return [SimulatedWorkflow(f"w{n}", duration=seconds) for n in range(count)]


async def run_all(runner, count):
    runs = [await runner.start(f"w{n}") for n in range(count)]
    await asyncio.gather(*(run.result() for run in runs))


def test_a_sweep_that_failed_is_begun_again_though_nobody_comes_new(in_memory):
    async def scene(platform, client):
        platform.faults.add("listAll", Fault.http_status(500), calls={1, 2, 3})
        async with Runner(client) as runner:
            await run_all(runner, 50)
        requests = platform.platform.requests
        assert 300 < requests["listAll"] < 440  # every 0.8 s, but for the first minute
        assert requests["getProcessRunStatus"] < 50 * 20  # by themselves: some 35 each

    in_memory(scene, *lasting((350.0, 400.0), 50))


def test_no_list_is_asked_for_when_nobody_waits_any_more(in_memory):
    async def scene(platform, client):
        async with Runner(client) as runner:
            await run_all(runner, 30)
            before = platform.platform.requests["listAll"]
            await asyncio.sleep(100)
            assert platform.platform.requests["listAll"] == before > 0

    in_memory(scene, *lasting(30.0, 30))
