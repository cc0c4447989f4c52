"""The thread face: a simulator that serves beside what its caller does.

with serving(Simulator()) as simulator:
    subprocess.run(program, env={**os.environ, **simulator.environment()})
"""

import asyncio
from collections.abc import Generator
from concurrent.futures import Future
from contextlib import AsyncExitStack, contextmanager
from threading import Thread

from dpa_async.simulator.web import Simulator


@contextmanager
def serving(simulator: Simulator) -> Generator[Simulator]:
    """Have a simulator serve on a thread and an event loop of its own.

    Whoever runs the block may have an event loop or not, or wait for a process. Faults
    may be added and the ledger be read from there; what needs the loop's time, as
    `now` does, cannot be asked.

    Args:
        simulator: Not entered yet; it is closed when the block is left.

    Yields:
        The same simulator, listening.

    Raises:
        OSError: The address cannot be listened on.
    """
    ready: Future[None] = Future()
    stop: Future[None] = Future()
    thread = Thread(
        target=asyncio.run, args=(_serve(simulator, ready, stop),), daemon=True
    )
    thread.start()
    try:
        ready.result()
        yield simulator
    finally:
        stop.set_result(None)
        thread.join()


async def _serve(simulator: Simulator, ready: Future[None], stop: Future[None]) -> None:
    async with AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(simulator)
        except Exception as error:  # noqa: BLE001 - raised to whoever waits for it
            ready.set_exception(error)
            return
        ready.set_result(None)
        await asyncio.wrap_future(stop)
