"""The three ways to reach a receiver, each over a real server and real sockets."""

import asyncio
import contextlib
import socket

import uvicorn
from aiohttp import web

from dpa_async.callbacks import CallbackReceiver


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


@contextlib.asynccontextmanager
async def own_server(**options):
    async with CallbackReceiver(**options) as receiver:
        yield receiver


@contextlib.asynccontextmanager
async def on_aiohttp(**options):
    port = free_port()
    receiver = CallbackReceiver(public_url=f"http://127.0.0.1:{port}", **options)
    app = web.Application()
    receiver.add_to(app)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, backlog=1024).start()
    try:
        async with receiver:
            yield receiver
    finally:
        await runner.cleanup()


class Server(uvicorn.Server):
    """Uvicorn in the loop of the test, whose signals are not its business."""

    @contextlib.contextmanager
    def capture_signals(self):
        yield


@contextlib.asynccontextmanager
async def serving(app, port, *, access_log=False, **options):
    """Serve an ASGI application with uvicorn."""
    config = uvicorn.Config(
        app,
        port=port,
        access_log=access_log,
        log_config=None,
        lifespan="on",
        timeout_graceful_shutdown=1,
        **options,
    )
    server = Server(config)
    task = asyncio.create_task(server.serve())
    while not server.started:
        assert not task.done(), task
        await asyncio.sleep(0.01)
    try:
        yield
    finally:
        server.should_exit = True
        await task


@contextlib.asynccontextmanager
async def on_uvicorn(**options):
    port = free_port()
    receiver = CallbackReceiver(None, public_url=f"http://127.0.0.1:{port}", **options)
    async with serving(receiver.asgi, port), receiver:
        yield receiver


FACES = {"own server": own_server, "aiohttp": on_aiohttp, "uvicorn": on_uvicorn}


def play(face, test, **options):
    """Run `test(receiver)` where it serves; see that no task is left of it."""

    async def main():
        async with asyncio.timeout(120), face(**options) as receiver:
            await test(receiver)
        left = asyncio.all_tasks() - {asyncio.current_task()}
        if left:  # a connection's task ends a tick after its connection
            await asyncio.wait(left, timeout=5)
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left, left

    asyncio.run(main())
