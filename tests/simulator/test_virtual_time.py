"""The loop whose clock jumps."""

import asyncio
import contextlib
import os
import signal
import socket
import threading
import time

import pytest

from dpa_async.simulator.virtual_time import VirtualTimeLoop, run


@contextlib.contextmanager
def waking_thread(wake):
    """A thread that wakes the loop, but not at once."""
    loop = asyncio.get_running_loop()

    def work():
        threading.Event().wait(0.05)
        with contextlib.suppress(RuntimeError):  # nobody waited: the loop is closed
            loop.call_soon_threadsafe(wake)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        thread.join()


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
        woken = asyncio.Event()
        with waking_thread(woken.set):
            await woken.wait()
        return True

    assert run(main())


def test_a_grace_lets_threads_be_first():
    async def main():
        woken = asyncio.Event()
        start = now()
        with waking_thread(woken.set):
            async with asyncio.timeout(1):
                await woken.wait()
        return now() - start

    assert run(main(), thread_grace=10) == 0
    with pytest.raises(TimeoutError):
        run(main())


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


def test_what_may_come_over_a_wire_is_waited_for():
    async def main():
        loop = asyncio.get_running_loop()
        one, other = socket.socketpair()
        one.setblocking(False)
        loop.add_signal_handler(signal.SIGALRM, other.send, b"x")
        signal.setitimer(signal.ITIMER_REAL, 0.05)  # no thread, no timer of the loop
        received = await loop.sock_recv(one, 1)
        loop.remove_signal_handler(signal.SIGALRM)
        one.close()
        other.close()
        return received

    assert threading.active_count() == 1
    assert run(main()) == b"x"


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
