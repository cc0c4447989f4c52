"""The envelope that every answer comes in, and the errors that it can mean."""

import html
import json
import re
from collections.abc import Iterable, Mapping
from typing import NoReturn
from urllib.parse import quote, quote_plus

from dpa_async.errors import (
    API_ERRORS,
    APIError,
    AuthenticationError,
    UnexpectedResponseError,
)
from dpa_async.wire import json_text
from dpa_async.wire.json_pieces import TooManyItemsError
from dpa_async.wire.messages import Reply, Request

_OK = 200
_UNAUTHORIZED = frozenset({401, 403})
_REDIRECTS = range(300, 400)
_EXCERPT_BYTES = 512
_SEARCHED_BYTES = 2**14  # a millisecond's work
_SHORTEST_SECRET = 4
_BLOT = "***"
_TOKENS = re.compile(
    r"(?i)bearer\s+[^\s\"'<>]+"  # a header that is quoted back
    r"|eyJ[\w+/=-]{8,}(\.[\w+/=-]*){0,2}"  # anything shaped like a JWT
    r"|\"access_token\"\s*:\s*\"[^\"]*"
)
_PERCENT = re.compile("%[0-9A-F]{2}")
_MARKUP = re.compile("[=&'<>]")


def read_data(request: Request, reply: Reply) -> object:
    """Open the envelope and give its `data`; None where there is none.

    Raises:
        APIError: The body code is not 200, or HTTP says 401 or 403; the subclass is
            that of the code.
        UnexpectedResponseError: It is no envelope.
    """
    if reply.status in _UNAUTHORIZED:
        raise AuthenticationError(
            AUTHENTICATION_FAILED,
            scrub(_message(_opened(reply)[0] or {}), request.secrets),
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
        message = scrub(_message(envelope), request.secrets)
        raise kind(code, message, reply.status, request.operation)
    return envelope.get("data")


AUTHENTICATION_FAILED = 403


def unexpected(request: Request, reply: Reply, reason: str) -> NoReturn:
    """Raise the error for an answer that is not one of the platform's.

    Raises:
        UnexpectedResponseError: Always.
    """
    raise UnexpectedResponseError(
        request.operation,
        reason,
        http_status=reply.status,
        excerpt=_excerpt(request, reply.body),
    )


def _excerpt(request: Request, body: bytes) -> str:
    if request.secret_answer and not body.lstrip().startswith(b"<"):
        return ""
    # Cut before decoding: a body can be 64 MiB.
    head = body[:_SEARCHED_BYTES].decode("utf-8", "replace")
    return scrub(head, request.secrets, cut=len(body) > _SEARCHED_BYTES)


def scrub(text: str, secrets: Iterable[str], *, cut: bool = False) -> str:
    """Blot secrets out of foreign text, in every spelling, and cut it to 512 bytes.

    Args:
        text: What somebody else wrote.
        secrets: What must not be seen in it.
        cut: Whether it was cut already: then it can end in a part of a secret.
    """
    every = {spelling for secret in secrets for spelling in _spellings(secret)}
    longest_first = sorted(every, key=len, reverse=True)  # one can hold another
    for spelling in longest_first:
        text = text.replace(spelling, _BLOT)
    text = _TOKENS.sub(_BLOT, text)
    if cut and longest_first:
        text = text[: -len(longest_first[0])]
    return text.encode("utf-8", "replace")[:_EXCERPT_BYTES].decode("utf-8", "ignore")


def _spellings(secret: str) -> set[str]:
    """A secret as text, in a query, in a form, in JSON; very short ones say nothing."""
    if len(secret) < _SHORTEST_SECRET:
        return set()
    encoded = {quote(secret), quote(secret, safe=""), quote_plus(secret)}
    written = {json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}
    return {
        secret,
        html.escape(secret),
        *encoded,
        *(_PERCENT.sub(lambda match: match[0].lower(), text) for text in encoded),
        *written,
        *(text.replace("/", "\\/") for text in written),
        *(_MARKUP.sub(_in_hex, text) for text in written),
    }


def _in_hex(match: re.Match[str]) -> str:
    """Some JSON writers do so with what means something in HTML."""
    return f"\\u{ord(match[0]):04x}"


def _decode(request: Request, reply: Reply) -> dict[str, object]:
    opened, what_else = _opened(reply)
    if opened is None:
        unexpected(request, reply, what_else)
    return opened


def _code(value: object) -> int | None:
    """The body code as a number; some answers spell it as text."""
    if isinstance(value, str) and value.strip().isascii() and value.strip().isdigit():
        return int(value.strip()[:20])
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    return None


def _opened(reply: Reply) -> tuple[dict[str, object] | None, str]:
    """Give the JSON object that a body is; None, and what it is instead."""
    what_else = "a body that is not a JSON object" if reply.body else "an empty body"
    try:
        return json_text.as_object(json_text.decode(reply.body)), what_else
    except TooManyItemsError as error:
        return None, str(error)
    except ValueError:
        return None, what_else


def _message(envelope: Mapping[str, object]) -> str:
    try:
        return str(envelope.get("message") or "")
    except RecursionError:
        return ""
