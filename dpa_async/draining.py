"""Leaving in good order when the process is told to: SIGINT and SIGTERM drain.

    async with Runner(client, journal=journal) as runner, draining(runner) as told:
        async for outcome in run_many(runner, requests):
            ...

The journal goes on from there; `told.is_set()` says whether a signal came.
"""

import asyncio
import signal
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

from dpa_async.sharing import Closeable

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@asynccontextmanager
async def draining(
    target: Closeable, *, signals: Sequence[signal.Signals] = _SIGNALS
) -> AsyncGenerator[asyncio.Event]:
    """Have the first of these signals close it; the next one does what it did.

    Closing a runner stops starting, finishes the POSTs that are out (5 s at most,
    beyond what their answers are held), journals them and detaches from what runs.
    Batches end, whoever waits is told. On the platform the runs go on, and with a
    journal the same call goes on with them later.

    Args:
        target: What is drained: a runner, or what has one and closes it.
        signals: What it is drained on.

    Yields:
        An event that is set by the signal.

    Raises:
        NotImplementedError: The event loop takes no signals: it is not the main
            thread's, or not on Unix.
    """
    loop = asyncio.get_running_loop()
    told = asyncio.Event()
    closing: set[asyncio.Task[None]] = set()

    def drain() -> None:
        for number in signals:
            loop.remove_signal_handler(number)
        told.set()
        closing.add(loop.create_task(target.aclose()))

    for number in signals:
        loop.add_signal_handler(number, drain)
    try:
        yield told
    finally:
        for number in signals:
            loop.remove_signal_handler(number)
        for task in closing:
            await task
