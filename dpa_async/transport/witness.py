"""Telling observers how each try of a request went."""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager

from dpa_async.errors import (
    APIError,
    DPAError,
    TransportError,
    UnexpectedResponseError,
)
from dpa_async.events import Exchanged, ExchangeObserver, How, tell
from dpa_async.transport.exchange import Departure
from dpa_async.wire.messages import Request


@contextmanager
def witnessed(
    observers: list[ExchangeObserver], request: Request, departure: Departure
) -> Generator[None]:
    """Tell observers how the try went that is made in this block.

    Where no token was to be had there was no try; nor where whoever waited was
    cancelled before the request left.
    """
    departure.left_on = None

    def told(how: How, code: int | None = None) -> None:
        tell(observers, Exchanged(request.operation, how, departure.age(), code))

    try:
        yield
    except (DPAError, asyncio.CancelledError) as error:
        how = _how(request, departure, error)
        if how is not None:
            told(how, error.code if isinstance(error, APIError) else None)
        raise
    told("answered")


def _how(request: Request, departure: Departure, error: BaseException) -> How | None:
    match error:
        case APIError(operation=request.operation):
            return "refused"
        case TransportError(operation=request.operation, request_sent=sent):
            return "lost" if sent else "not sent"
        case UnexpectedResponseError(operation=request.operation, retry_after=told):
            return "unexpected" if told is None else "turned away"
        case asyncio.CancelledError():
            return None if departure.left_on is None else "cancelled"
        case _:  # no token was to be had
            return None
