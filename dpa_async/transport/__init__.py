"""Requests to answers: limits, repeats, one exchange each, and what became of it."""

from dpa_async.transport.exchange import Backend, Departure, RawReply
from dpa_async.transport.retry import Transport

__all__ = ["Backend", "Departure", "RawReply", "Transport"]
