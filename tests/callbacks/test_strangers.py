"""Forgers, slow senders, rubbish; real callbacks are taken meanwhile."""

import asyncio
import json
import logging
import os
import random
import sys
from pathlib import Path

import pytest
from receivers import on_aiohttp, on_uvicorn, own_server, play
from senders import FINISH, address, hear, post, request, say

from dpa_async.callbacks import own_server as the_server

FORGER = Path(__file__).with_name("forger.py")
FORGED = 20_000
SLOW = 500
RUBBISH = 500


def resident_bytes():
    """What this process holds of the machine's memory."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_20000_forged_callbacks_take_no_memory_and_keep_no_real_one_out():
    async def test(receiver):
        woken = []
        url = receiver.expect(woken.append).url
        for _ in range(50):
            await post(url, FINISH)
        before, most = resident_bytes(), 0
        forger = await asyncio.create_subprocess_exec(
            *(sys.executable, str(FORGER), url, str(FORGED)),
            stdout=asyncio.subprocess.PIPE,
        )
        real = 0
        while forger.returncode is None:
            assert (await post(url, FINISH)).text == "SUCCESS"
            real += 1
            most = max(most, resident_bytes())
            await asyncio.sleep(0.05)
        answers = json.loads(await forger.stdout.read())
        assert sum(answers.values()) == FORGED
        # Guesses are 404, other methods 405; some are cut, when 5 s are over.
        assert set(answers) <= {"404", "405", "cut"}
        assert answers["404"] > 0.8 * FORGED
        assert answers.get("cut", 0) < 0.02 * FORGED
        assert most - before <= 20 * 2**20
        assert real > 10
        assert len(woken) == 50 + real

    play(own_server, test)


def beginnings(url):
    """The ways to be slow: what is said at first, and then over and over."""
    announced = request(url, b"{", "Content-Length: 100", length=False)
    chunked = request(url, b"1\r\n{\r\n", "Transfer-Encoding: chunked", length=False)
    return {
        "silence": (b"", b""),
        "request line": (b"POST /", b"x"),
        "headers": (request(url)[:-2], b"X"),
        "body": (announced, b" "),
        "chunks": (chunked, b"1\r\n \r\n"),
    }


async def be_slow(url, way):
    """Open a connection and be slow; give after how many seconds it is closed."""
    loop = asyncio.get_running_loop()
    reader, writer = await asyncio.open_connection(*address(url))
    began = loop.time()
    try:
        first, more = beginnings(url)[way]
        writer.write(first)
        hearing = asyncio.ensure_future(reader.read())
        while not hearing.done():
            await asyncio.wait({hearing}, timeout=1)
            writer.write(more)
        _ = hearing.exception()
        return loop.time() - began
    finally:
        writer.close()


@pytest.mark.parametrize(
    ("face", "ways"),
    [
        (own_server, ["silence", "request line", "headers", "body", "chunks"]),
        (on_aiohttp, ["body", "chunks"]),
        (on_uvicorn, ["body", "chunks"]),
    ],
    ids=["own server", "aiohttp", "uvicorn"],
)
def test_500_slow_senders_are_cut_and_keep_no_real_one_out(face, ways):
    async def test(receiver):
        woken = []
        url = receiver.expect(woken.append).url
        slow = [
            asyncio.ensure_future(be_slow(url, ways[n % len(ways)]))
            for n in range(SLOW)
        ]
        loop = asyncio.get_running_loop()
        began = loop.time()
        # So many at least, whatever the machine's pace is.
        first = await asyncio.gather(*(post(url, FINISH) for _ in range(11)))
        assert {answer.text for answer in first} == {"SUCCESS"}
        real, late = len(first), loop.time() - began
        while not all(each.done() for each in slow):
            began = loop.time()
            assert (await post(url, FINISH)).text == "SUCCESS"
            real += 1
            await asyncio.sleep(0.1)
            late = max(late, loop.time() - began)
        seconds = [each.result() for each in slow]
        # Nothing can be closed sooner than this busy loop, and machine, come to it.
        assert max(seconds) < 30
        assert min(seconds) > 5 - late
        assert len(woken) == real
        assert real > 10

    play(face, test)


def test_the_oldest_connection_is_cut_where_there_are_too_many(monkeypatch):
    monkeypatch.setattr(the_server, "MAX_CONNECTIONS", 10)

    async def test(receiver):
        url = receiver.expect(lambda _: None).url
        idle = [await asyncio.open_connection(*address(url)) for _ in range(10)]
        assert (await post(url, FINISH)).text == "SUCCESS"
        assert await idle[0][0].read() == b""  # the first made room
        data = request(url, json.dumps(FINISH).encode())
        for reader, writer in idle[1:]:
            writer.write(data)
            assert (await hear(reader)).status == 200
        for _, writer in idle:
            writer.close()

    play(own_server, test)


def test_a_connection_is_heard_only_so_far():
    """Endless heads, or more requests than anybody has, are not kept."""

    async def test(receiver):
        url = receiver.expect(lambda _: None).url
        reader, writer = await asyncio.open_connection(*address(url))
        guess = request(f"{url}x", b"{}")
        answered = 0
        while (heard := await exchanged(reader, writer, guess)) is not None:
            assert heard.status == 404
            answered += 1
        writer.close()
        most = the_server.MAX_CONNECTION_BYTES // len(guess)
        assert 1 < answered <= most
        assert (await post(url, FINISH)).status == 200

    play(own_server, test)


def test_a_head_is_heard_only_so_far():
    async def test(receiver):
        url = receiver.expect(lambda _: None).url
        header = f"X-More: {'x' * 4000}"
        assert (await post(url, FINISH, *[header] * 7)).status == 200
        assert await post(url, FINISH, *[header] * 9) is None

    play(own_server, test)


async def exchanged(reader, writer, data):
    writer.write(data)
    return await hear(reader)


def test_a_real_callback_has_a_connection_of_its_own():
    """Else the next one could come over it just when its time is over."""

    async def test(receiver):
        url = receiver.expect(lambda _: None).url
        assert (await post(url, FINISH)).headers["connection"] == "close"
        assert "connection" not in (await post(f"{url}x", FINISH)).headers

    play(own_server, test)


def mangled(rng, data):
    """A request with some of its bytes changed, cut out, doubled or in disorder."""
    data = bytearray(data)
    for _ in range(rng.randrange(1, 6)):
        at = rng.randrange(len(data) + 1)
        to = min(len(data), at + rng.randrange(1, 40))
        match rng.randrange(5):
            case 0:
                data[at:to] = rng.randbytes(to - at)
            case 1:
                del data[at:to]
            case 2:
                data[at:at] = data[at:to] * rng.randrange(1, 20)
            case 3:
                data[at:at] = rng.choice([b"\r\n", b"\n", b"\0", b"\xff", b" ", b"%"])
            case _:
                data[at:at] = rng.choice(
                    [
                        b"\r\nTransfer-Encoding: chunked\r\n",
                        b"\r\nContent-Length: 7\r\n",
                        b"\r\nContent-Encoding: gzip\r\n",
                        b"\r\nUpgrade: websocket\r\nConnection: upgrade\r\n",
                        b"\r\nExpect: 100-continue\r\n",
                        b"\r\nExpect: the worst\r\n",
                    ]
                )
    return bytes(data)


@pytest.mark.parametrize("seed", range(2))
def test_rubbish_is_refused_or_cut_and_nothing_is_wrong_with_us(seed, caplog):
    rng = random.Random(seed)
    body = json.dumps(FINISH).encode()

    async def test(receiver):
        wrong = []
        asyncio.get_running_loop().set_exception_handler(lambda _, c: wrong.append(c))
        url = receiver.expect(lambda _: None).url

        async def one():
            reader, writer = await asyncio.open_connection(*address(url))
            writer.write(mangled(rng, request(url, body, "Accept: */*")))
            heard = await hear(reader)
            writer.close()
            return heard.status if heard else None

        async with asyncio.TaskGroup() as group:  # what is not whole takes its 5 s
            tasks = [group.create_task(one()) for _ in range(RUBBISH)]
        seen = {task.result() for task in tasks}
        assert {200, 400, 404} <= seen
        assert all(s is None or s in {100, 200} or 400 <= s < 500 for s in seen), seen
        assert (await post(url, FINISH)).text == "SUCCESS"
        assert not wrong
        assert [r for r in caplog.records if r.levelno >= logging.ERROR] == []

    play(own_server, test)


def words(rng):
    """A value that JSON could have in it, or could not."""
    return rng.choice(
        [
            None,
            True,
            rng.random() * 10 ** rng.randrange(300),
            rng.randbytes(rng.randrange(9)).decode("latin-1"),
            "\ud800",
            "😀" * rng.randrange(2000),
            [[]] * rng.randrange(3),
            {"instanceId": "in2"},
            "FINISH",
        ]
    )


@pytest.mark.parametrize("seed", range(3))
def test_any_body_at_any_path_is_200_or_4xx(face, seed, caplog):
    rng = random.Random(seed)

    async def test(receiver):
        woken = []
        url = receiver.expect(woken.append).url
        seen = []
        for _ in range(100):
            fields = {
                rng.choice(["instanceId", "modelId", "status", "x"]): words(rng)
                for _ in range(rng.randrange(5))
            }
            body = json.dumps(fields).encode()[: rng.choice([None, None, 9, 4096])]
            tail = rng.choice(["", "", "", "%2F", "%00", "%c3%28", "?a=b", "//", ";x"])
            seen.append((await post(url + tail, body)).status)
        assert set(seen) <= {200, 400, 404, 413}
        assert seen.count(200) == len(woken) > 0
        assert [r for r in caplog.records if r.levelno >= logging.ERROR] == []

    play(face, test)


def test_who_leaves_in_the_middle_leaves_no_trace(face, caplog):
    async def test(receiver):
        wrong = []
        asyncio.get_running_loop().set_exception_handler(lambda _, c: wrong.append(c))
        url = receiver.expect(lambda _: None).url
        for way in beginnings(url):
            for reset in (False, True):
                _, writer = await asyncio.open_connection(*address(url))
                writer.write(beginnings(url)[way][0])
                await asyncio.sleep(0.02)
                if reset:
                    writer.transport.abort()
                writer.close()
        await asyncio.sleep(0.1)
        assert (await say(url, request(url, b'{"instanceId": "in1"}'))).status == 200
        assert not wrong
        assert [r for r in caplog.records if r.levelno >= logging.ERROR] == []

    play(face, test)


def test_slow_senders_do_not_hold_up_the_end(caplog):
    async def main():
        senders = []
        async with own_server() as receiver:
            url = receiver.expect(lambda _: None).url
            for first, _ in list(beginnings(url).values()) * 10:
                reader, writer = await asyncio.open_connection(*address(url))
                writer.write(first)
                senders.append((reader, writer))
            await asyncio.sleep(0.2)
            began = asyncio.get_running_loop().time()
        assert asyncio.get_running_loop().time() - began < the_server.READ_TIMEOUT - 1
        assert asyncio.all_tasks() == {asyncio.current_task()}
        for reader, writer in senders:
            assert await reader.read() == b""
            writer.close()
        assert [r for r in caplog.records if r.levelno >= logging.ERROR] == []

    asyncio.run(main())
