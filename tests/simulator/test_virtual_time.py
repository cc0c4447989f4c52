"""The loop whose clock jumps."""

import asyncio
import os
import signal
import socket
import threading
import time

import pytest

from dpa_async.simulator.virtual_time import VirtualTimeLoop, run


def now():
    return asyncio.get_running_loop().time()


def test_sleeping_takes_no_time_and_the_right_time():
    async def main():
        start = now()
        await asyncio.sleep(86_400 * 365)
        return now() - start

    before = time.monotonic()
    assert run(main()) == pytest.approx(86_400 * 365)
    assert time.monotonic() - before < 86_400


def test_timers_go_off_in_order():
    async def main():
        start, order = now(), []

        async def one(delay):
            await asyncio.sleep(delay)
            order.append((delay, round(now() - start, 6)))

        await asyncio.gather(*map(one, [5, 0.25, 3600, 1, 0]))
        return order

    assert run(main()) == [(d, d) for d in [0, 0.25, 1, 5, 3600]]


def test_what_is_ready_runs_before_time_passes():
    async def main():
        start = now()
        asyncio.get_running_loop().call_later(0.001, steps.append, "timer")
        for _ in range(1000):
            await asyncio.sleep(0)
        steps.append("ready")
        assert now() == start
        await asyncio.sleep(1)

    steps = []
    run(main())
    assert steps == ["ready", "timer"]


def test_a_timeout_ends_what_never_ends():
    async def main():
        start = now()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(30):
                await asyncio.Event().wait()
        return now() - start

    assert run(main()) == pytest.approx(30)


def test_two_runs_are_the_same():
    async def main():
        moments = []
        for n in range(100):
            await asyncio.sleep(1 / (n + 1))
            moments.append(now())
        return moments

    assert run(main()) == run(main())


def test_a_deadlock_is_named():
    async def main():
        await asyncio.Event().wait()

    with pytest.raises(RuntimeError, match="deadlock"):
        run(main())


def test_a_deadlock_cancels_the_tasks_that_wait():
    ended = []

    async def waits():
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    async def main():
        async with asyncio.TaskGroup() as group:
            group.create_task(waits())

    with pytest.raises(RuntimeError, match="deadlock"):
        run(main())
    assert ended == [True]


def test_an_executor_is_waited_for_while_time_stands_still():
    release = threading.Event()

    async def main():
        loop = asyncio.get_running_loop()
        start = now()
        loop.call_soon(release.set)
        async with asyncio.timeout(0.5):  # virtual: half a second never passes
            answer = await asyncio.to_thread(work)
        return answer, now() - start

    def work():
        release.wait()
        for _ in range(10):
            os.getpid()
        return 42

    assert run(main()) == (42, 0)


def test_an_executor_that_fails_lets_time_go_on():
    async def main():
        with pytest.raises(ZeroDivisionError):
            await asyncio.to_thread(lambda: 1 / 0)
        start = now()
        await asyncio.sleep(60)
        return now() - start

    assert run(main()) == pytest.approx(60)


def test_an_executor_that_is_shut_lets_time_go_on():
    async def main():
        loop = asyncio.get_running_loop()
        await loop.shutdown_default_executor()
        with pytest.raises(RuntimeError, match="shutdown"):
            loop.run_in_executor(None, os.getpid)
        start = now()
        await asyncio.sleep(60)
        return now() - start

    assert run(main()) == pytest.approx(60)


def test_a_thread_of_ones_own_is_not_a_deadlock():
    async def main():
        loop = asyncio.get_running_loop()
        woken = asyncio.Event()
        armed = threading.Event()

        def work():
            armed.wait()
            loop.call_soon_threadsafe(woken.set)

        thread = threading.Thread(target=work)
        thread.start()
        loop.call_soon(armed.set)
        await woken.wait()
        thread.join()
        return True

    assert run(main())


def test_a_grace_lets_threads_be_first():
    async def main():
        loop = asyncio.get_running_loop()
        woken = asyncio.Event()
        thread = threading.Thread(target=loop.call_soon_threadsafe, args=(woken.set,))
        loop.call_soon(thread.start)
        start = now()
        async with asyncio.timeout(1):
            await woken.wait()
        thread.join()
        return now() - start

    assert run(main(), thread_grace=10) == 0


def test_sockets_work():
    async def main():
        async def echo(reader, writer):
            writer.write(await reader.readline())
            writer.close()

        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"hello\n")
            answer = await reader.read()
            writer.close()
            await writer.wait_closed()
        return answer

    assert run(main()) == b"hello\n"


def test_signals_arrive():
    async def main():
        loop = asyncio.get_running_loop()
        stopped = asyncio.Event()
        loop.add_signal_handler(signal.SIGUSR1, stopped.set)
        one, other = socket.socketpair()  # something real to wait for
        one.setblocking(False)
        waiting = asyncio.create_task(loop.sock_recv(one, 1))
        loop.call_soon(os.kill, os.getpid(), signal.SIGUSR1)
        await stopped.wait()
        other.send(b"x")
        assert await waiting == b"x"
        one.close()
        other.close()
        loop.remove_signal_handler(signal.SIGUSR1)

    run(main())


def test_time_can_be_made_to_stand_still():
    async def main():
        loop = asyncio.get_running_loop()
        start = now()
        with loop.standing_still():
            await loop.run_in_executor(None, time.monotonic)
            assert now() == start
        await asyncio.sleep(1)
        return now() - start

    assert run(main()) == pytest.approx(1)


def test_debug_mode_is_handed_on():
    async def main():
        return asyncio.get_running_loop().get_debug()

    assert run(main(), debug=True)
    assert not run(main())


def test_the_loop_is_of_its_own_kind():
    async def main():
        return type(asyncio.get_running_loop())

    assert run(main()) is VirtualTimeLoop


def test_an_exception_comes_through():
    async def main():
        await asyncio.sleep(1)
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        run(main())
