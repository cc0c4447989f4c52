"""A million requests through one `run_many`: does it stay flat?

In virtual time, over a platform that remembers nothing: what grows is the client's.
Every run is over at its first look, every workflow comes once. From time to time the
big batch rests, once all that it has in hand is over, and batches of 1,000 have their
turn, each with a client of its own: so both are measured in the same weather. CPU per
run may be 1.15 times that of the small ones, and memory may not grow.

    python benchmarks/million.py [--runs 1000000] [--profile]
"""

import argparse
import cProfile
import gc
import pstats
import resource
import statistics
import sys
import time
from asyncio import sleep
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from _stateless import StatelessPlatform

from dpa_async import Batch, DPAClient, Runner, RunRequest, run_many
from dpa_async.simulator import virtual_time

SMALL = 1_000
SMALL_ONES = 5  # at each rest
RESTS = 20
DURATION = 0.3
ALL_OVER = 60.0  # seconds, of virtual time


def resident() -> float:
    """Give MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def requests(count: int) -> Iterator[RunRequest]:
    return (RunRequest(f"w{n}", {"n": n}) for n in range(count))


@asynccontextmanager
async def batch_of(count: int) -> AsyncGenerator[Batch]:
    platform = StatelessPlatform(lambda _: DURATION)
    async with (
        DPAClient(platform.settings(), backend=platform) as client,
        Runner(client) as runner,
        run_many(runner, requests(count)) as batch,
    ):
        yield batch


async def small() -> float:
    """Give the CPU, in µs per run, of a batch of a thousand."""
    began = time.process_time()
    async with batch_of(SMALL) as batch:
        assert sum([outcome.error is None async for outcome in batch]) == SMALL
    return (time.process_time() - began) / SMALL * 1e6


async def slices(runs: int, marks: set[int]) -> AsyncGenerator[tuple[int, float]]:
    """Run the big batch; at each mark rest, and give the CPU, in µs per run, since."""
    done = last = 0
    async with batch_of(runs) as batch:
        began = time.process_time()
        async for outcome in batch:
            assert outcome.result is not None, outcome.error
            done += 1
            if done in marks:
                await sleep(ALL_OVER)
                cpu = (time.process_time() - began) / (done - last) * 1e6
                yield done, cpu
                last, began = done, time.process_time()
    assert done == runs


async def main(runs: int) -> None:
    step = max(runs // RESTS, 1)
    marks = {min(10_000, runs), *range(step, runs + 1, step)}
    await small()  # warm
    reference = [await small() for _ in range(SMALL_ONES)]
    big: list[tuple[int, float]] = []
    sizes: list[float] = []
    last = 0
    print(f"{'runs':>9}{'MiB':>8}{'µs CPU':>8}{'of 1,000':>10}{'ratio':>7}", flush=True)
    async with aclosing(slices(runs, marks)) as resting:
        async for done, cpu in resting:
            gc.collect()
            sizes.append(resident())
            after = [await small() for _ in range(SMALL_ONES)]
            around = statistics.median(reference[-SMALL_ONES:] + after)
            reference += after
            print(f"{done:>9}{sizes[-1]:>8.1f}{cpu:>8.0f}{around:>10.0f}", end="")
            print(f"{cpu / around:>7.2f}", flush=True)
            big.append((done - last, cpu))
            last = done
    mean = sum(count * cpu for count, cpu in big) / runs
    of_small = statistics.mean(reference)
    print(f"{mean:.0f} µs CPU a run, {of_small:.0f} in batches of {SMALL}: ", end="")
    print(
        f"{mean / of_small:.3f} times; {sizes[-1] - sizes[0]:+.1f} MiB since the first"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1_000_000)
    parser.add_argument("--profile", action="store_true", help="say where time goes")
    args = parser.parse_args()
    if args.profile:
        with cProfile.Profile() as profile:
            virtual_time.run(main(args.runs))
        pstats.Stats(profile).sort_stats("tottime").print_stats(40)
    else:
        virtual_time.run(main(args.runs))
