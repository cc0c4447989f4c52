"""What a sleeping run costs: memory, pauses of the garbage collector, the loop's lag.

In virtual time, over a platform that remembers nothing, so that all that grows is the
client's. `--http` does it for real, over sockets, against a simulator process whose
runs are long: only there is a lag of the loop to be seen.

    python benchmarks/sleeping.py [--runs 50000] [--how run_many|awaits] [--http]
"""

import argparse
import asyncio
import gc
import resource
import sys
import time
import tracemalloc
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from _stateless import StatelessPlatform

from dpa_async import DPAClient, Runner, RunRequest, Settings, run_and_wait, run_many
from dpa_async.simulator import virtual_time

PAGE = resource.getpagesize()


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


def requests(count: int) -> Iterator[RunRequest]:
    return (RunRequest(f"w{n}", {"n": n}) for n in range(count))


@asynccontextmanager
async def asleep(runner: Runner, count: int, how: str) -> AsyncGenerator[None]:
    """Have so many runs in flight."""
    tasks: list[asyncio.Task[object]] = []
    if how == "run_many":
        batch = run_many(runner, requests(count), concurrency=count)
        tasks.append(asyncio.create_task(drain(batch)))
    else:
        tasks += [
            asyncio.create_task(run_and_wait(runner, r.workflow_id, r.params))
            for r in requests(count)
        ]
    # Not an observer, which would add to what is measured.
    while len(runner.open_runs) < count:  # noqa: ASYNC110
        await asyncio.sleep(0.5)
    await asyncio.sleep(5)
    yield
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def drain(batch: object) -> None:
    async with batch:  # type: ignore[attr-defined]
        async for _ in batch:  # type: ignore[attr-defined]
            pass


async def lag(seconds: float) -> None:
    """Print how long one turn of the loop takes at the most, in so many seconds.

    The turn's own CPU is told apart: the rest went to other processes.
    """
    turns: list[tuple[float, float]] = []
    pauses = [0.0]
    began_at = 0.0

    def collecting(phase: str, _: object) -> None:
        nonlocal began_at
        if phase == "start":
            began_at = time.perf_counter()
        else:
            pauses.append(time.perf_counter() - began_at)

    gc.callbacks.append(collecting)
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        began, cpu = time.perf_counter(), time.thread_time()
        await asyncio.sleep(0)
        turns.append((time.perf_counter() - began, time.thread_time() - cpu))
    gc.callbacks.remove(collecting)
    walls = sorted(wall for wall, _ in turns)
    most = max(cpu for _, cpu in turns)
    print(
        f"    longest turn of the loop in {seconds:g} s: {walls[-1] * 1e3:.0f} ms, "
        f"{most * 1e3:.0f} ms of its own CPU "
        f"(99.9 % under {walls[len(walls) * 999 // 1000] * 1e3:.1f} ms)"
    )
    print(f"    longest automatic collection meanwhile: {max(pauses) * 1e3:.1f} ms")


async def in_virtual_time(count: int, how: str) -> None:
    platform = StatelessPlatform(lambda _: 1e6)
    async with (
        DPAClient(platform.settings(), backend=platform) as client,
        Runner(client) as runner,
    ):
        await client.list_workflows()
        await measure(runner, count, how)


async def over_http(count: int, how: str) -> None:
    simulator = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "dpa_async", "simulate", "--port", "0"),
        *("--shortest", "100000", "--longest", "200000", "--exit-with-stdin"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert simulator.stdout is not None
    url = (await simulator.stdout.readline()).decode().split()[-1]
    settings = Settings(
        base_url=url,
        client_id="sim+App/0001==",
        client_secret="made/Up+Secret/of+Nobody==",  # noqa: S106 - made up
        execute_urls="/api/dpa/process/execute/{workflow_id}",
    )
    async with DPAClient(settings) as client, Runner(client) as runner:
        await client.list_workflows()
        await measure(runner, count, how)
    simulator.terminate()
    await simulator.communicate()


async def measure(runner: Runner, count: int, how: str) -> None:
    gc.collect()
    traced = tracemalloc.is_tracing()
    before = tracemalloc.get_traced_memory()[0] if traced else resident()
    began = time.process_time()
    async with asleep(runner, count, how):
        cpu = time.process_time() - began
        gc.collect()
        after = tracemalloc.get_traced_memory()[0] if traced else resident()
        each = (after - before) / count / 1024
        unit = "KiB traced" if traced else "KiB resident"
        print(f"{count} runs by {how}: {each:.2f} {unit} a sleeping run")
        if traced:
            for line in tracemalloc.take_snapshot().statistics("lineno")[:25]:
                print("   ", line)
            return
        began = time.perf_counter()
        gc.collect()
        pause = time.perf_counter() - began
        print(f"    {cpu / count * 1e6:.0f} µs CPU to start each")
        print(f"    full collection {pause * 1e3:.0f} ms")
        if not isinstance(asyncio.get_running_loop(), virtual_time.VirtualTimeLoop):
            await lag(20)  # longer than the longest interval between two looks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=50_000)
    parser.add_argument("--how", choices=["run_many", "awaits"], default="run_many")
    parser.add_argument("--http", action="store_true")
    parser.add_argument("--trace", action="store_true", help="say what the memory is")
    args = parser.parse_args()
    if args.trace:
        tracemalloc.start(1)
    if args.http:
        asyncio.run(over_http(args.runs, args.how))
    else:
        virtual_time.run(in_virtual_time(args.runs, args.how))


if __name__ == "__main__":
    main()
