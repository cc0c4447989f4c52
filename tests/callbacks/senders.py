"""Who calls back: bytes on a socket, read back to the end."""

import asyncio
import json
from urllib.parse import urlsplit

from attrs import frozen

FINISH = {"instanceId": "in1", "modelId": "md1", "status": "FINISH"}


@frozen
class Heard:
    status: int
    headers: dict
    text: str


def request(url, body=b"", *headers, method="POST", length=True):
    """The bytes of one request."""
    parts = urlsplit(url)
    lines = [f"{method} {parts.path} HTTP/1.1", f"Host: {parts.netloc}", *headers]
    if length:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def chunked(body, size=1000):
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(p), p) for p in [*pieces, b""])


def address(url):
    parts = urlsplit(url)
    return parts.hostname, parts.port


async def say(url, data):
    """Send bytes to whoever listens at a URL, and give what comes back."""
    reader, writer = await asyncio.open_connection(*address(url))
    try:
        writer.write(data)
        return await hear(reader)
    finally:
        writer.close()


async def hear(reader):
    """Read one answer; None where the connection is cut instead."""
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        line, *fields = head.strip().split("\r\n")
        headers = {k.lower(): v for k, v in (f.split(": ", 1) for f in fields)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    return Heard(int(line.split(" ")[1]), headers, body.decode())


async def post(url, body, *headers):
    """Call back once; `body` is JSON, or bytes as they are."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = ("Content-Type: application/json", *headers)
    return await say(url, request(url, data, *headers))
