"""Thousands of runs of minutes each, in virtual time.

In a process of its own, out of sight of the coverage measurement, which would make it
three times as slow and has nothing to see here that the other tests do not show.
"""

import os
import subprocess
import sys

from dpa_async import DPAClient, Runner, RunRequest, WaitPolicy, run_many
from dpa_async.simulator import MemorySimulator
from dpa_async.simulator.virtual_time import run

RUNS = 10_000


def test_10000_runs_of_minutes_over_10000_workflows():
    unmeasured = {k: v for k, v in os.environ.items() if not k.startswith("COV")}
    done = subprocess.run(
        [sys.executable, "-W", "error", __file__],
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
        env=unmeasured,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{RUNS} runs, each once, each with its own outputs\n"


async def main():
    platform = MemorySimulator(duration=(60.0, 300.0))
    requests = (RunRequest(f"w{n}", {"n": n}) for n in range(RUNS))
    seen = set()
    async with (
        DPAClient(platform.settings(), backend=platform) as client,
        Runner(client, wait=WaitPolicy(first_look=20, maximum=60)) as runner,
        run_many(runner, requests, concurrency=RUNS) as batch,
    ):
        async for outcome in batch:
            assert outcome.error is None
            n = outcome.request.params["n"]
            assert outcome.result.outputs.json("echo") == {"n": n}
            seen.add(n)
        assert len(seen) == RUNS
        assert platform.faults.calls["execute"] == RUNS
        assert runner.open_runs == ()
    await platform.aclose()
    sys.stdout.write(f"{RUNS} runs, each once, each with its own outputs\n")


if __name__ == "__main__":
    run(main())
