"""A simulated platform as a process: executions on stdout once stdin says so."""

import asyncio
import json
import sys

from dpa_async.simulator import Fault, Simulator


def tell(what):
    sys.stdout.write(f"{json.dumps(what)}\n")
    sys.stdout.flush()


async def main():
    duration = float(sys.argv[1]), float(sys.argv[2])
    loop = asyncio.get_running_loop()
    async with Simulator(duration=duration, seed=11) as simulator:
        for delay in sys.argv[3:]:
            simulator.faults.add("execute", Fault.slow_answer(float(delay)))
        tell(simulator.environment())
        await loop.run_in_executor(None, sys.stdin.readline)
        runs = simulator.platform.runs.values()
        tell([[run.run_id, dict(run.params)] for run in runs])


if __name__ == "__main__":
    asyncio.run(main())
