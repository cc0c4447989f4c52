"""One HTTP exchange, and the verdict on what became of it.

Every exchange ends in one of three ways: it was answered; it was not sent, for certain;
or it may have been carried out. When the request's head left tells the last two apart.
The class of an exception does not: a reset before the server read the request and one
after it carried it out look the same.
"""

import asyncio
import math
import ssl
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Protocol, TypeAlias

from attrs import define, evolve

from dpa_async.errors import TransportError
from dpa_async.wire.envelope import unexpected
from dpa_async.wire.messages import Reply, Request

_SPARE = 1.0
"""Seconds before a deadline by which an answer that is held has to be there."""

RawReply: TypeAlias = tuple[int, Mapping[str, str], bytes]
"""HTTP's status, headers by lower-case name, the body."""


class Backend(Protocol):
    """The seam: one raw exchange, plain values only.

    Below it is aiohttp, or a platform in memory. It sends once, follows no redirect and
    decompresses nothing.
    """

    async def exchange(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None,
        *,
        on_sent: Callable[[], None],
        own_connection: bool,
        max_body_bytes: int,
    ) -> RawReply:
        """Send one request and read its answer.

        Args:
            method: GET or POST.
            url: Complete, percent-encoded.
            headers: Every header that matters.
            body: The body, or None.
            on_sent: Called before the first byte of the head can leave.
            own_connection: Whether it needs a connection that nobody used before.
            max_body_bytes: What is read of an answer; one byte more tells that there
                was more.

        Raises:
            OSError: There is no answer; its words are fit to be shown.
        """
        ...

    async def aclose(self) -> None:
        """Close what the backend opened; raises nothing."""
        ...


@define
class Departure:
    """Whether a request is out there: its head left, and no answer came back yet.

    Attributes:
        left: Whether the request is out there.
        left_at: When its head left the last time.
        left_on: The loop's time then; None: it did not leave yet.
        hold: Seconds for which its answer may be held.
        abandoned: Whether nobody wants it any more: what is out is finished, but
            nothing is sent again.
        deadline: Whoever waits gives up at this time of the loop: until then what was
            certainly not carried out is tried again; None: a few times.
        note: Awaited when it has its turn, before it leaves; what this raises keeps it
            here.
        take_back: Awaited when it certainly was not carried out, before it waits to be
            sent again.
        held_for: Makes the request with its answer held for so many seconds, or not.
    """

    left: bool = False
    left_at: datetime | None = None
    left_on: float | None = None
    hold: float = 0.0
    abandoned: bool = False
    deadline: float | None = None
    note: Callable[[], Awaitable[None]] | None = None
    take_back: Callable[[], Awaitable[None]] | None = None
    held_for: Callable[[int | None], Request] | None = None

    def age(self) -> float | None:
        """Give the seconds since the head left the last time; None: it did not."""
        if self.left_on is None:
            return None
        return asyncio.get_running_loop().time() - self.left_on

    def longest_hold(self, wanted: float) -> int | None:
        """Give the seconds for which an answer can be held now; None: not at all."""
        hold = math.ceil(wanted)
        if self.deadline is not None:
            left = self.deadline - asyncio.get_running_loop().time()
            hold = min(hold, math.floor(left - _SPARE))
        return hold if hold >= 1 else None

    def in_time(self, request: Request) -> Request:
        """Give what leaves now: what waited for its turn is held for less."""
        hold = self.longest_hold(request.hold) if request.hold else None
        if self.held_for is None or (hold or 0) == request.hold:
            return request
        self.hold = hold or 0
        return evolve(request, body=self.held_for(hold).body, hold=self.hold)

    def abandon(self) -> bool:
        """Give the request up; tells whether it is out, and has to be finished."""
        self.abandoned = True
        return self.left


async def exchange(
    backend: Backend, request: Request, departure: Departure, *, timeout: float
) -> Reply:
    """Send a request once, and read its answer.

    Args:
        backend: What sends it.
        request: What is sent.
        departure: Told when the request's head leaves, and when it was answered.
        timeout: Seconds for all of it.

    Raises:
        TransportError: There was no answer; `request_sent` is the verdict.
        UnexpectedResponseError: The answer is longer than the request allows.
    """
    departure.left = False

    def on_sent() -> None:
        departure.left = True
        departure.left_at = datetime.now(UTC)
        departure.left_on = asyncio.get_running_loop().time()

    timer = asyncio.timeout(timeout)
    try:
        async with timer:
            status, headers, body = await backend.exchange(
                request.method,
                request.url,
                request.headers,
                request.body,
                on_sent=on_sent,
                own_connection=request.own_connection,
                max_body_bytes=request.max_body_bytes,
            )
    except OSError as error:
        reason = f"no answer in {timeout:g} s" if timer.expired() else str(error)
        permanent = isinstance(error, ssl.SSLCertVerificationError)
    else:
        departure.left = False
        reply = Reply(status, headers, body)
        if len(body) > request.max_body_bytes:
            unexpected(request, reply, f"longer than {request.max_body_bytes} bytes")
        return reply
    # Raised out here, so that no foreign exception with headers in it hangs on.
    raise TransportError(
        request.operation, reason, request_sent=departure.left, permanent=permanent
    )
