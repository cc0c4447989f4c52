"""Storms over real sockets: far more requests than places, half of them cancelled.

A pool that loses a place when its waiter is cancelled hangs here. `DPA_STORMS` says how
many storms; `nox -s soak` makes 150, in Python's development mode.
"""

import asyncio
import os
import random

from dpa_async import DPAClient, Limits
from dpa_async.simulator import Simulator

STORMS = int(os.environ.get("DPA_STORMS", "8"))
REQUESTS = 100


def test_no_storm_of_100_requests_over_3_places_hangs():
    rng = random.Random(4)

    async def storm(client):
        tasks = [asyncio.create_task(client.list_workflows()) for _ in range(REQUESTS)]
        for task in rng.sample(tasks, REQUESTS // 2):
            await asyncio.sleep(rng.choice((0, 0, 0, 0.0005)))
            task.cancel()
        done = await asyncio.gather(*tasks, return_exceptions=True)
        assert {type(each) for each in done} <= {list, asyncio.CancelledError}
        assert sum(each == [] for each in done) >= REQUESTS // 2

    async def main():
        async with Simulator() as platform:
            settings = platform.settings(limits=Limits(reads_in_flight=3))
            async with DPAClient(settings) as client:
                for _ in range(STORMS):
                    async with asyncio.timeout(60):
                        await storm(client)

    asyncio.run(main())
