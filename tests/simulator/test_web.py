"""What only the HTTP face has: sockets, and leaving nothing behind."""

import asyncio
import io
import logging
import socket

import aiohttp
import pytest

from dpa_async.simulator import Fault, Simulator

REQUEST = b"POST /api/dpa/process/processModel/listAll HTTP/1.1\r\nHost: x\r\n"
REQUEST += b"Content-Length: 2\r\n\r\n{}"


def debug_run(main):
    """Run in asyncio's debug mode, where what is left behind complains."""
    return asyncio.run(main, debug=True)


async def raw(simulator):
    """Send one request by hand and give all that comes back."""
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", int(simulator.url.rpartition(":")[2])
    )
    try:
        writer.write(REQUEST)
        return await reader.read()
    finally:
        writer.transport.abort()


def open_sockets():
    """How many sockets the loop watches, its own aside."""
    return len(asyncio.get_running_loop()._selector.get_map()) - 1


async def refuses(port):
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionRefusedError:
        return True
    writer.transport.abort()
    return False


def test_without_arguments_it_is_useful():
    async def main():
        async with Simulator() as simulator:
            settings = simulator.settings()
            assert settings.base_url == simulator.url
            assert simulator.url.startswith("http://127.0.0.1:")
            assert any(char in settings.client_secret for char in "+/=")

    debug_run(main())


def test_nothing_is_left_behind():
    async def main():
        async with Simulator() as simulator, aiohttp.ClientSession() as session:
            port = int(simulator.url.rpartition(":")[2])
            for _ in range(3):
                async with session.get(simulator.url) as response:
                    assert response.status == 404
        assert await refuses(port)
        assert open_sockets() == 0
        assert asyncio.all_tasks() == {asyncio.current_task()}

    debug_run(main())


@pytest.mark.parametrize(
    "fault",
    [
        Fault.stall(),
        Fault.latency(3600),
        Fault.slow_answer(3600),
        Fault.endless(),
        Fault.garbage(b" " * 50_000_000),
    ],
    ids=repr,
)
def test_leaving_cuts_off_who_is_still_served(fault, caplog):
    async def main():
        async with Simulator() as simulator:
            simulator.faults.add("listAll", fault)
            port = int(simulator.url.rpartition(":")[2])
            caller.connect(("127.0.0.1", port))
            caller.sendall(REQUEST)  # and never reads
            while not simulator.faults.struck:  # noqa: ASYNC110 - not ours to signal
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.1)  # an endless answer fills what can be filled
            assert open_sockets() == 2
        assert open_sockets() == 0
        assert asyncio.all_tasks() == {asyncio.current_task()}

    with socket.socket() as caller:
        debug_run(main())
    assert not [r for r in caplog.records if r.levelno >= logging.ERROR]


def test_a_reset_is_a_reset_and_a_close_a_close():
    async def main():
        async with Simulator() as simulator:
            simulator.faults.add("listAll", Fault.reset(), calls={1})
            simulator.faults.add("listAll", Fault.closed(), calls={2})
            with pytest.raises(ConnectionResetError):
                await raw(simulator)
            assert await raw(simulator) == b""

    debug_run(main())


def test_an_answer_is_cut_where_it_was_told_to_be():
    async def main():
        async with Simulator() as simulator:
            simulator.faults.add("listAll", Fault.answer_cut(12))
            head, _, body = (await raw(simulator)).partition(b"\r\n\r\n")
            assert body == b'{"code":403,'
            length = head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0]
            assert int(length) > 12

    debug_run(main())


def test_an_endless_body_goes_on_until_the_reader_has_enough(caplog):
    async def main():
        async with Simulator() as simulator:
            simulator.faults.add("listAll", Fault.endless())
            async with aiohttp.ClientSession() as session:
                path = "/api/dpa/process/processModel/listAll"
                async with session.post(simulator.url + path, json={}) as response:
                    assert len(await response.content.readexactly(3_000_000)) == 3e6
                    response.close()
                await asyncio.sleep(0.05)
            assert not simulator.platform.requests

    debug_run(main())
    assert not [r for r in caplog.records if r.levelno >= logging.ERROR]


@pytest.mark.parametrize("sent", [10, len(REQUEST) - 1, len(REQUEST)])
def test_a_caller_may_leave_at_any_moment(sent, caplog):
    async def main():
        async with Simulator() as simulator:
            simulator.faults.add("listAll", Fault.slow_answer(0.1))
            for _ in range(20):
                _, writer = await asyncio.open_connection(
                    "127.0.0.1", int(simulator.url.rpartition(":")[2])
                )
                writer.write(REQUEST[:sent])
                await asyncio.sleep(0.01)
                writer.transport.abort()
            await asyncio.sleep(0.2)

    debug_run(main())
    assert not [r for r in caplog.records if r.levelno >= logging.ERROR]


def test_a_long_body_is_taken():
    async def main():
        async with Simulator() as simulator, aiohttp.ClientSession() as session:
            url = simulator.execute_url("wf")
            async with session.post(url, data=io.BytesIO(b" " * 3_000_000)) as response:
                assert (await response.json())["code"] == 403

    debug_run(main())


def test_hundreds_at_once():
    async def main():
        async with (
            Simulator(duration=0.01) as simulator,
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session,
        ):
            simulator.faults.add("execute", Fault.latency(0.5))  # all of them wait

            async def one(n):
                url = simulator.execute_url(f"wf{n}")
                async with session.post(url, json={}) as response:
                    return (await response.json())["code"]

            codes = await asyncio.gather(*map(one, range(400)))
            assert codes == [403] * 400
            assert simulator.faults.calls == {"execute": 400}

    asyncio.run(main())


def test_many_requests_on_one_connection():
    async def main():
        async with (
            Simulator() as simulator,
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as session,
        ):
            for _ in range(50):
                async with session.get(simulator.url + "/x") as response:
                    assert (await response.json())["code"] == 404
            assert simulator.platform.requests == {"unknown": 50}

    debug_run(main())


def test_a_port_of_ones_own_choice():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    async def main():
        async with Simulator(port=port) as simulator:
            assert simulator.url == f"http://127.0.0.1:{port}"
            assert not await refuses(port)

    debug_run(main())


def test_a_port_that_is_taken():
    async def main():
        async with Simulator() as first:
            port = int(first.url.rpartition(":")[2])
            with pytest.raises(OSError, match="address already in use"):
                await Simulator(port=port).__aenter__()
            assert not await refuses(port)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    debug_run(main())


def test_an_ipv6_host_stands_in_brackets():
    assert Simulator(host="::1", port=80).url == "http://[::1]:80"


def test_the_clock_is_about_right():
    async def main():
        async with Simulator() as simulator, aiohttp.ClientSession() as session:
            before = simulator.now()
            async with session.get(simulator.url) as response:
                assert response.headers["Date"].endswith(" GMT")
            assert simulator.now() > before > 1_700_000_000

    debug_run(main())
