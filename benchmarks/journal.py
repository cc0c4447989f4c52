"""What the journal costs: CPU per write and per run, and to find finished keys.

`writes`: many tasks at once journal runs to their ends (intent, start, end), with no
platform at all: CPU of the whole process, the writer thread included. `find`: that
journal opened again and each key found, its whole result decoded; 100,000 keys are to
take less than 2 s of CPU, opening included.

    python benchmarks/journal.py [--runs 20000] [--at-once 500] [--keys 100000]
"""

import argparse
import asyncio
import resource
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from dpa_async import (
    NodeOutput,
    NodeOutputs,
    RunRef,
    RunResult,
    RunStatus,
    Submission,
)
from dpa_async.journal import EntryState, SQLiteJournal

ORIGIN = "https://dpa.example.com"
PARAMS = {"DPA_MODEL_WORKDIR": "/opt/work", "date": "2025-06-30", "retries": 3}
OUTPUTS = NodeOutputs([NodeOutput("node", '{"rows": 4711, "ok": true}')])
DIGEST = Submission.digest(PARAMS)


async def journal_runs(
    journal: SQLiteJournal, numbers: Iterator[int], waits: list[float]
) -> None:
    for number in numbers:
        key, workflow = f"order-{number:08}", f"mddaebe8b{number % 500:03}"
        submission = Submission(ORIGIN, key, workflow, DIGEST)
        ref = RunRef(ORIGIN, workflow, f"idd8f4a1c{number:012}")
        now = datetime.now(UTC)
        result = RunResult(ref, RunStatus.SUCCEEDED, OUTPUTS, now, now, 3)
        began = time.perf_counter()
        await journal.intend(submission, PARAMS, wants_outputs=True)
        waits.append(time.perf_counter() - began)
        await journal.started(key, ref, now)
        await journal.finished(key, result)


async def write(path: Path, runs: int, at_once: int) -> None:
    numbers, waits = iter(range(runs)), list[float]()
    async with SQLiteJournal(path) as journal:
        began, cpu = time.perf_counter(), time.process_time()
        async with asyncio.TaskGroup() as tasks:
            for _ in range(at_once):
                tasks.create_task(journal_runs(journal, numbers, waits))
        cpu, took = time.process_time() - cpu, time.perf_counter() - began
    waits.sort()
    print(
        f"{runs} runs, {at_once} at once: {cpu / runs * 1e6:.1f} us CPU per run, "
        f"{cpu / runs / 3 * 1e6:.1f} per write; {runs * 3 / took:.0f} writes/s; an "
        f"intent waits {waits[len(waits) // 2] * 1e3:.1f} ms (median), "
        f"{waits[len(waits) * 99 // 100] * 1e3:.1f} (99 %)"
    )


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


async def find(path: Path, keys: int) -> None:
    before = peak()
    began, cpu = time.perf_counter(), time.process_time()
    async with SQLiteJournal(path) as journal:
        for number in range(keys):
            entry = journal.find(f"order-{number:08}")
            assert entry is not None
            assert entry.state is EntryState.FINISHED
            assert entry.result is not None
        cpu, took = time.process_time() - cpu, time.perf_counter() - began
        print(
            f"{keys} finished keys opened and found: {cpu:.2f} s CPU, {took:.2f} s "
            f"({cpu / keys * 1e6:.1f} us each), "
            f"{peak() - before:.1f} MiB of memory more at the peak"
        )


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--runs", type=int, default=20_000)
    words.add_argument("--at-once", type=int, default=500)
    words.add_argument("--keys", type=int, default=100_000)
    chosen = words.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        few, many = Path(directory, "few"), Path(directory, "many")
        asyncio.run(write(few, chosen.runs, chosen.at_once))
        asyncio.run(write(many, chosen.keys, 5_000))
        asyncio.run(find(many, chosen.keys))


if __name__ == "__main__":
    main()
