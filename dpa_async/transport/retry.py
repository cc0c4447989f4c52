"""Sending again: what may be, when, and how often.

What certainly was not carried out is sent again, whatever it is; what may have been
only where it is repeatable. A budget keeps an outage from multiplying the requests, and
a platform that asks to be left alone is left alone by the whole client.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar

import backoff

from dpa_async.errors import (
    DPAError,
    ServerError,
    TransportError,
    UnexpectedResponseError,
)
from dpa_async.events import ExchangeObserver
from dpa_async.models import AccessToken
from dpa_async.settings import Settings
from dpa_async.transport.exchange import Backend, Departure, exchange
from dpa_async.transport.limits import Limiter
from dpa_async.transport.witness import witnessed
from dpa_async.wire.http_headers import refused_for
from dpa_async.wire.messages import Reply, Request

_T = TypeVar("_T")

_REPEATS = 4
_FIRST_WAIT = 0.2
_LONGEST_WAIT = 5.0
_SHORTEST_WAIT = 0.05
_LONGEST_PAUSE = 60.0
_LARGE = 2**18
_UNTOLD_PAUSE = 1.0
_UNSEEN = nullcontext()
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
    for wait in _expo():
        if wait is not None:  # backoff 2 begins with None
            yield max(_SHORTEST_WAIT, backoff.full_jitter(wait))


def _may_have_run(problem: DPAError) -> bool:
    match problem:
        case TransportError(request_sent=sent):
            return sent
        case UnexpectedResponseError(retry_after=float()):
            return False  # turned away before anything was done
        case _:
            return True


def _sent_before(problem: DPAError) -> DPAError:
    """Tell of a request whose last try was not sent that an earlier one was."""
    if not isinstance(problem, TransportError) or problem.request_sent:
        return problem
    return TransportError(
        problem.operation,
        problem.reason,
        request_sent=True,
        permanent=problem.permanent,
    )


async def _read(
    read: Callable[[Request, Reply], _T],
    request: Request,
    reply: Reply,
    departure: Departure,
) -> _T:
    """Read an answer: a large one in a thread, so that the loop goes on meanwhile."""
    if len(reply.body) <= _LARGE:
        return read(request, reply)
    departure.left = True  # what became of it is known only when the answer is read
    try:
        given = await asyncio.to_thread(read, request, reply)
    except DPAError:
        departure.left = False
        raise
    departure.left = False
    return given


class Transport:
    """Carries requests to their answers.

    Args:
        settings: Limits and time-outs.
        backend: What sends one request; closed by whoever made it.
        observers: Called with each `Exchanged`, on the event loop.
    """

    def __init__(
        self,
        settings: Settings,
        backend: Backend,
        observers: Iterable[ExchangeObserver] = (),
    ) -> None:
        self._backend = backend
        self._timeout = settings.request_timeout
        self._limiter = Limiter(settings.limits)
        self._budget = RetryBudget()
        self._observers = list(observers)

    async def call(
        self,
        request: Request,
        read: Callable[[Request, Reply], _T],
        departure: Departure | None = None,
        token: Callable[[], Awaitable[AccessToken]] | None = None,
    ) -> _T:
        """Send a request, again where that is safe and useful, and read its answer.

        Args:
            request: What is sent.
            read: Makes something of the answer, or raises.
            departure: Tells whether the request is out there, for whoever has to know.
            token: Gives the token to send it with, at the moment when it leaves.

        Raises:
            TransportError: There was no answer.
            APIError: The platform said no.
            UnexpectedResponseError: The answer is not one of the platform's.
        """
        departure = departure or Departure()
        self._budget.earn()
        sent = False
        for repeats, wait in enumerate(retry_waits()):
            try:
                with self._witnessed(request, departure):
                    ready, reply = await self._once(request, departure, token)
                    return await _read(read, ready, reply, departure)
            except DPAError as error:
                problem = error
            if departure.abandoned or not self._may_repeat(
                request, problem, departure, repeats
            ):
                raise _sent_before(problem) if sent else problem
            sent = sent or _may_have_run(problem)
            departure.left = False
            if departure.take_back is not None:
                await departure.take_back()
            await asyncio.sleep(wait)
        raise AssertionError  # the waits have no end

    def _witnessed(
        self, request: Request, departure: Departure
    ) -> AbstractContextManager[None]:
        if not self._observers:
            return _UNSEEN
        return witnessed(self._observers, request, departure)

    async def _once(
        self,
        request: Request,
        departure: Departure,
        token: Callable[[], Awaitable[AccessToken]] | None,
    ) -> tuple[Request, Reply]:
        async with self._limiter.place(request.budget):
            if token is None:
                await self._limiter.pace.turn(request.budget)
            else:
                request = request.authorized(await self._turn(request, token))
            if departure.note is not None:
                await departure.note()
            if departure.abandoned:  # while it waited for its turn
                words = "it was given up"
                raise TransportError(request.operation, words, request_sent=False)
            request = departure.in_time(request)
            timeout = self._timeout + request.hold
            reply = await exchange(self._backend, request, departure, timeout=timeout)
        self._respect(request, reply)
        return request, reply

    async def _turn(
        self, request: Request, token: Callable[[], Awaitable[AccessToken]]
    ) -> AccessToken:
        """Wait for a moment to leave, and give the token that is good by then.

        Where that one had to be fetched first, the moment has passed: all who waited
        for it would leave at once. They take another turn.
        """
        pace = self._limiter.pace
        before = await token()  # may take its time: before a moment to leave is given
        given_at = await pace.turn(request.budget)
        current = await token()
        if current.value != before.value and pace.is_past(given_at):
            await pace.turn(request.budget)
            current = await token()
        return current

    def _respect(self, request: Request, reply: Reply) -> None:
        """Pause the whole client where the platform wants to be left alone."""
        told = refused_for(reply)
        if told is None:
            return
        pause = min(told or _UNTOLD_PAUSE, _LONGEST_PAUSE)
        self._limiter.pace.pause(pause)
        raise UnexpectedResponseError(
            request.operation,
            f"too many requests: it asks to be left alone for {pause:g} s",
            http_status=reply.status,
            retry_after=pause,
        )

    def _may_repeat(
        self, request: Request, problem: DPAError, departure: Departure, repeats: int
    ) -> bool:
        match problem:
            case UnexpectedResponseError(retry_after=float()):
                safe = True  # turned away before anything was done
            case TransportError(permanent=False, request_sent=sent):
                safe = request.repeatable or not sent
            case UnexpectedResponseError(http_status=status):
                safe = request.repeatable and status in _BAD_GATEWAYS
            case ServerError():
                safe = request.repeatable
            case _:
                safe = False
        if not safe:
            return False
        if departure.deadline is not None:  # until then it is wanted; then cancelled
            return True
        return repeats < _REPEATS and self._budget.spend()
