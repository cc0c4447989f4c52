"""The HTTP face: the simulator on a real socket.

async with Simulator() as simulator:
    async with DPAClient(simulator.settings()) as client:
        ...
"""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Iterable
from datetime import UTC, datetime
from types import TracebackType
from typing import Self, cast

from aiohttp import ClientError, ClientSession, ClientTimeout, web
from typing_extensions import override

from dpa_async.simulator.behaviour import Behaviour
from dpa_async.simulator.courier import CallbackAttempt, Courier
from dpa_async.simulator.door import Delivery
from dpa_async.simulator.face import Face
from dpa_async.simulator.faults import Ending, FaultScript
from dpa_async.simulator.records import Request
from dpa_async.simulator.workflows import Duration, SimulatedWorkflow

_BACKLOG = 4096  # a benchmark's connections come all at once
_UNTIMED = ClientTimeout(total=None)  # the courier has a limit of its own
_PIECE = b" " * 65_536
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER on, for no time: RST, not FIN


class Simulator(Face):
    """A simulated platform on a socket; an async context manager.

    Without arguments it executes any workflow, in 0.2 seconds.

    Args:
        workflows: What there is to execute; None: anything.
        duration: Seconds a run takes where its workflow does not say.
        seed: Of every random choice.
        behaviour: What the platform does where its document is silent.
        faults: What goes wrong.
        host: The address to listen on.
        port: The port to listen on; 0: any that is free.
    """

    def __init__(
        self,
        workflows: Iterable[SimulatedWorkflow] | None = None,
        *,
        duration: Duration = 0.2,
        seed: int = 0,
        behaviour: Behaviour | None = None,
        faults: FaultScript | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        super().__init__(
            workflows,
            duration=duration,
            seed=seed,
            behaviour=behaviour,
            faults=faults,
            starts_at=datetime.now(UTC).timestamp(),
        )
        self._host = host
        self._port = port
        self._courier = Courier(self.platform, self.faults, self._clock, _post_callback)
        self._open: contextlib.AsyncExitStack | None = None
        self._handling: set[asyncio.Task[object]] = set()

    @property
    @override
    def url(self) -> str:
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}{self.platform.behaviour.prefix}"

    @property
    def callback_attempts(self) -> list[CallbackAttempt]:
        """Every attempt to deliver a callback that is over, in order."""
        return self._courier.attempts

    async def __aenter__(self) -> Self:
        """Listen.

        Raises:
            OSError: The address cannot be listened on.
        """
        async with contextlib.AsyncExitStack() as stack:
            courier = asyncio.create_task(self._courier.run())
            stack.push_async_callback(Courier.dismiss, courier)
            await self._listen(stack)
            self._open = stack.pop_all()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close every connection and end every task."""
        if self._open is not None:
            await self._open.aclose()

    async def _listen(self, stack: contextlib.AsyncExitStack) -> None:
        server = web.Server(self._handle, access_log=None)
        runner = web.ServerRunner(server, shutdown_timeout=1.0)
        await runner.setup()
        stack.push_async_callback(self._hang_up, server, runner)
        site = web.TCPSite(runner, self._host, self._port, backlog=_BACKLOG)
        await site.start()
        self._port = runner.addresses[0][1]

    async def _hang_up(self, server: web.Server, runner: web.ServerRunner) -> None:
        for site in runner.sites:
            await site.stop()
        # Taken first: a connection forgets its transport when its handler ends.
        transports = [connection.transport for connection in server.connections]
        await _end(self._handling)
        for transport in transports:
            if transport is not None:
                transport.abort()  # with all that its caller never read
        await runner.cleanup()

    async def _handle(self, raw: web.BaseRequest) -> web.StreamResponse:
        task = cast("asyncio.Task[object]", asyncio.current_task())
        self._handling.add(task)
        try:
            return await self._answer(raw)
        except ConnectionError:  # whoever asked has gone
            return web.Response()
        finally:
            self._handling.discard(task)

    async def _answer(self, raw: web.BaseRequest) -> web.StreamResponse:
        headers = {"authorization": raw.headers.get("Authorization", "")}
        request = Request(raw.method, raw.raw_path, headers, await raw.content.read())
        passage = self._door.enter(request)
        if passage.fault.delay:
            await asyncio.sleep(passage.fault.delay)
        delivery = passage.carry_out()
        if passage.interface == "execute":
            self._courier.wake()
        wait = delivery.at - self._clock.now()
        if wait > 0:
            await asyncio.sleep(wait)
        if delivery.ending is Ending.WHOLE:
            answer = delivery.answer
            return web.Response(
                status=answer.http_status, headers=answer.headers, body=answer.body
            )
        return await _spoilt(raw, delivery)


async def _spoilt(raw: web.BaseRequest, delivery: Delivery) -> web.StreamResponse:
    """End an exchange the way no server should."""
    if delivery.ending is Ending.STALLED:
        await asyncio.Event().wait()
    if delivery.ending is Ending.CUT:
        return await _cut_short(raw, delivery)
    if delivery.ending is Ending.ENDLESS:
        return await _endless(raw, delivery)
    _drop(raw, reset=delivery.ending is not Ending.CLOSED)
    return web.Response()  # goes nowhere: the connection is gone


async def _cut_short(raw: web.BaseRequest, delivery: Delivery) -> web.StreamResponse:
    answer = delivery.answer
    response = web.StreamResponse(status=answer.http_status, headers=answer.headers)
    response.content_length = len(answer.body)
    response.force_close()
    await response.prepare(raw)
    await response.write(answer.body[: delivery.cut_at])
    if raw.transport is not None:
        raw.transport.close()
    return response


async def _endless(raw: web.BaseRequest, delivery: Delivery) -> web.StreamResponse:
    response = web.StreamResponse(headers=delivery.answer.headers)
    response.enable_chunked_encoding()
    await response.prepare(raw)
    while True:  # until the client has enough, which raises a ConnectionError
        await response.write(_PIECE)


def _drop(raw: web.BaseRequest, *, reset: bool) -> None:
    transport = raw.transport
    if transport is None:  # the client was faster
        return
    if not reset:
        transport.close()
        return
    connection: socket.socket = transport.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    transport.abort()


async def _end(tasks: Iterable[asyncio.Task[object]]) -> None:
    """Cancel tasks and see them end."""
    ending = list(tasks)
    for task in ending:
        task.cancel()
    await asyncio.gather(*ending, return_exceptions=True)


async def _post_callback(url: str, payload: dict[str, str]) -> str:
    # A session for each: nothing to keep open between callbacks that are rare.
    try:
        async with (
            ClientSession(timeout=_UNTIMED) as session,
            session.post(url, json=payload, allow_redirects=False) as response,
        ):
            return await response.text()
    except (ClientError, ValueError) as error:
        raise OSError("the callback was not received") from error
