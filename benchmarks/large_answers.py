"""How long the event loop stands still while a large answer is read.

Every measurement is a process of its own, and so is the platform, so that nothing but
the client is measured. A heartbeat sleeps for a millisecond at a time; the longest gap
between two beats while a call goes on is what every other task of that loop waits.
It is shown by the process's clock, which stands still while others have the machine,
and by the wall's; of some tries the best, since what else goes on only adds to it. By
the process's clock none may be over 50 ms.

    python benchmarks/large_answers.py [--tries 5] [--only outputs]
"""

import argparse
import asyncio
import contextlib
import functools
import json
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from itertools import pairwise
from pathlib import Path

from attrs import frozen

from dpa_async import DPAClient, DPAError, RunRef, Settings

MIB = 2**20
LONGEST_GAP = 50.0
DECODERS = ("orjson", "json")
WORKFLOW = "md0000000001"
Call = Callable[[], Awaitable[object]]


@frozen
class Answer:
    """A large answer: the interface that gives it, how long it is, what is in it."""

    interface: str
    size: int
    row: Callable[[int], object]


def workflow(n: int) -> object:
    return {
        "processModelId": f"md{n:010}",
        "modelName": f" 工作流 {n}",
        "stepNums": 3,
        "status": "success",
        "createUser": "someone",
        "createTime": 1606749734084 + n,
        "updateTime": 1606749734084 + n,
    }


