"""What a journal costs a batch: CPU per run, and to skip what is finished.

`batch`: `run_many` with a `SQLiteJournal` and without, over HTTP, as in `overhead.py`:
interleaved blocks in random order against a simulator that is a process of its own,
with an A/A control: none against none. CPU of the whole process, the writer thread
included; at most 15 % more is aimed at.

`skip`: a journal of 100,000 finished keys is opened again and the same requests go
through `run_many`, which yields their results; less than 2 s of CPU is aimed at.
Nothing listens at the platform's address: who sends anything gets an error.

    python benchmarks/journaled.py [--runs 400] [--rounds 12] [--keys 100000]
"""

import argparse
import asyncio
import itertools
import random
import statistics
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from overhead import AT_ONCE, simulator

from dpa_async import (
    DPAClient,
    NodeOutput,
    NodeOutputs,
    Runner,
    RunRef,
    RunRequest,
    RunResult,
    RunStatus,
    Settings,
    Submission,
    WaitPolicy,
    run_many,
)
from dpa_async.journal import SQLiteJournal
from dpa_async.simulator import Application

PARAMS = {"DPA_MODEL_WORKDIR": "/opt/work", "date": "2025-06-30", "retries": 3}
OUTPUTS = NodeOutputs([NodeOutput("node", '{"rows": 4711, "ok": true}')])
AT_ONCE_POLICY = WaitPolicy(first_look=0.0, minimum=0.01)


def settings_of(url: str) -> Settings:
    made_up = Application()
    return Settings(
        base_url=url,
        client_id=made_up.client_id,
        client_secret=made_up.client_secret,
        execute_urls="/api/dpa/process/execute/{workflow_id}",
    )


async def cost_of(runner: Runner, runs: int, keys: Iterator[int]) -> float:
    """Run a block; gives µs of CPU per run."""
    requests = (
        RunRequest(f"wf{n}", PARAMS, key=f"order-{next(keys):08}") for n in range(runs)
    )
    began = time.process_time()
    async with run_many(runner, requests, concurrency=AT_ONCE) as batch:
        async for outcome in batch:
            assert outcome.result is not None, outcome.error
    return (time.process_time() - began) / runs * 1e6


async def compare(path: Path, runs: int, rounds: int) -> None:
    async with (
        simulator() as url,
        DPAClient(settings_of(url)) as client,
        SQLiteJournal(path) as journal,
        Runner(client, wait=AT_ONCE_POLICY) as without,
        Runner(client, wait=AT_ONCE_POLICY, journal=journal) as journaled,
    ):
        keys = itertools.count()
        blocks = {
            "no journal": without,
            "the same again (A/A)": without,
            "SQLiteJournal": journaled,
        }
        for runner in blocks.values():  # warm: imports, connections, token
            await cost_of(runner, runs, keys)
        costs: dict[str, list[float]] = {name: [] for name in blocks}
        for _ in range(rounds):
            for name in random.sample(list(blocks), len(blocks)):
                costs[name].append(await cost_of(blocks[name], runs, keys))
    floor = statistics.median(costs["no journal"])
    print(f"{'run_many with':<24}{'µs CPU per run':>16}{'ratio':>8}")
    for name, values in costs.items():
        median = statistics.median(values)
        print(f"{name:<24}{median:>16.0f}{median / floor:>8.2f}")


def requests_of(keys: int) -> Iterator[RunRequest]:
    for n in range(keys):
        yield RunRequest(f"mddaebe8b{n % 500:03}", PARAMS, key=f"order-{n:08}")


async def finish_all(path: Path, origin: str, keys: int) -> None:
    """Fill a journal with runs that are over."""
    digest = Submission.digest(PARAMS)
    now = datetime.now(UTC)

    async def some(journal: SQLiteJournal, requests: Iterator[RunRequest]) -> None:
        for request in requests:
            key, workflow_id = str(request.key), request.workflow_id
            ref = RunRef(origin, workflow_id, f"in-{key}")
            submission = Submission(origin, key, workflow_id, digest)
            await journal.intend(submission, PARAMS, wants_outputs=True)
            result = RunResult(ref, RunStatus.SUCCEEDED, OUTPUTS, now, now, 3)
            await journal.finished(key, result)

    requests = requests_of(keys)
    async with SQLiteJournal(path) as journal, asyncio.TaskGroup() as tasks:
        for _ in range(1_000):
            tasks.create_task(some(journal, requests))


async def skip(path: Path, keys: int) -> None:
    settings = settings_of("http://127.0.0.1:1")
    await finish_all(path, settings.base_url, keys)
    began, cpu = time.perf_counter(), time.process_time()
    async with (
        DPAClient(settings) as client,
        SQLiteJournal(path) as journal,
        Runner(client, journal=journal) as runner,
        run_many(runner, requests_of(keys)) as batch,
    ):
        skipped = 0
        async for outcome in batch:
            assert outcome.result is not None, outcome.error
            assert outcome.result.outputs == OUTPUTS
            skipped += 1
    assert skipped == keys
    cpu, took = time.process_time() - cpu, time.perf_counter() - began
    print(
        f"{keys} finished keys opened and skipped: {cpu:.2f} s CPU, {took:.2f} s "
        f"({cpu / keys * 1e6:.1f} us each)"
    )


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--runs", type=int, default=400)
    words.add_argument("--rounds", type=int, default=12)
    words.add_argument("--keys", type=int, default=100_000)
    chosen = words.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(compare(Path(directory, "batch"), chosen.runs, chosen.rounds))
        asyncio.run(skip(Path(directory, "skip"), chosen.keys))


if __name__ == "__main__":
    main()
