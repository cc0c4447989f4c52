"""A small HTTP server for callbacks alone, that strangers cannot fill up.

No connection lives longer than `READ_TIMEOUT` seconds, whether it says nothing at all,
or one byte a second in its head or in its body. A callback that is taken closes its
connection: the next one comes over another, and never over one that is cut just then.
What is refused may try again over the same, which costs less than a new one. Where more
than `MAX_CONNECTIONS` are open, the oldest is cut: real senders are done in a moment.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import cast

from aiohttp import web
from typing_extensions import override

from dpa_async.callbacks.expectations import without_words
from dpa_async.callbacks.over_aiohttp import answer
from dpa_async.callbacks.verdict import OK, READ_TIMEOUT, Judge
from dpa_async.checks import refuse

MAX_CONNECTIONS = 512
"""Half of the files that a process can usually have open."""

MAX_CONNECTION_BYTES = 32_768
"""How much of a connection is heard: many times a callback with its head."""

_BACKLOG = 1024
_SHUTDOWN_TIMEOUT = 0.5  # what is under way takes a moment, or is too slow anyway
_OWN_FAULT = 500

_log = logging.getLogger("dpa_async")

_Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Connections:
    """All that are open, the oldest first, each with the end of its time."""

    def __init__(self) -> None:
        self._cuts: dict[asyncio.Transport, asyncio.TimerHandle] = {}

    def opened(self, transport: asyncio.Transport) -> None:
        """Give a new connection its time; cut the oldest where there are too many."""
        if len(self._cuts) >= MAX_CONNECTIONS:
            oldest = next(iter(self._cuts))
            self.closed(oldest)
            oldest.abort()
        loop = asyncio.get_running_loop()
        self._cuts[transport] = loop.call_later(READ_TIMEOUT, transport.abort)

    def closed(self, transport: asyncio.Transport) -> None:
        """Forget a connection."""
        cut = self._cuts.pop(transport, None)
        if cut is not None:
            cut.cancel()


class _Connection(web.RequestHandler):
    __slots__ = ("_connections", "_counted", "room")

    def __init__(self, server: "_Server", connections: Connections) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            access_log=None,  # type: ignore[arg-type]
            auto_decompress=False,
        )
        self._connections = connections
        self.room = MAX_CONNECTION_BYTES
        self._counted: asyncio.Transport | None = None

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._counted = cast("asyncio.Transport", transport)
        self._connections.opened(self._counted)

    @override
    def data_received(self, data: bytes) -> None:
        heard = data[: self.room]
        self.room -= len(heard)
        if heard:  # the rest falls on deaf ears, until the time is over
            super().data_received(heard)

    @override
    def connection_lost(self, exc: BaseException | None) -> None:
        if self._counted is not None:
            self._connections.closed(self._counted)
        super().connection_lost(exc)

    @override
    def log_exception(self, *_: object, exc_info: BaseException, **__: object) -> None:
        """Log what went wrong here, without its words."""
        _log.error("a callback was not received: %s", without_words(exc_info))

    @override
    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what is no HTTP, and never quote it."""
        if status >= _OWN_FAULT and exc is not None:
            self.log_exception(exc_info=exc)
        response = web.Response(status=status)
        response.force_close()
        return response


class _Server(web.Server):
    def __init__(self, handler: _Handler) -> None:
        super().__init__(handler)
        self._crowd = Connections()

    @override
    def __call__(self) -> web.RequestHandler:
        return _Connection(self, self._crowd)


async def serve(
    stack: contextlib.AsyncExitStack, host: str, port: int, judge: Judge
) -> int:
    """Listen until the stack is closed; gives the port.

    Raises:
        ConfigurationError: The address cannot be listened on.
    """

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        if request.headers.get("Expect", "").lower() == "100-continue":
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            request.writer.output_size = 0
        response = await answer(request, judge)
        connection = cast("_Connection", request.protocol)
        if response.status == OK or connection.room < MAX_CONNECTION_BYTES // 2:
            response.force_close()
        return response

    runner = web.ServerRunner(_Server(handle), shutdown_timeout=_SHUTDOWN_TIMEOUT)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    try:
        await web.TCPSite(runner, host, port, backlog=_BACKLOG).start()
    except OSError as error:
        problem = error.strerror or type(error).__name__
    else:
        return cast("int", runner.addresses[0][1])
    return refuse("host", f"{host!r}, port {port} cannot be listened on: {problem}")
