"""The process face: a simulator that serves until it is told to stop."""

import asyncio
import contextlib
import os
import signal
import sys
import threading

from dpa_async.simulator.web import Simulator
from dpa_async.simulator.workflows import Duration


async def serve(simulator: Simulator, *, exit_with_stdin: bool = False) -> None:
    """Listen, say where on one line of stdout, and serve until SIGINT or SIGTERM.

    Args:
        simulator: Not entered yet.
        exit_with_stdin: Also stop when standard input ends, so that whoever started
            the process and holds the other end of its pipe never leaves it behind.

    Raises:
        OSError: The address cannot be listened on.
    """
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    if exit_with_stdin:
        threading.Thread(target=_watch_stdin, args=(loop, stop), daemon=True).start()
    async with simulator:
        sys.stdout.write(f"dpa simulator listening on {simulator.url}\n")
        sys.stdout.flush()
        await stop.wait()


def main(
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    duration: Duration = 0.2,
    seed: int = 0,
    exit_with_stdin: bool = False,
) -> int:
    """Serve an open platform as a process of its own.

    Returns:
        The process's exit code: 0, or 1 where the address cannot be listened on.
    """
    simulator = Simulator(duration=duration, seed=seed, host=host, port=port)
    try:
        asyncio.run(serve(simulator, exit_with_stdin=exit_with_stdin))
    except OSError as error:
        sys.stderr.write(f"dpa simulator: {error}\n")
        return 1
    return 0


def _watch_stdin(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    """Read standard input away; at its end, stop.

    A thread, as not every kind of standard input can be watched by an event loop; and
    `os.read`, as a daemon thread inside `sys.stdin` breaks the interpreter's exit.
    """
    with contextlib.suppress(OSError):  # a standard input that is closed has ended
        while os.read(0, 4096):
            pass
    with contextlib.suppress(RuntimeError):  # the loop was faster
        loop.call_soon_threadsafe(stop.set)
