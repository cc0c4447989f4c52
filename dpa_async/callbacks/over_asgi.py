"""The receiver as an ASGI application, for any server and under any framework."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import TypeAlias, cast

from dpa_async.callbacks.verdict import READ_TIMEOUT, TOO_SLOW, Judge, Verdict
from dpa_async.wire.callback import MAX_BYTES

Scope: TypeAlias = MutableMapping[str, object]
Message: TypeAlias = MutableMapping[str, object]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
ASGIApp: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]


class _GoneError(Exception):
    """Who asked has left."""


def make_app(judge: Judge) -> ASGIApp:
    """Give an application that answers what the judge says."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        match scope["type"]:
            case "http":
                await _answer(judge, scope, receive, send)
            case "lifespan":
                await _live(receive, send)
            case "websocket":
                await send({"type": "websocket.close"})  # the server answers 403
            case kind:
                msg = f"an ASGI scope of type {kind!r} means nothing to a receiver"
                raise ValueError(msg)

    return app


async def _answer(judge: Judge, scope: Scope, receive: Receive, send: Send) -> None:
    try:
        async with asyncio.timeout(READ_TIMEOUT):
            body = await _body(scope, receive)
    except TimeoutError:
        await _send(scope, send, Verdict(TOO_SLOW), whole=False)
        return
    except _GoneError:
        return
    verdict = judge(str(scope["method"]), _path(scope), body)
    await _send(scope, send, verdict, whole=body is not None)


async def _body(scope: Scope, receive: Receive) -> bytes | None:
    """Read the body; None where it is too long, with the rest of it unread."""
    if _declared_length(scope) > MAX_BYTES:
        return None
    body = bytearray()
    more = True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            raise _GoneError
        body += cast("bytes", message.get("body", b""))
        if len(body) > MAX_BYTES:
            return None
        more = bool(message.get("more_body", False))
    return bytes(body)


def _declared_length(scope: Scope) -> int:
    headers = cast("Iterable[tuple[bytes, bytes]]", scope["headers"])
    declared = (value for name, value in headers if name.lower() == b"content-length")
    text = next(declared, b"0")
    return int(text) if text.isdigit() else 0


def _path(scope: Scope) -> str:
    """Give the whole path, of servers and frameworks old and new.

    By the specification `path` is the whole of it; what mounts an application may have
    taken off what stands in `root_path`.
    """
    path, root = str(scope["path"]), str(scope.get("root_path") or "")
    return path if path.startswith(root) else root + path


async def _send(scope: Scope, send: Send, verdict: Verdict, *, whole: bool) -> None:
    body = verdict.text.encode()
    headers = {**verdict.headers, "Content-Length": str(len(body))}
    if not whole and str(scope.get("http_version", "")).startswith("1"):
        headers["Connection"] = "close"  # or the server would wait for the rest
    pairs = [(name.lower().encode(), text.encode()) for name, text in headers.items()]
    await send(
        {"type": "http.response.start", "status": verdict.status, "headers": pairs}
    )
    await send({"type": "http.response.body", "body": body})


async def _live(receive: Receive, send: Send) -> None:
    """Take part in a server's start and stop, which ask nothing of a receiver."""
    while True:
        kind = (await receive())["type"]
        await send({"type": f"{kind}.complete"})
        if kind == "lifespan.shutdown":
            return