def output_of(size: int) -> Callable[[int], object]:
    """A node whose result is JSON in text, as results often are."""

    @functools.cache  # made where it is served, and nowhere else
    def result() -> str:
        numbers = range(size // 16 + 1)
        whole = json.dumps([{"流程": n} for n in numbers], ensure_ascii=False)
        return whole.encode()[: size * 9 // 10].decode(errors="ignore")

    return lambda n: {"nodeName": f"node {n}", "result": result()}


LIST, OUTPUTS = "processModel/listAll", "processModel/getOutParamByModelId"
ANSWERS = {
    "listAll, 1 MiB less a bit": Answer(LIST, MIB - 1000, workflow),
    "listAll, 8 MiB": Answer(LIST, 8 * MIB, workflow),
    "outputs, 64 MiB in 90,000": Answer(OUTPUTS, 64 * MIB, output_of(700)),
    "outputs, 64 MiB in 32": Answer(OUTPUTS, 64 * MIB, output_of(2 * MIB)),
    "outputs, 64 MiB in one": Answer(OUTPUTS, 64 * MIB, output_of(63 * MIB)),
    "outputs, more than can be": Answer(OUTPUTS, 64 * MIB, output_of(20)),
    "execute, 8 MiB of outputs": Answer("/execute/", 8 * MIB, output_of(1000)),
}


def body_of(answer: Answer) -> bytes:
    rows, left = [], answer.size - 100
    while left > 0:
        row = json.dumps(answer.row(len(rows)), ensure_ascii=False).encode()
        left -= len(row) + 1
        if left > 0 or not rows:
            rows.append(row)
    data = b"[" + b",".join(rows) + b"]"
    if answer.interface == "/execute/":
        ids = json.dumps({"modelId": WORKFLOW, "instanceId": "in1"}).encode()
        data = ids[:-1] + b',"outputs":' + data + b"}"
    return b'{"code":200,"message":"success","data":' + data + b"}"


# --- the platform, in a process of its own --------------------------------------------


async def serve(name: str) -> None:
    answer = ANSWERS[name]
    token = {"code": 200, "data": {"code": "c0de", "access_token": "t0ken"}}
    bodies = {answer.interface.encode(): body_of(answer)}

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                _, _, after = head.lower().partition(b"content-length: ")
                if after:
                    await reader.readexactly(int(after.split(b"\r\n")[0]))
                line = head.split(b"\r\n")[0]
                found = [body for path, body in bodies.items() if path in line]
                body = found[0] if found else json.dumps(token).encode()
                writer.write(
                    b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
                )
                writer.write(body)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


# --- the client, in a process of its own ----------------------------------------------


async def longest_gaps(call: Call) -> tuple[float, float]:
    """Give the longest gap during a call, by the process's clock and the wall's."""
    beats = [(time.process_time(), time.perf_counter())]

    async def beat() -> None:
        while True:
            await asyncio.sleep(0.001)
            beats.append((time.process_time(), time.perf_counter()))

    beating = asyncio.create_task(beat())
    await asyncio.sleep(0.05)
    del beats[:-1]
    given = []  # to let go of it takes time that is its user's
    with contextlib.suppress(DPAError):  # a refusal takes its time as well
        given.append(await call())
    await asyncio.sleep(0.01)
    beating.cancel()
    del given
    gaps = [(b[0] - a[0], b[1] - a[1]) for a, b in pairwise(beats)]
    return max(gap[0] for gap in gaps), max(gap[1] for gap in gaps)


async def measure(name: str, port: str, tries: int) -> None:
    settings = Settings(
        base_url=f"http://127.0.0.1:{port}",
        client_id="made-up",
        client_secret="made-up-too",  # noqa: S106
        execute_urls="/execute/{workflow_id}",
    )
    run = RunRef(settings.base_url, WORKFLOW, "in1")
    async with DPAClient(settings) as client:
        await client.tokens.get()
        calls: dict[str, Call] = {
            "listAll": client.list_workflows,
            "outputs": lambda: client.get_outputs(run),
            "execute": lambda: client.execute(WORKFLOW),
        }
        call = calls[name.partition(",")[0]]
        before, began = memory("VmRSS"), time.perf_counter()
        gaps = [await longest_gaps(call) for _ in range(tries)]
        took = (time.perf_counter() - began) / tries
    by_cpu, by_wall = (min(gap[n] for gap in gaps) for n in (0, 1))
    print(json.dumps([by_cpu * 1000, by_wall * 1000, took, memory("VmHWM") - before]))


def memory(word: str) -> float:
    """MiB of this process, as Linux counts it; elsewhere nothing."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith(word):
                return int(line.split()[1]) / 1024
    return float("nan")


# --- both -----------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def platform(name: str) -> AsyncGenerator[str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, __file__, "--serve", name),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        yield (await process.stdout.readline()).decode().strip()
    finally:
        process.terminate()
        await process.communicate()


async def client(name: str, decoder: str, port: str, tries: int) -> list[float]:
    # Run as a module's main, behind what keeps orjson from being found.
    hide = "sys.modules['orjson'] = None" if decoder == "json" else "pass"
    code = f"import runpy, sys; {hide}; runpy.run_path({__file__!r}, None, '__main__')"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", code, "--measure", name, port),
        *("--tries", str(tries)),
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    return json.loads(out)


async def main(tries: int, only: str) -> int:
    print(
        f"{'answer':<27}{'decoder':<9}{'longest gap ms':>15}{'by the wall':>13}"
        f"{'took s':>8}{'memory MiB':>12}"
    )
    longest = 0.0
    for name in ANSWERS:
        if only not in name:
            continue
        async with platform(name) as port:
            for decoder in DECODERS:
                gap, wall, took, peak = await client(name, decoder, port, tries)
                longest = max(longest, gap)
                print(
                    f"{name:<27}{decoder:<9}{gap:>15.1f}{wall:>13.1f}"
                    f"{took:>8.2f}{peak:>12.0f}"
                )
    return 1 if longest > LONGEST_GAP else 0


if __name__ == "__main__":
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--tries", type=int, default=5)
    words.add_argument("--only", default="")
    words.add_argument("--serve", metavar="ANSWER")
    words.add_argument("--measure", nargs=2, metavar=("ANSWER", "PORT"))
    chosen = words.parse_args()
    if chosen.serve:
        asyncio.run(serve(chosen.serve))
    elif chosen.measure:
        asyncio.run(measure(*chosen.measure, chosen.tries))
    else:
        sys.exit(asyncio.run(main(chosen.tries, chosen.only)))
