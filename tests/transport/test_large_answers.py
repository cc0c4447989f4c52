"""Answers of any size: a cap, bounded memory, and a loop that goes on meanwhile."""

import asyncio
import gzip
import json
import threading
import time
import tracemalloc

import pytest
from calls import Ask, GivenTokens, settings_of
from raw_platform import MARK, PATIENCE, RawPlatform, envelope, http
from watching import play

from dpa_async import Dialect, DPAClient, Runner, UnexpectedResponseError

MIB = 2**20
LONGEST_PAUSE = 0.05
TRIES = 5


def saying(*pieces):
    """Read the request, then say all this, the last for as long as it is heard."""

    def script(talk):
        talk.read()
        for piece in pieces:
            talk.say(piece)

    return script


def saying_for_ever(head, piece):
    return saying(head, *[piece] * 100_000)


def answer_of(size, row):
    """An answer of so many bytes, to a few, made of as many rows as that takes."""
    rows, length = [], len(envelope([]))
    while length <= size:
        rows.append(row(len(rows)))
        length += len(json.dumps(rows[-1])) + len(", ")
    return envelope(rows[:-1]).ljust(size)


async def with_client(script, test, **settings):
    async with RawPlatform(script) as platform:
        chosen = settings_of(platform, **settings)
        async with DPAClient(chosen, tokens=GivenTokens(platform)) as client:
            return await test(client, Ask(platform, client))


CHUNKED = http(b"", "Transfer-Encoding: chunked", length=False)
UNTIL_IT_CLOSES = http(b"", "Connection: close", length=False)


@pytest.mark.parametrize("more", [0, 1])
def test_the_caps_are_to_the_byte_and_each_its_own(more):
    async def list_all(client, ask):
        return await client.list_workflows()

    async def outputs(client, ask):
        return await client.get_outputs(ask.run)

    async def main():
        for call, cap in ((list_all, 5_000), (outputs, 9_000)):
            script = saying(http(envelope([]).ljust(cap + more)))
            caps = {"max_body_bytes": 5_000, "max_outputs_bytes": 9_000}
            if more:
                with pytest.raises(UnexpectedResponseError, match=f"than {cap} bytes"):
                    await with_client(script, call, **caps)
            else:
                assert len(await with_client(script, call, **caps)) == 0

    play(main())


@pytest.mark.parametrize(
    "script",
    [
        saying_for_ever(UNTIL_IT_CLOSES, b" " * 50_000),
        saying_for_ever(CHUNKED, b"c350\r\n" + b" " * 50_000 + b"\r\n"),
        saying_for_ever(
            http(b"", f"Content-Length: {10**12}", length=False), b" " * 50_000
        ),
        saying(http(gzip.compress(b" " * MIB) * 64, "Content-Encoding: gzip")),
    ],
    ids=["until it closes", "chunks", "a length of a terabyte", "a gzip bomb"],
)
def test_whatever_is_poured_in_memory_is_bounded(script):
    cap = MIB

    async def call(client, ask):
        tracemalloc.start()
        try:
            with pytest.raises(UnexpectedResponseError):
                await client.list_workflows()
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak = play(with_client(script, call, max_body_bytes=cap))
    assert peak < 3 * cap, f"{peak / MIB:.1f} MiB"


async def longest_pause(call):
    """The longest time for which the loop did not come round while a call went on.

    By the process's clock, which stands still while other processes have the machine.
    """
    pauses = []

    async def heartbeat():
        last = time.process_time()
        while True:
            await asyncio.sleep(0.001)
            now = time.process_time()
            pauses.append(now - last)
            last = now

    beating = asyncio.create_task(heartbeat())
    given = await call
    await asyncio.sleep(0.005)
    beating.cancel()
    await asyncio.wait([beating])
    return max(pauses), given


def workflow(n):
    return {
        "processModelId": f"md{n:010}",
        "modelName": f" 工作流 {n}",
        "stepNums": 3,
        "status": "success",
        "createUser": "someone",
        "createTime": 1606749734084 + n,
        "updateTime": 1606749734084 + n,
    }


