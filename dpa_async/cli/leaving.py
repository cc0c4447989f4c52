"""Ctrl-C: once drains and says so, twice leaves at once."""

import asyncio
import os
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from dpa_async.cli.exits import Exit
from dpa_async.cli.printing import tell
from dpa_async.draining import draining
from dpa_async.runner import Runner

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@asynccontextmanager
async def leaving(runner: Runner, again: str) -> AsyncGenerator[asyncio.Event]:
    """Have Ctrl-C drain the runner and say so; the next one leaves at once.

    Args:
        runner: What is drained; its journal goes on from wherever it is left.
        again: The command that goes on.

    Yields:
        An event that is set by Ctrl-C, or by SIGTERM.
    """
    async with draining(runner) as told:
        watching = asyncio.create_task(_watch(told, again))
        try:
            yield told
        finally:
            if told.is_set():  # here, where the next Ctrl-C still leaves at once
                await runner.aclose()
            watching.cancel()


async def _watch(told: asyncio.Event, again: str) -> None:
    await told.wait()
    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, _leave, again)
    tell(
        "dpa: interrupted: nothing more is started, and what is on its way out is "
        "finished; Ctrl-C again leaves at once"
    )


def _leave(again: str) -> None:
    """End the process as it stands: the journal is made for that."""
    tell(f"dpa: left at once; {again} goes on from here")
    os._exit(Exit.INTERRUPTED)
