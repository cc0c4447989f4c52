"""How long a token lives, as far as it can be told: a hint, for a 403 always wins."""

import base64

from dpa_async.checks import is_number
from dpa_async.wire import json_text
from dpa_async.wire.http_headers import http_date
from dpa_async.wire.messages import Reply

_FAR_FUTURE = 1e12  # larger is garbled, and an int may not even fit a float
_LONGEST = 366 * 86400.0
_ISSUE_TIMES = ("iat", "orig_iat")


def token_lifetime(token: str, reply: Reply, default: float) -> float:
    """Give the seconds a token lives from its receipt on.

    Its claims are by the platform's clock, which can be wrong by days: so what counts
    is the span from issue to expiry; else from the answer's `Date` to expiry, which is
    the same clock's; else the default. Garbled claims never fail.
    """
    claims = _claims(token)
    expiry = _number(claims.get("exp"))
    if expiry is None:
        return default
    starts = [_number(claims.get(name)) for name in _ISSUE_TIMES]
    for start in (*starts, http_date(reply)):
        if start is not None and 0 < expiry - start <= _LONGEST:
            return expiry - start
    return default


def _claims(token: str) -> dict[str, object]:
    parts = token.split(".")
    if len(parts) != 3:  # noqa: PLR2004 - a JWT is header.payload.signature
        return {}
    payload = parts[1] + "=" * (-len(parts[1]) % 4)
    try:
        claims = json_text.decode(base64.urlsafe_b64decode(payload))
    except ValueError:  # binascii's is one, too
        return {}
    return json_text.as_object(claims) or {}


def _number(value: object) -> float | None:
    return float(value) if is_number(value) and abs(value) < _FAR_FUTURE else None
