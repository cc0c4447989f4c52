"""A request of aiohttp's to the receiver: read within bounds, judged, answered."""

import asyncio
import contextlib

from aiohttp import web

from dpa_async.callbacks.verdict import (
    MALFORMED,
    READ_TIMEOUT,
    TOO_SLOW,
    Judge,
    Verdict,
)
from dpa_async.wire.callback import MAX_BYTES


async def answer(request: web.BaseRequest, judge: Judge) -> web.StreamResponse:
    """Answer one request; raises nothing but what the judge raises."""
    try:
        async with asyncio.timeout(READ_TIMEOUT):
            body = await _body(request)
    except TimeoutError:
        return await _hang_up(request, Verdict(TOO_SLOW))
    except (OSError, web.RequestPayloadError):  # gone, or no body as HTTP has it
        return await _hang_up(request, Verdict(MALFORMED))
    verdict = judge(request.method, request.path, body)
    if body is None:
        return await _hang_up(request, verdict)
    return _response(verdict)


async def _body(request: web.BaseRequest) -> bytes | None:
    """Read the body; None where it is too long, with the rest of it unread."""
    if (request.content_length or 0) > MAX_BYTES:
        return None
    body = bytearray()
    while chunk := await request.content.readany():
        body += chunk
        if len(body) > MAX_BYTES:
            return None
    return bytes(body)


def _response(verdict: Verdict) -> web.Response:
    return web.Response(
        status=verdict.status, body=verdict.text.encode(), headers=verdict.headers
    )


async def _hang_up(request: web.BaseRequest, verdict: Verdict) -> web.StreamResponse:
    """Answer who has more to say, and close: aiohttp would wait to hear the rest."""
    response = _response(verdict)
    response.force_close()
    with contextlib.suppress(ConnectionError):
        await response.prepare(request)
        await response.write_eof()
    request.protocol.force_close()  # what is written still leaves
    return response
