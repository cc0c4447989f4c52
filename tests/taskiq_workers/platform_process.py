"""A simulated platform as a process: executions on stdout once stdin says so."""

import asyncio
import json
import sys

from dpa_async.simulator import Simulator


async def main():
    loop = asyncio.get_running_loop()
    async with Simulator(duration=(0.3, 1.5), seed=11) as simulator:
        print(json.dumps(simulator.environment()), flush=True)
        await loop.run_in_executor(None, sys.stdin.readline)
        runs = simulator.platform.runs.values()
        print(json.dumps([[run.run_id, dict(run.params)] for run in runs]), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
