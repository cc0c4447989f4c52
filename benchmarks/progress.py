"""What showing progress costs: CPU of a batch of 10,000 runs, with it and without.

Batches are interleaved in random order in one process, with an A/A control: without
against without. The terminal is a pseudo-terminal that another process reads. At most
5 % more is aimed at. Ratios are those of the medians, and of the least, which is what a
busy machine disturbs least. `silent` counts and shows nothing: what is left is drawing.

`memory` runs over a platform in memory that costs next to nothing, so that what is
added weighs most; `http` over HTTP, as in `overhead.py`, against a simulator that is a
process of its own.

    python benchmarks/progress.py [memory|http] [--runs 10000] [--rounds 5]
"""

import argparse
import asyncio
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path
from typing import Self, TextIO

sys.path.insert(0, str(Path(__file__).parent))

from _stateless import StatelessPlatform
from overhead import simulator

from dpa_async import DPAClient, Runner, RunRequest, Settings, WaitPolicy, run_many
from dpa_async.progress import Progress
from dpa_async.simulator import Application

AT_ONCE = 1_000
WORKFLOWS = 2_000
READER = [sys.executable, "-c", "import os\nwhile os.read(0, 65536): pass"]
DURATION = 0.5  # seconds, in memory: so that there are some looks


@asynccontextmanager
async def client_of(platform: str) -> AsyncGenerator[DPAClient]:
    if platform == "memory":
        stateless = StatelessPlatform(lambda _: DURATION)
        async with DPAClient(stateless.settings(), backend=stateless) as client:
            yield client
        return
    made_up = Application()
    async with simulator() as url:
        settings = Settings(
            base_url=url,
            client_id=made_up.client_id,
            client_secret=made_up.client_secret,
            execute_urls="/api/dpa/process/execute/{workflow_id}",
        )
        async with DPAClient(settings) as client:
            yield client


async def cost_of(client: DPAClient, runs: int, progress: Progress | None) -> float:
    """Run a batch; gives seconds of CPU."""
    requests = (RunRequest(f"w{n % WORKFLOWS}", {"n": n}) for n in range(runs))
    observers = () if progress is None else (progress,)
    wait = WaitPolicy(first_look=0.3)
    began = time.process_time()
    async with (
        nullcontext() if progress is None else progress,
        Runner(client, wait=wait, observers=observers) as runner,
        run_many(runner, requests, concurrency=AT_ONCE) as batch,
    ):
        async for outcome in batch:
            assert outcome.result is not None, outcome.error
            if progress is not None:
                progress.add(outcome)
    return time.process_time() - began


class Silent(Progress):
    """Counts only."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass


async def main(platform: str, runs: int, rounds: int, terminal: TextIO) -> None:
    async with client_of(platform) as client:
        kinds = {
            "no progress": lambda: None,
            "the same again (A/A)": lambda: None,
            "Progress, silent": lambda: Silent(total=runs),
            "Progress on a terminal": lambda: Progress(total=runs, file=terminal),
        }
        await cost_of(client, min(runs, 1_000), None)  # warm: imports, token
        costs: dict[str, list[float]] = {kind: [] for kind in kinds}
        for _ in range(rounds):
            for kind in random.sample(list(kinds), len(kinds)):
                costs[kind].append(await cost_of(client, runs, kinds[kind]()))
    floor = statistics.median(costs["no progress"])
    least = min(costs["no progress"])
    head = f"{platform}, {runs} runs"
    print(f"{head:<28}{'s CPU':>8}{'ratio':>8}{'least':>8}{'ratio':>8}")
    for kind, values in costs.items():
        median, quietest = statistics.median(values), min(values)
        print(
            f"{kind:<28}{median:>8.2f}{median / floor:>8.3f}"
            f"{quietest:>8.2f}{quietest / least:>8.3f}"
        )


if __name__ == "__main__":
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("platform", nargs="?", choices=["memory", "http"])
    words.add_argument("--runs", type=int, default=10_000)
    words.add_argument("--rounds", type=int, default=5)
    chosen = words.parse_args()
    os.environ.setdefault("TERM", "xterm-256color")
    ours, theirs = os.openpty()
    with (
        subprocess.Popen(READER, stdin=ours) as reader,  # noqa: S603 - our own
        os.fdopen(theirs, "w", encoding="utf-8") as terminal,
    ):
        for platform in [chosen.platform] if chosen.platform else ["memory", "http"]:
            asyncio.run(main(platform, chosen.runs, chosen.rounds, terminal))
        reader.terminate()
