"""A batch of 300 that is killed at random, six times: nothing twice, nothing lost.

`DPA_KILL_ROUNDS` says how many batches (`nox -s soak`: ten).
"""

import asyncio
import os
import random
import signal

from killing import World, workers

from dpa_async.simulator import Simulator

KEYS, WORKFLOWS, KILLS, IN_FLIGHT = 300, 60, 6, 8
ROUNDS = int(os.environ.get("DPA_KILL_ROUNDS", "1"))


def killer_at(platform, executed, after):
    """Kill when so many runs were started, and a little later."""

    async def kill(pid):
        while len(platform.platform.runs) < executed:  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(0.001)
        await asyncio.sleep(after)
        os.kill(pid, signal.SIGKILL)

    return kill


async def killed_six_times(worker, path, rng):
    requests = {f"k{n}": f"w{n % WORKFLOWS}" for n in range(KEYS)}
    async with Simulator(duration=(0.02, 0.2), seed=rng.random()) as platform:
        world = World(platform, path, requests, IN_FLIGHT)
        in_doubt = set()
        for executed in sorted(rng.sample(range(1, KEYS - 50), KILLS)):
            kill = killer_at(platform, executed, rng.uniform(0, 0.005))
            life = await worker.live(world.job(), at_birth=kill)
            assert life.died == -signal.SIGKILL
            assert life.uncertain <= in_doubt
            _, unknown = await world.check_left_behind(life)
            assert len(unknown - in_doubt) <= IN_FLIGHT, "more than could be out"
            in_doubt = unknown
        last = await worker.live(world.job())
        assert last.outcomes.keys() == requests.keys()
        assert last.uncertain == in_doubt
        assert all(last.outcomes[key]["names"] == key for key in in_doubt)
        await world.settle(in_doubt)
        world.check_complete(await worker.live(world.job()))


def test_300_requests_killed_6_times(tmp_path):
    async def main():
        async with workers(1) as free:
            worker = await free.get()
            for number in range(ROUNDS):
                path = tmp_path / f"{number}.journal"
                await killed_six_times(worker, path, random.Random(number))

    asyncio.run(main())
