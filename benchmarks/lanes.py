"""Lanes over HTTP: one client with a crowd of runs, and two that fight for workflows.

    alone   600 runs on 60 workflows: no overlap, at most 6 busy refusals, at most 3
            looks a run, and no more than twice the floor, which is the longest lane's
            durations one after the other
    fight   two clients with a runner each, 200 runs each on the same 20 workflows: all
            end, no overlap; the refusals are printed

A run takes 0.2 to 0.4 s, the schedule is the default one. The simulator is a process of
its own, which says at its end what really ran there; it refuses to run a workflow twice
at once, so that a client that tries shows as refusals and not as overlap.

    python benchmarks/lanes.py [alone|fight] [--seed 0]
"""

import argparse
import asyncio
import json
import sys
import time
from collections import defaultdict
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

from dpa_async import DPAClient, Runner, RunRequest, RunResult, Settings, run_many
from dpa_async.simulator import Application, Simulator

SHORTEST, LONGEST = 0.2, 0.4


async def serve(seed: int) -> None:
    """Be the platform until standard input ends; then say what ran."""
    async with Simulator(duration=(SHORTEST, LONGEST), seed=seed) as simulator:
        print(simulator.url, flush=True)
        await asyncio.to_thread(sys.stdin.read)
        platform = simulator.platform
    runs = [(r.workflow_id, r.submitted_at, r.ends_at) for r in platform.runs.values()]
    print(json.dumps({"runs": runs, "requests": platform.requests}))


@asynccontextmanager
async def platform(seed: int) -> AsyncGenerator[tuple[Settings, dict[str, Any]]]:
    """Give settings for a platform; and a dict that holds in the end what ran there."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, __file__, "--serve", "--seed", str(seed)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    url = (await process.stdout.readline()).decode().strip()
    made_up = Application()
    truth: dict[str, Any] = {}
    settings = Settings(
        base_url=url,
        client_id=made_up.client_id,
        client_secret=made_up.client_secret,
        execute_urls="/api/dpa/process/execute/{workflow_id}",
    )
    try:
        yield settings, truth
    finally:
        said, _ = await process.communicate(b"")  # without input 3.11 closes no pipe
    truth.update(json.loads(said))


async def crowd(
    settings: Settings, name: str, runs: int, workflows: int
) -> list[RunResult]:
    """Run a batch; sees that each request got the outputs of its own run."""
    requests = (
        RunRequest(f"w{n % workflows}", {"n": name + str(n)}) for n in range(runs)
    )
    results: list[RunResult] = []
    async with (
        DPAClient(settings) as client,
        Runner(client) as runner,
        run_many(runner, requests) as batch,
    ):
        async for outcome in batch:
            assert outcome.result is not None, outcome.error
            assert outcome.result.outputs.json("echo") == outcome.request.params
            results.append(outcome.result)
    assert len({result.ref for result in results}) == runs
    return results


def judge(truth: dict[str, Any], results: list[RunResult], wall: float) -> list[float]:
    """Print the figures; give the refusals, the most looks, the ratio to the floor."""
    lanes: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for workflow_id, submitted_at, ends_at in truth["runs"]:
        lanes[workflow_id].append((submitted_at, ends_at))
    overlaps = sum(
        later[0] < earlier[1]
        for lane in lanes.values()
        for earlier, later in pairwise(sorted(lane))
    )
    floor = max(sum(end - start for start, end in lane) for lane in lanes.values())
    runs, requests = len(truth["runs"]), truth["requests"]
    refusals = requests["execute"] - runs
    most = max(result.looks for result in results)
    print(f"    {runs} runs on {len(lanes)} workflows, {overlaps} overlaps")
    print(f"    {refusals} busy refusals, {requests.get('listAll', 0)} lists")
    looks = requests["getProcessRunStatus"]
    print(f"    {looks / runs:.2f} looks a run, {most} at the most")
    print(f"    {wall:.2f} s, {wall / floor:.2f} times the floor of {floor:.2f} s")
    assert runs == len(results)
    assert overlaps == 0
    return [refusals, most, wall / floor]


async def alone(seed: int) -> None:
    print("one client:")
    async with platform(seed) as (settings, truth):
        began = time.perf_counter()
        results = await crowd(settings, "", 600, 60)
        wall = time.perf_counter() - began
    refusals, most_looks, ratio = judge(truth, results, wall)
    assert refusals <= 6
    assert most_looks <= 3
    assert ratio <= 2


async def fight(seed: int) -> None:
    print("two clients:")
    async with platform(seed) as (settings, truth):
        began = time.perf_counter()
        results = await asyncio.gather(
            *(crowd(settings, name, 200, 20) for name in "ab")
        )
        wall = time.perf_counter() - began
    judge(truth, [result for each in results for result in each], wall)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="?", choices=["alone", "fight"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        asyncio.run(serve(args.seed))
        return
    if args.what != "fight":
        asyncio.run(alone(args.seed))
    if args.what != "alone":
        asyncio.run(fight(args.seed))


if __name__ == "__main__":
    main()
