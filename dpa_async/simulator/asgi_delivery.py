"""Carries callbacks to an ASGI application without a socket."""

import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import TypeAlias
from urllib.parse import urlsplit

from dpa_async.simulator.courier import Deliver

_Message: TypeAlias = MutableMapping[str, object]
_App: TypeAlias = Callable[
    [
        _Message,
        Callable[[], Awaitable[_Message]],
        Callable[[_Message], Awaitable[None]],
    ],
    Awaitable[None],
]


def deliver_to(app: _App) -> Deliver:
    """Give what a `MemorySimulator` delivers its callbacks by: an ASGI application.

    MemorySimulator(deliver_callback=deliver_to(receiver.asgi))
    """

    async def deliver(url: str, payload: dict[str, str]) -> str:
        parts = urlsplit(url)
        scope: _Message = {
            "type": "http",
            "method": "POST",
            "path": parts.path,
            "raw_path": parts.path.encode(),
            "root_path": "",
            "query_string": parts.query.encode(),
            "headers": [(b"content-type", b"application/json")],
        }
        body = json.dumps(payload).encode()
        replies: list[bytes] = []

        async def receive() -> _Message:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: _Message) -> None:
            part = message.get("body")
            if isinstance(part, bytes):
                replies.append(part)

        await app(scope, receive, send)
        return b"".join(replies).decode()

    return deliver
