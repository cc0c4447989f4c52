"""Sending again: what may be, when, and how often.

What certainly was not carried out is sent again, whatever it is; what may have been
only where it is repeatable. A budget keeps an outage from multiplying the requests, and
a platform that asks to be left alone is left alone by the whole client.
"""

import asyncio
import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import backoff

from dpa_async.errors import (
    DPAError,
    ServerError,
    TransportError,
    UnexpectedResponseError,
)
from dpa_async.settings import Settings
from dpa_async.transport.exchange import Backend, Departure, exchange
from dpa_async.transport.limits import Limiter
from dpa_async.wire.http_headers import refused_for
from dpa_async.wire.messages import Reply, Request

_T = TypeVar("_T")

_REPEATS = 4
_FIRST_WAIT = 0.2
_LONGEST_WAIT = 5.0
_SHORTEST_WAIT = 0.05
_LONGEST_PAUSE = 60.0
_BAD_GATEWAYS = frozenset({500, 502, 503, 504})


class RetryBudget:
    """Repeats that a client has left: every request earns a tenth of one.

    So an outage adds at most a tenth to the requests, beyond a small reserve that lets
    a client with little to do ride out a blip.
    """

    earned = 0.1
    reserve = 10.0

    def __init__(self) -> None:
        self._left = self.reserve

    def earn(self) -> None:
        """Count a request that was not a repeat."""
        self._left = min(self._left + self.earned, self.reserve)

    def spend(self) -> bool:
        """Take one repeat; False where none is left."""
        if self._left < 1:
            return False
        self._left -= 1
        return True


def _expo() -> Iterable[float | None]:
    return backoff.expo(base=2, factor=_FIRST_WAIT, max_value=_LONGEST_WAIT)


def retry_waits() -> Iterator[float]:
    """Give the seconds before each repeat: exponential, full jitter, with a floor."""
    waits = _expo()
    primed = (wait for wait in waits if wait is not None)  # backoff 2 begins with None
    for wait in itertools.islice(primed, _REPEATS):
        yield max(_SHORTEST_WAIT, backoff.full_jitter(wait))


class Transport:
    """Carries requests to their answers.

    Args:
        settings: Limits and time-outs.
        backend: What sends one request; closed by whoever made it.
    """

    def __init__(self, settings: Settings, backend: Backend) -> None:
        self._backend = backend
        self._timeout = settings.request_timeout
        self._limiter = Limiter(settings.limits)
        self._budget = RetryBudget()

    async def call(
        self,
        request: Request,
        read: Callable[[Request, Reply], _T],
        departure: Departure | None = None,
    ) -> _T:
        """Send a request, again where that is safe and useful, and read its answer.

        Args:
            request: What is sent.
            read: Makes something of the answer, or raises.
            departure: Tells whether the request is out there, for whoever has to know.

        Raises:
            TransportError: There was no answer.
            APIError: The platform said no.
            UnexpectedResponseError: The answer is not one of the platform's.
        """
        departure = departure or Departure()
        self._budget.earn()
        waits = retry_waits()
        while True:
            try:
                return read(request, await self._once(request, departure))
            except DPAError as error:
                problem = error
            wait = next(waits, None) if self._may_repeat(request, problem) else None
            if wait is None or departure.abandoned:
                raise problem
            departure.left = False
            await asyncio.sleep(wait)

    async def _once(self, request: Request, departure: Departure) -> Reply:
        async with self._limiter.place(request.budget):
            await self._limiter.pace.turn(request.budget)
            reply = await exchange(
                self._backend, request, departure, timeout=self._timeout
            )
        pause = refused_for(reply)
        if pause is None:
            return reply
        pause = min(pause, _LONGEST_PAUSE)
        self._limiter.pace.pause(pause)
        raise UnexpectedResponseError(
            request.operation,
            f"too many requests: it asks to be left alone for {pause:g} s",
            http_status=reply.status,
            retry_after=pause,
        )

    def _may_repeat(self, request: Request, problem: DPAError) -> bool:
        match problem:
            case UnexpectedResponseError(retry_after=float()):
                return True  # turned away, told when to come again: no repeat to save
            case TransportError(permanent=False, request_sent=sent):
                safe = request.repeatable or not sent
            case UnexpectedResponseError(http_status=status):
                safe = request.repeatable and status in _BAD_GATEWAYS
            case ServerError():
                safe = request.repeatable
            case _:
                safe = False
        return safe and self._budget.spend()
