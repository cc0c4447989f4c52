"""A simulated platform on a socket and a thread of its own, and its `DPA_*`."""

import asyncio
import contextlib
import threading
from concurrent.futures import Future

from dpa_async.simulator import Simulator

TIMEOUT = 60.0


@contextlib.contextmanager
def served(*workflows, **options):
    """Give (simulator, environment)."""
    simulator = Simulator(workflows or None, **options)
    ready, stop = Future(), Future()

    async def serve():
        async with simulator:
            ready.set_result(simulator.settings())
            await asyncio.wrap_future(stop)

    def run():
        try:
            asyncio.run(serve())
        except BaseException as error:
            if not ready.done():
                ready.set_exception(error)
            raise

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield simulator, variables(ready.result(TIMEOUT))
    finally:
        stop.set_result(None)
        thread.join()


def variables(settings):
    return {
        "DPA_BASE_URL": settings.base_url,
        "DPA_CLIENT_ID": settings.client_id,
        "DPA_CLIENT_SECRET": settings.client_secret,
        "DPA_EXECUTE_URL": "/api/dpa/process/execute/{workflow_id}",
    }