def test_8_mib_of_workflows_do_not_hold_up_the_loop():
    body = answer_of(8 * MIB, workflow)

    async def call(client, ask):
        return await longest_pause(client.list_workflows())

    def once():
        pause, given = play(
            with_client(saying(http(body)), call, max_body_bytes=8 * MIB)
        )
        assert len(given) > 30_000
        assert given[-1].name.startswith("工作流")
        return pause

    assert_soon(once)


def test_64_mib_of_outputs_do_not_hold_up_the_loop():
    text = json.dumps([{"流程": n} for n in range(100_000)])[: 2 * MIB]
    whole = http(answer_of(64 * MIB, lambda n: {"nodeName": f"{n}", "result": text}))

    async def call(client, ask):
        return await longest_pause(client.get_outputs(ask.run))

    def once():
        pause, given = play(
            with_client(saying(whole), call, max_outputs_bytes=64 * MIB)
        )
        assert given["0"] == text
        assert len(given) > 20
        return pause

    assert_soon(once)


def assert_soon(once):
    """The best of some tries counts: what else the machine does only adds to it."""
    pauses = []
    for _ in range(TRIES):
        pauses.append(once())
        if pauses[-1] < LONGEST_PAUSE:
            return
    pytest.fail(f"the loop stood still for {min(pauses) * 1000:.0f} ms")


def test_more_rows_than_any_platform_has_are_an_error_that_says_so():
    body = answer_of(8 * MIB, lambda _: {"nodeName": "", "result": ""})

    async def call(client, ask):
        with pytest.raises(UnexpectedResponseError, match="more than 100,000 items"):
            await client.get_outputs(ask.run)

    play(with_client(saying(http(body)), call, max_outputs_bytes=8 * MIB))


def large_answer_of_an_execute(talk):
    talk.read()
    given = json.loads(talk.carry_out()) if talk.seen.operation == "execute" else {}
    talk.say(http(json.dumps(given | {"more": "x" * MIB}).encode()))


def test_a_large_answer_of_an_execute_is_read_out_of_the_loops_way():
    async def call(client, ask):
        execution = await client.execute(ask.workflow_id)
        assert execution.run.workflow_id == ask.workflow_id

    threads = []

    def reader(data):
        threads.append(threading.current_thread())
        return data

    settings = {"dialect": Dialect(execute_reader=reader), "max_body_bytes": 2 * MIB}
    play(with_client(large_answer_of_an_execute, call, **settings))
    assert threads != [threading.main_thread()]


def test_a_run_whose_answer_is_being_read_when_its_caller_leaves_is_not_lost():
    reading, go_on = threading.Event(), threading.Event()

    def reader(data):
        reading.set()
        go_on.wait(PATIENCE)
        return data

    async def call(client, ask):
        async with Runner(client) as runner:
            starting = asyncio.create_task(runner.start(ask.workflow_id))
            await asyncio.to_thread(reading.wait, PATIENCE)
            starting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await starting
            go_on.set()
        (ref,) = runner.open_runs
        assert ref.workflow_id == ask.workflow_id

    settings = {"dialect": Dialect(execute_reader=reader), "max_body_bytes": 2 * MIB}
    play(with_client(large_answer_of_an_execute, call, **settings))


def test_giving_up_on_a_large_answer_leaves_nothing_behind():
    """It is read in a thread, which cannot be stopped; nobody is told of it."""
    body = answer_of(4 * MIB, workflow)

    async def call(client, ask):
        reading = asyncio.create_task(client.list_workflows())
        await asyncio.sleep(0.1)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        return (await client.list_workflows())[0].id

    script = saying(http(body))
    first = play(with_client(script, call, max_body_bytes=8 * MIB))
    assert first == workflow(0)["processModelId"]


def test_a_secret_in_a_large_answer_is_blotted_out():
    async def call(client, ask):
        with pytest.raises(UnexpectedResponseError) as caught:
            await client.list_workflows()
        return str(caught.value)

    def script(talk):
        talk.read()
        token = talk.seen.headers["authorization"]
        talk.say(http(b'{"no": "' + token.encode() + b'"' + b" " * MIB))

    assert MARK not in play(with_client(script, call, max_body_bytes=8 * MIB))
