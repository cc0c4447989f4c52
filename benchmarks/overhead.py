"""What the library costs: client CPU per run, as a ratio to bare aiohttp.

Both make the same three requests for each run (execute, status, outputs) against the
simulator, which is a process of its own and ends every run at once. Blocks of the two
are interleaved in random order, in one process, with an A/A control: bare against bare
in alternate blocks. Where that leaves 0.97 to 1.03 the machine is too noisy to believe.

    python benchmarks/overhead.py [--runs 400] [--rounds 12]
"""

import argparse
import asyncio
import contextlib
import json
import random
import statistics
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable

import aiohttp

from dpa_async import DPAClient, Runner, RunRequest, Settings, WaitPolicy, run_many
from dpa_async.simulator import Application

AT_ONCE = 64
Block = Callable[[int], Awaitable[None]]


@contextlib.asynccontextmanager
async def simulator() -> AsyncGenerator[str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "dpa_async", "simulate", "--port", "0"),
        *("--shortest", "0", "--longest", "0", "--exit-with-stdin"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    line = await process.stdout.readline()
    try:
        yield line.decode().split()[-1]
    finally:
        process.terminate()
        await process.communicate()


async def bare(
    session: aiohttp.ClientSession,
    executing: aiohttp.ClientSession,
    url: str,
    token: str,
    runs: int,
) -> None:
    """The floor: three requests a run, no checks, no limits but a semaphore."""
    places = asyncio.Semaphore(AT_ONCE)
    headers = {"Authorization": f"Bearer {token}"}
    base = f"{url}/api/dpa/process"

    async def one(number: int) -> None:
        async with places:
            async with executing.post(
                f"{base}/execute/wf{number}",
                json={"mapParam": {"n": str(number)}},
                headers=headers,
            ) as reply:
                ids = (await reply.json())["data"]
            async with session.get(
                f"{base}/processrun/getProcessRunStatus", params=ids, headers=headers
            ) as reply:
                assert (await reply.json())["data"]["status"] == "FINISH"
            async with session.post(
                f"{base}/processModel/getOutParamByModelId", json=ids, headers=headers
            ) as reply:
                outputs = (await reply.json())["data"]
                assert json.loads(outputs[0]["result"]) == {"n": str(number)}

    await asyncio.gather(*(one(number) for number in range(runs)))


async def ours(runner: Runner, runs: int) -> None:
    requests = (RunRequest(f"wf{n}", {"n": str(n)}) for n in range(runs))
    async with run_many(runner, requests, concurrency=AT_ONCE) as batch:
        async for outcome in batch:
            assert outcome.result is not None, outcome.error


async def measure(blocks: dict[str, Block], runs: int, rounds: int) -> None:
    costs: dict[str, list[float]] = {name: [] for name in blocks}
    for block in blocks.values():  # warm: imports, connections, token
        await block(runs)
    for _ in range(rounds):
        for name in random.sample(list(blocks), len(blocks)):
            began = time.process_time()
            await blocks[name](runs)
            costs[name].append((time.process_time() - began) / runs * 1e6)
    floor = statistics.median(costs["bare aiohttp"])
    print(f"{'client':<24}{'µs CPU per run':>16}{'ratio':>8}")
    for name, values in costs.items():
        median = statistics.median(values)
        print(f"{name:<24}{median:>16.0f}{median / floor:>8.2f}")


async def main(runs: int, rounds: int) -> None:
    made_up = Application()
    async with simulator() as url:
        settings = Settings(
            base_url=url,
            client_id=made_up.client_id,
            client_secret=made_up.client_secret,
            execute_urls="/api/dpa/process/execute/{workflow_id}",
        )
        async with (
            DPAClient(settings) as client,
            Runner(client, wait=WaitPolicy(first_look=0.0, minimum=0.01)) as runner,
            aiohttp.ClientSession() as pooled,
            aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, force_close=True)
            ) as fresh,
        ):
            await client.list_workflows()
            token = (await client.tokens.get()).value
            await measure(
                {
                    "bare aiohttp": lambda n: bare(pooled, pooled, url, token, n),
                    "the same again (A/A)": lambda n: bare(
                        pooled, pooled, url, token, n
                    ),
                    "bare, fresh for execute": lambda n: bare(
                        pooled, fresh, url, token, n
                    ),
                    "dpa_async run_many": lambda n: ours(runner, n),
                },
                runs,
                rounds,
            )


if __name__ == "__main__":
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--runs", type=int, default=400)
    words.add_argument("--rounds", type=int, default=12)
    chosen = words.parse_args()
    asyncio.run(main(chosen.runs, chosen.rounds))
