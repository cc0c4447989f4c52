"""Headers of an answer that mean something to us."""

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from dpa_async.wire.messages import Reply

_TOO_MANY_REQUESTS = 429
_UNAVAILABLE = 503
_SECONDS = re.compile(r"[0-9]{1,12}(\.[0-9]{1,12})?")


def http_date(reply: Reply, name: str = "date") -> float | None:
    """Read a header that is an HTTP date as epoch seconds; None where it is none."""
    try:
        return parsedate_to_datetime(reply.headers.get(name, "")).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None


def refused_for(reply: Reply) -> float | None:
    """Tell for how many seconds the platform, or a proxy, wants to be left alone.

    HTTP 429, and 503 with `Retry-After`, say that the request was turned away before
    anything was done. None for any other answer; 0 where it names no time.
    """
    wait = reply.headers.get("retry-after", "").strip()
    if reply.status == _UNAVAILABLE and not wait:
        return None
    if reply.status not in (_TOO_MANY_REQUESTS, _UNAVAILABLE):
        return None
    if _SECONDS.fullmatch(wait):
        return float(wait)
    until = http_date(reply, "retry-after")
    # The answer's own clock first: ours can differ from the platform's by days.
    now = http_date(reply) or datetime.now(UTC).timestamp()
    return max(0.0, until - now) if until is not None else 0.0
