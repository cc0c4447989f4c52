"""SIGINT and SIGTERM drain a runner; a process, its journal and a real platform."""

import asyncio
import os
import signal
import subprocess
import sys
import textwrap

import pytest

from dpa_async.simulator import Fault, SimulatedWorkflow, Simulator

PROGRAM = """
    import asyncio, sys
    from dpa_async import DPAClient, Runner, RunRequest, Settings, run_many
    from dpa_async.draining import draining
    from dpa_async.journal import SQLiteJournal

    async def main(url, path):
        settings = Settings(
            base_url=url,
            client_id="sim+App/0001==",
            client_secret="made/Up+Secret/of+Nobody==",
            execute_urls="/api/dpa/process/execute/{workflow_id}",
        )
        requests = [RunRequest(f"w{n}", {"n": n}, key=f"k{n}") for n in range(20)]
        async with (
            DPAClient(settings) as client,
            SQLiteJournal(path) as journal,
            Runner(client, journal=journal) as runner,
            draining(runner) as told,
        ):
            async for outcome in run_many(runner, requests, concurrency=4):
                print(outcome.request.key, outcome.error or "ok", flush=True)
        print("drained" if told.is_set() else "done", flush=True)

    asyncio.run(main(*sys.argv[1:]))
"""


def child(url, folder):
    program = textwrap.dedent(PROGRAM)
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", program, url, folder / "journal"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


async def executed(dpa, count):
    for _ in range(1000):
        if dpa.platform.requests["execute"] >= count:
            return
        await asyncio.sleep(0.02)
    raise AssertionError(dpa.platform.requests)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_finishes_what_is_out_and_the_next_call_goes_on(tmp_path, number):
    async def main():
        async with Simulator(duration=0.3) as platform:
            platform.faults.add("execute", Fault.slow_answer(0.3))
            first = child(platform.url, tmp_path)
            await executed(platform, 6)
            os.kill(first.pid, number)
            out, err = await asyncio.to_thread(first.communicate)
            assert first.returncode == 0, err
            assert out.endswith("drained\n")
            platform.faults.clear()
            out, err = await asyncio.to_thread(
                child(platform.url, tmp_path).communicate
            )
            assert out.endswith("done\n"), err
            assert sorted(out.split()[:-1]) == sorted(
                [f"k{n}" for n in range(20)] + ["ok"] * 20
            )
            assert len(platform.platform.runs) == 20

    asyncio.run(main())


def test_the_next_signal_does_what_it_did_before(tmp_path):
    async def main():
        async with Simulator([SimulatedWorkflow(f"w{n}") for n in range(20)]) as dpa:
            dpa.faults.add("execute", Fault.stall(carried_out=True))
            first = child(dpa.url, tmp_path)
            await executed(dpa, 1)
            os.kill(first.pid, signal.SIGTERM)
            await asyncio.sleep(0.3)
            os.kill(first.pid, signal.SIGTERM)
            await asyncio.to_thread(first.communicate)
            assert first.returncode == -signal.SIGTERM

    asyncio.run(main())
