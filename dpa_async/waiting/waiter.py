"""What one who waits for the end of a run holds."""

import asyncio
from typing import Protocol

from typing_extensions import override

from dpa_async.waiting.watch import End


class Awaited(Protocol):
    """What is waited for."""

    def leave(self, waiter: "Waiter") -> None:
        """Take note that somebody does not wait any more."""
        ...


class Waiter(asyncio.Future[End]):
    """A future of the end; that it is cancelled is told at once.

    A callback would tell it as well, later, and cost more than the future itself.

    Args:
        awaited: What is told.
    """

    __slots__ = ("_awaited",)

    def __init__(self, awaited: Awaited) -> None:
        super().__init__(loop=asyncio.get_running_loop())
        self._awaited = awaited

    @override
    def cancel(self, msg: object = None) -> bool:
        was_pending = super().cancel(msg)
        if was_pending:
            self._awaited.leave(self)
        return was_pending
