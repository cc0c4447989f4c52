"""Idle connections that spoke without being asked are not asked.

What comes on an idle connection answers nothing, and aiohttp would take it for the
answer to the next request (its issue 13656): the outputs of another run, say. So a
connection that was used before is looked at in the last moment before it is written
to. If anything came on it, an answer or its end, it is closed, and another one taken.
"""

import select
import weakref
from collections.abc import Callable
from typing import ClassVar

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from typing_extensions import override


class IdleConnectionSpoke(aiohttp.ClientConnectionError):
    """The connection was not written to: something had come on it unasked."""


class PoliteRequest(aiohttp.ClientRequest):
    """A request that hears an idle connection out before it speaks."""

    _used: ClassVar["weakref.WeakSet[ResponseHandler]"] = weakref.WeakSet()

    @override
    async def send(self, conn: Connection) -> aiohttp.ClientResponse:
        """Write the request, unless something came on the connection before it.

        Raises:
            IdleConnectionSpoke: Something did; the connection is to be closed.
        """
        protocol = conn.protocol
        if protocol is not None:
            if protocol in self._used and _spoke(protocol):
                raise IdleConnectionSpoke
            self._used.add(protocol)
        return await super().send(conn)


def _spoke(protocol: ResponseHandler) -> bool:
    """Tell whether anything came, whether or not the event loop has read it."""
    if protocol.should_close or protocol.transport is None:
        return True
    sock = protocol.transport.get_extra_info("socket")
    return sock is not None and _is_readable(sock.fileno())


def _polled(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))


def _selected(descriptor: int) -> bool:
    return bool(select.select([descriptor], [], [], 0)[0])


# select() cannot take the thousandth file on most systems, and Windows has no poll().
_is_readable: Callable[[int], bool] = _polled if hasattr(select, "poll") else _selected
