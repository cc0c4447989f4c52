"""SIGKILL at any instant: the same command again, and no line is lost or halved.

`DPA_BATCH_KILLS` says how often each batch is killed (`nox -s soak`: 25 times).
"""

import os
import random
import time

import pytest
from batch_desk import kept, requests

ROUNDS = int(os.environ.get("DPA_BATCH_KILLS", "3"))
RUNS = 150


def kill_somewhere(here, command, rng):
    """Start the command and kill it; tells whether it was still alive."""
    before, more = len(here.executed), rng.randrange(60)
    process = here.process(*command)
    out = here.folder / command[-1]
    size = out.stat().st_size if out.exists() else 0
    while process.poll() is None:
        moved = out.exists() and out.stat().st_size not in {0, size}
        if len(here.executed) >= before + more and (moved or rng.random() < 0.01):
            break
        time.sleep(0.002)  # noqa: TID251 - no loop runs here
    time.sleep(rng.uniform(0, 0.1))  # noqa: TID251
    process.kill()
    process.communicate()
    return process.returncode < 0


def settle(here, uncertain):
    """Give a person's verdict on those in doubt: what the platform really did."""
    runs = here.runs
    for key in uncertain:
        n = int(key[1:])
        ref = f"dpa-run:1:md{n % 50:04}:{runs.get(n)}@{here.platform.url}"
        verdict = ["--ran", ref] if n in runs else ["--did-not-run"]
        assert here.dpa("settle", "b.jsonl.journal", key, *verdict)[0] == 0


@pytest.mark.parametrize("name", ["out.jsonl", "out.csv"])
def test_killed_again_and_again_a_batch_has_each_line_once(desk, name):
    here = desk(duration=(0.02, 0.4))
    rng = random.Random(name)
    here.write("b.jsonl", requests(RUNS, workflows=50))
    command = ("batch", "b.jsonl", "--quiet", "--concurrency", "30", "--out", name)
    killed = sum(kill_somewhere(here, command, rng) for _ in range(ROUNDS))
    assert killed, "it was never alive"
    code, _, err = here.dpa(*command)
    assert code in {0, 4}, err
    rows, _ = kept(here.folder / name)
    settle(here, [row["key"] for row in rows if row["status"] == "UNCERTAIN"])
    assert here.dpa(*command)[0] == 0
    rows, counts = kept(here.folder / name)
    assert counts == dict.fromkeys((f"k{n}" for n in range(RUNS)), 1)
    assert here.executed == dict.fromkeys(range(RUNS), 1)
    runs = here.runs
    assert all(row["run_id"] == runs[int(row["key"][1:])] for row in rows)
