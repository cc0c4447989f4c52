"""What a sweep saves and costs: looks and lag over HTTP, and CPU in the client.

looks   300 workflows of 4 to 9 s, started at once on a simulator of its own
        process: status reads and lists per run, and seconds from each run's end to
        the look that saw it; with the sweep, without it, and with a sync window
ticks   the client's CPU for one list of so many rows while as many runs sleep, and
        the longest time that the loop stood still meanwhile

python benchmarks/sweep.py [looks|ticks] [--seed 0]
"""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from statistics import mean, median
from typing import Any

from dpa_async import (
    DPAClient,
    RunError,
    Runner,
    RunRef,
    RunStatus,
    Settings,
    WaitPolicy,
    run_and_wait,
)
from dpa_async.events import Ended, RunEvent, Why
from dpa_async.sharing import Owner
from dpa_async.simulator import Application, SimulatedWorkflow, Simulator
from dpa_async.waiting import STALE, Beginning, Lists, Wait, Watch

RUNS = 300
wall = time.time  # noqa: TID251 - of two processes there is no other clock
TICKS = 20


async def serve(workflows: int, shortest: float, longest: float, seed: int) -> None:
    """Be the platform until standard input ends; then say what ran."""
    known = [SimulatedWorkflow(f"w{n}") for n in range(workflows)]
    async with Simulator(known, duration=(shortest, longest), seed=seed) as simulator:
        print(simulator.url, simulator.now() - wall(), flush=True)
        await asyncio.to_thread(sys.stdin.read)
        platform = simulator.platform
    ends = {run.run_id: run.ends_at for run in platform.runs.values()}
    print(json.dumps({"ends": ends, "requests": platform.requests}))


@asynccontextmanager
async def platform(
    workflows: int, duration: tuple[float, float], seed: int
) -> AsyncGenerator[tuple[Settings, dict[str, Any]]]:
    """Give settings for a platform; and a dict that tells in the end what ran there."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, __file__, "--serve", str(workflows)),
        *(str(duration[0]), str(duration[1]), "--seed", str(seed)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    url, ahead = (await process.stdout.readline()).decode().split()
    made_up = Application()
    truth: dict[str, Any] = {"ahead": float(ahead)}
    settings = Settings(
        base_url=url,
        client_id=made_up.client_id,
        client_secret=made_up.client_secret,
        execute_urls="/api/dpa/process/execute/{workflow_id}",
    )
    try:
        yield settings, truth
    finally:
        said, _ = await process.communicate(b"")
    truth.update(json.loads(said))


async def crowd(policy: WaitPolicy, seed: int) -> tuple[float, float, float]:
    """Start all runs at once; give looks per run, mean and longest lag."""
    seen: dict[str, float] = {}

    def observe(event: RunEvent) -> None:
        if isinstance(event, Ended):
            seen[event.ref.run_id] = wall()

    async with (
        platform(RUNS, (4.0, 9.0), seed) as (settings, truth),
        DPAClient(settings) as client,
        Runner(client, wait=policy, observers=[observe]) as runner,
    ):
        await asyncio.gather(*(run_and_wait(runner, f"w{n}") for n in range(RUNS)))
    assert len(seen) == len(truth["ends"]) == RUNS
    lags = [at + truth["ahead"] - truth["ends"][run] for run, at in seen.items()]
    requests = truth["requests"]
    looks = requests["getProcessRunStatus"] + requests.get("listAll", 0)
    return looks / RUNS, mean(lags), max(lags)


async def looks(seed: int) -> None:
    """Print the looks and the lag of each way to wait."""
    print(f"{'':24}looks a run   mean lag s   longest s")
    for name, policy in {
        "sweep": WaitPolicy(),
        "sweep, window of 5 s": WaitPolicy(sync_wait=5),
        "each by itself": WaitPolicy(sweep="never"),
    }.items():
        looks, lag, longest = await crowd(policy, seed)
        print(f"{name:24}{looks:11.2f}{lag:13.2f}{longest:12.2f}", flush=True)


class Sleeping:
    """A run that is waited for and never looked at."""

    def __init__(self, ref: RunRef) -> None:
        self.ref = ref

    async def look(self, why: Why) -> RunStatus:
        raise AssertionError(why)

    def left(self) -> None:
        """Nobody is told."""

    def given_up(self) -> RunError:
        return RunError(self.ref, "it is given up")


async def turns(seen: list[float]) -> None:
    """Note what each turn of the loop takes, by the thread's own CPU clock."""
    while True:
        before = time.thread_time()
        await asyncio.sleep(0)
        seen.append(time.thread_time() - before)


async def start_all(client: DPAClient, count: int) -> list[RunRef]:
    """Execute each workflow."""
    names = iter(range(count))

    async def one_after_the_other() -> list[RunRef]:
        return [(await client.execute(f"w{n}")).run for n in names]

    done = await asyncio.gather(*(one_after_the_other() for _ in range(16)))
    return [ref for some in done for ref in some]


async def tick(rows: int, seed: int) -> tuple[float, float]:
    """Give the CPU seconds of one list, and of the longest turn meanwhile."""
    owner = Owner()
    policy = WaitPolicy(first_look=STALE + 2.0, maximum=3600.0)
    async with (
        platform(rows, (3600.0, 3600.0), seed) as (settings, _),
        DPAClient(settings) as client,
    ):
        refs = await start_all(client, rows)
        watch, lists = Watch(owner, policy, at_once=64), Lists(client)
        watch.rely_on_lists(1.0)
        lists.hearers.append(watch.hear)
        began = asyncio.get_running_loop().time()
        waits = [Wait(watch, Sleeping(ref), Beginning(began)) for ref in refs]
        ends = [wait.join() for wait in waits]
        await asyncio.sleep(STALE)  # so that lists are believed
        spent: list[float] = []
        for _ in range(TICKS):
            before = time.process_time()
            await lists.ask()
            spent.append(time.process_time() - before)
        seen: list[float] = []
        watching = asyncio.create_task(turns(seen))
        for _ in range(TICKS):
            await lists.ask()
        watching.cancel()
        for end in ends:
            end.cancel()
    return median(spent), max(seen)


async def ticks(seed: int) -> None:
    """Print what one list costs, with as many runs asleep."""
    print("   rows   CPU ms a list   longest turn of the loop, CPU ms")
    for rows in (100, 1_000, 10_000):
        cpu, longest = await tick(rows, seed)
        print(f"{rows:7}{1000 * cpu:16.2f}{1000 * longest:35.1f}", flush=True)


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", nargs="?", choices=("looks", "ticks"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--serve", nargs=3, help=argparse.SUPPRESS)
    words = parser.parse_args()
    if words.serve:
        workflows, shortest, longest = words.serve
        asyncio.run(serve(int(workflows), float(shortest), float(longest), words.seed))
        return
    if words.what != "ticks":
        asyncio.run(looks(words.seed))
    if words.what != "looks":
        asyncio.run(ticks(words.seed))


if __name__ == "__main__":
    main()
