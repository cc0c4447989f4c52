"""The envelope that every answer comes in, and the errors that it can mean."""

import json
import re
from collections.abc import Iterable
from typing import NoReturn
from urllib.parse import quote, quote_plus

from dpa_async.errors import (
    API_ERRORS,
    APIError,
    AuthenticationError,
    UnexpectedResponseError,
)
from dpa_async.wire import json_text
from dpa_async.wire.messages import Reply, Request

_OK = 200
_UNAUTHORIZED = frozenset({401, 403})
_REDIRECTS = range(300, 400)
_EXCERPT_BYTES = 512
_SHORTEST_SECRET = 4
_BLOT = "***"
_TOKENS = re.compile(
    r"(?i)bearer\s+[^\s\"'<>]+"  # a header that is quoted back
    r"|eyJ[\w+/=-]{8,}(\.[\w+/=-]*){0,2}"  # anything shaped like a JWT
    r"|(?<=access_token\":\")[^\"]+"
)


def read_data(request: Request, reply: Reply) -> object:
    """Open the envelope and give its `data`; None where there is none.

    Raises:
        APIError: The body code is not 200, or HTTP says 401 or 403; the subclass is
            that of the code.
        UnexpectedResponseError: It is no envelope.
    """
    if reply.status in _UNAUTHORIZED:
        message = _message_of(reply)
        raise AuthenticationError(
            AUTHENTICATION_FAILED,
            scrub(message, request.secrets),
            reply.status,
            request.operation,
        )
    if reply.status in _REDIRECTS:
        unexpected(request, reply, "a redirect, which is not followed")
    if reply.headers.get("content-encoding", "identity").lower() != "identity":
        unexpected(request, reply, "compressed, though identity was asked for")
    envelope = _decode(request, reply)
    code = _code(envelope.get("code"))
    if code is None:
        unexpected(request, reply, "JSON, but no envelope with a code")
    if code != _OK:
        kind = API_ERRORS.get(code, APIError)
        message = scrub(str(envelope.get("message") or ""), request.secrets)
        raise kind(code, message, reply.status, request.operation)
    return envelope.get("data")


AUTHENTICATION_FAILED = 403


def unexpected(request: Request, reply: Reply, reason: str) -> NoReturn:
    """Raise the error for an answer that is not one of the platform's.

    Raises:
        UnexpectedResponseError: Always.
    """
    # Cut before decoding: a body can be 64 MiB. A character cut in two is dropped, and
    # so is a secret that the cut would leave half of, because it is searched before.
    head = reply.body[: _EXCERPT_BYTES * 8].decode("utf-8", "replace")
    raise UnexpectedResponseError(
        request.operation,
        reason,
        http_status=reply.status,
        excerpt=scrub(head, request.secrets),
    )


def scrub(text: str, secrets: Iterable[str]) -> str:
    """Blot secrets out of foreign text, in every spelling, and cut it to 512 bytes."""
    for secret in secrets:
        for spelling in _spellings(secret):
            text = text.replace(spelling, _BLOT)
    text = _TOKENS.sub(_BLOT, text)
    return text.encode("utf-8", "replace")[:_EXCERPT_BYTES].decode("utf-8", "ignore")


def _spellings(secret: str) -> set[str]:
    """A secret as text, in a query, in a form, in JSON; very short ones say nothing."""
    if len(secret) < _SHORTEST_SECRET:
        return set()
    return {
        secret,
        quote(secret),
        quote(secret, safe=""),
        quote_plus(secret),
        json.dumps(secret)[1:-1],
        json.dumps(secret)[1:-1].replace("/", "\\/"),
    }


def _decode(request: Request, reply: Reply) -> dict[str, object]:
    try:
        envelope = json_text.decode(reply.body)
    except ValueError:
        envelope = None
    opened = json_text.as_object(envelope)
    if opened is None:
        what = "a body that is not a JSON object" if reply.body else "an empty body"
        unexpected(request, reply, what)
    return opened


def _code(value: object) -> int | None:
    """The body code as a number; some answers spell it as text."""
    if isinstance(value, str) and value.strip().isascii() and value.strip().isdigit():
        return int(value[:20])
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    return None


def _message_of(reply: Reply) -> str:
    try:
        envelope = json_text.decode(reply.body)
    except ValueError:
        return ""
    return str((json_text.as_object(envelope) or {}).get("message") or "")
