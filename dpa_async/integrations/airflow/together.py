"""What all triggers of a triggerer share: one client and one runner per connection.

A triggerer runs its triggers in one event loop. Here each of them joins what the others
use, so that one token serves them all, and one list looks after all their runs.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Self
from weakref import WeakKeyDictionary

from dpa_async.client import DPAClient
from dpa_async.listing import Listing
from dpa_async.runner import Runner
from dpa_async.settings import Settings
from dpa_async.sharing import Owner
from dpa_async.waiting import Lists, WaitPolicy

_LINGER = 30.0
"""Seconds that it is kept when the last has left: others tend to come."""


class Together:
    """What the triggers of one connection share in one event loop.

    Args:
        settings: Which platform, and who we are.

    Attributes:
        client: The platform.
        runner: Waits for runs, all at once.
        listing: Waits until workflows are free.
        users: How many use it.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.client = DPAClient(settings)
        self.runner = Runner(self.client)
        self._owner = Owner()
        self.listing = Listing(Lists(self.client), WaitPolicy(), self._owner)
        self.users = 0
        self._leaving: asyncio.TimerHandle | None = None
        self._closing: asyncio.Task[None] | None = None
        self._guard = self._until_closed()

    async def open(self) -> Self:
        """See that it is closed with the event loop at the latest.

        A loop that ends runs no timer any more, but it closes asynchronous generators.
        """
        await anext(self._guard)
        return self

    def join(self) -> Self:
        """Count one more who uses it."""
        self.users += 1
        if self._leaving is not None:
            self._leaving.cancel()
            self._leaving = None
        return self

    def leave(self, linger: float) -> None:
        """Count one less; when nobody is left it is closed, some seconds later."""
        self.users -= 1
        if not self.users:
            loop = asyncio.get_running_loop()
            self._leaving = loop.call_later(linger, self._close)

    def _close(self) -> None:
        _of_loop().forget(self)
        self._closing = asyncio.ensure_future(self._guard.aclose())

    async def _until_closed(self) -> AsyncGenerator[None]:
        try:
            yield
        finally:
            await self._owner.close()
            await self.client.aclose()


class _OfLoop:
    """What is shared in one event loop, by the connection's name."""

    def __init__(self) -> None:
        self._kept: dict[str, Together] = {}

    async def join(self, name: str, settings: Settings) -> Together:
        """Join what is there, unless the connection was edited since."""
        kept = self._kept.get(name)
        if kept is None or kept.settings != settings:
            kept = self._kept[name] = Together(settings)
            kept.join()  # before anything is awaited
            return await kept.open()
        return kept.join()

    def forget(self, gone: Together) -> None:
        self._kept = {n: kept for n, kept in self._kept.items() if kept is not gone}


_LOOPS: "WeakKeyDictionary[asyncio.AbstractEventLoop, _OfLoop]" = WeakKeyDictionary()


def _of_loop() -> _OfLoop:
    return _LOOPS.setdefault(asyncio.get_running_loop(), _OfLoop())


@asynccontextmanager
async def together(
    name: str, settings: Settings, *, linger: float = _LINGER
) -> AsyncGenerator[Together]:
    """Use what is shared under a connection's name in this event loop.

    Args:
        name: The connection's.
        settings: What the connection says now.
        linger: Seconds that it is kept when the last has left.

    Raises:
        ConfigurationError: The settings cannot be used.
    """
    shared = await _of_loop().join(name, settings)
    try:
        yield shared
    finally:
        shared.leave(linger)
