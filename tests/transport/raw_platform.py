"""A platform in raw sockets: it breaks wherever it is told to, and knows what it did.

Every connection is a thread of its own, so that a script can read and write byte by
byte, over TLS as well. The answers are written here from the platform's description and
share no code with the library: what a call should give can be told from its ids.
"""

import asyncio
import contextlib
import itertools
import json
import secrets
import select
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Mapping
from urllib.parse import parse_qs, unquote, urlsplit

from attrs import define, field

PATIENCE = 20.0
"""Seconds after which a thread of the platform gives up: no test takes so long."""

MARK = "s3cr3t"
"""Every secret of these platforms holds it: what is shown must not."""

_RESET = struct.pack("ii", 1, 0)
_OAUTH = "/api/dp/auth/oauth/"
_PATHS = {
    f"{_OAUTH}authorize": "authorize",
    f"{_OAUTH}token": "token",
    "/api/dpa/process/variable/listVar": "listVar",
    "/api/dpa/process/processrun/getProcessRunStatus": "getProcessRunStatus",
    "/api/dpa/process/processModel/listAll": "listAll",
    "/api/dpa/process/processModel/getOutParamByModelId": "getOutParamByModelId",
}

Script = Callable[["Talk"], None]
"""Plays one exchange on a connection; what it does not read stays unread."""


class Over(Exception):  # noqa: N818
    """The connection is at its end, by either side."""


@define
class Seen:
    """One request that was read to its end."""

    operation: str
    connection: int
    position: int
    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    carried_out: bool = False

    @property
    def fields(self):
        query = parse_qs(urlsplit(self.target).query)
        from_query = {name: values[0] for name, values in query.items()}
        return from_query | (json.loads(self.body) if self.body else {})

    @property
    def workflow_id(self):
        return unquote(urlsplit(self.target).path.rpartition("/")[2])


def http(body=b"", *headers, status="200 OK", length=True):
    """One HTTP answer, as it should be."""
    lines = [f"HTTP/1.1 {status}", "Content-Type: application/json", *headers]
    if length:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def envelope(data, code=200, message="success"):
    return json.dumps({"code": code, "message": message, "data": data}).encode()


class Talk:
    """One connection, as a script sees it."""

    def __init__(self, platform, sock, number):
        self.platform = platform
        self.sock = sock
        self.number = number
        self.position = 0  # how many requests were answered on it before
        self.seen = None
        self._buffer = b""

    def take(self, size, at_most=2**16):
        """Read so many bytes, whatever they mean."""
        while len(self._buffer) < size:
            self.more(at_most)
        taken, self._buffer = self._buffer[:size], self._buffer[size:]
        return taken

    def peek(self):
        return self._buffer

    def put_back(self, data):
        self._buffer = data + self._buffer

    def head(self):
        while b"\r\n\r\n" not in self._buffer:
            self.more()
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        line, *fields = head.decode().split("\r\n")
        method, target, _ = line.split(" ")
        headers = {
            name.lower(): text for name, text in (f.split(": ", 1) for f in fields)
        }
        path = urlsplit(target).path
        operation = _PATHS.get(path, "execute")
        self.seen = Seen(
            operation, self.number, self.position, method, target, headers, b""
        )

    def read(self):
        """Read the request to its end: from now on it could be carried out."""
        if self.seen is None:
            self.head()
        self.seen.body = self.take(int(self.seen.headers.get("content-length", 0)))
        self.platform.requests.append(self.seen)

    def carry_out(self):
        """Do what the request asks for; gives the body that tells of it."""
        self.seen.carried_out = True
        return self.platform.carry_out(self.seen)

    def say(self, data):
        try:
            self.sock.sendall(data)
        except OSError:
            raise Over from None

    def serve(self):
        """Do all as it should be done."""
        self.read()
        self.say(http(self.carry_out()))

    def wait(self):
        """Let the request come, without reading any of it."""
        if not self._buffer:
            select.select([self.sock], [], [], PATIENCE)

    def fin(self):
        """Say goodbye in order; what was not read stays unread."""
        with contextlib.suppress(OSError):
            # Without TLS's own goodbye, as a process that dies.
            self.sock.shutdown(socket.SHUT_WR)
        self.stall()

    def rst(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.sock.close()
        raise Over

    def stall(self):
        """Do nothing more, until the other side goes."""
        with contextlib.suppress(OSError):
            while self.sock.recv(2**16):
                pass
        raise Over

    def pause(self, seconds):
        """Wait a moment; less where the platform is taken down meanwhile."""
        if self.platform.down.wait(seconds):
            raise Over

    def next_request(self):
        self.position += 1
        closing = self.seen.headers.get("connection", "").lower() == "close"
        self.seen = None
        if closing:
            self.fin()

    def more(self, at_most=2**16):
        try:
            data = self.sock.recv(at_most)
        except OSError:
            data = b""
        if not data:
            raise Over
        self._buffer += data


@define
class RawPlatform:
    """Listens, and plays `script` on the exchanges that are `broken`.

    It lives in the event loop of its client, so that accepting costs no thread; what a
    connection says and hears is a thread's business.
    """

    script: Script = Talk.serve
    broken: Callable[[Talk], bool] = lambda _: True
    tls: ssl.SSLContext | None = None
    at_once: Script | None = None  # played on a bare connection, before TLS
    elsewhere: str = ""
    client_id: str = "id+with/odd=="
    client_secret: str = field(factory=lambda: f"{MARK}+{secrets.token_hex(12)}/==")
    requests: list[Seen] = field(factory=list)
    tokens: list[str] = field(factory=list)
    codes: list[str] = field(factory=list)
    connections: int = 0
    threads: list[threading.Thread] = field(factory=list)
    down: threading.Event = field(factory=threading.Event)
    _unused: set[str] = field(factory=set)
    port: int = 0
    loop: asyncio.AbstractEventLoop | None = None
    _listener: socket.socket = field(init=False)
    _held: socket.socket | None = None
    open_sockets: set[socket.socket] = field(factory=set)
    _runs: "itertools.count[int]" = field(factory=itertools.count)

    async def __aenter__(self):
        self.loop = asyncio.get_running_loop()
        self.listen()
        return self

    async def __aexit__(self, *_):
        self.refuse()
        if self._held is not None:
            self._held.close()
        self.down.set()
        for sock in tuple(self.open_sockets):
            with contextlib.suppress(OSError):
                socket.socket.shutdown(sock, socket.SHUT_RDWR)
        for thread in self.threads:
            if thread.is_alive():
                await asyncio.to_thread(thread.join, PATIENCE)
            assert not thread.is_alive()

    @property
    def url(self):
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    def listen(self):
        """Accept connections; the port stays the same the second time."""
        if self._held is not None:
            self._held.close()
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=512)
        self._listener.setblocking(False)
        self.port = self._listener.getsockname()[1]
        self.loop.add_reader(self._listener, self._accept)

    def refuse(self):
        """Listen no more: connections are refused from now on.

        The port stays ours, or somebody else could get it and answer.
        """
        if self._listener.fileno() >= 0:
            self.loop.remove_reader(self._listener)
            self._listener.close()
            self._held = socket.socket()
            self._held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._held.bind(("127.0.0.1", self.port))

    def refuse_soon(self):
        """Refuse from the next connection on; for a script, which is a thread's."""
        done = threading.Event()
        self.loop.call_soon_threadsafe(lambda: (self.refuse(), done.set()))
        done.wait(PATIENCE)

    def of(self, operation):
        return [seen for seen in self.requests if seen.operation == operation]

    def carry_out(self, seen):
        if seen.operation == "authorize":
            return envelope({"code": self.new_code()})
        if seen.operation == "token":
            return self._exchange_code(seen.fields)
        authorization = seen.headers.get("authorization", "")
        if authorization.removeprefix("Bearer ") not in self.tokens:
            seen.carried_out = False
            return envelope(None, 403, "who are you?")
        return envelope(self._data(seen))

    def new_token(self):
        self.tokens.append(f"{MARK}.{secrets.token_hex(16)}")
        return self.tokens[-1]

    def new_code(self):
        self.codes.append(f"{MARK}-{secrets.token_hex(8)}")
        self._unused.add(self.codes[-1])
        return self.codes[-1]

    def _exchange_code(self, fields):
        if (fields["client_id"], fields["client_secret"]) != (
            self.client_id,
            self.client_secret,
        ) or fields["code"] not in self._unused:
            return envelope(None, 403, "no such code")
        self._unused.discard(fields["code"])
        return envelope({"token_type": "Bearer", "access_token": self.new_token()})

    def _data(self, seen):
        """What an interface answers: it can be told by what was asked."""
        if seen.operation == "execute":
            return {"modelId": seen.workflow_id, "instanceId": f"in{next(self._runs)}"}
        if seen.operation == "listVar":
            return [{"name": f"of {seen.fields['processModelId']}", "type": "running"}]
        if seen.operation == "listAll":
            return [{"processModelId": "wf", "modelName": " wf", "status": "success"}]
        fields = seen.fields
        ids = {name: fields[name] for name in ("modelId", "instanceId")}
        if seen.operation == "getProcessRunStatus":
            return {**ids, "status": "FINISH"}
        return [{"nodeName": "of", "result": f"{ids['modelId']} {ids['instanceId']}"}]

    def _accept(self):
        try:
            sock, _ = self._listener.accept()
        except OSError:
            return
        sock.settimeout(PATIENCE)
        thread = threading.Thread(target=self._talk, args=(sock, self.connections))
        self.connections += 1
        self.threads.append(thread)
        thread.start()

    def _talk(self, sock, number):
        talk = Talk(self, sock, number)
        self.open_sockets.add(sock)
        try:
            if self.at_once is not None:
                self.at_once(talk)
            if self.tls is not None:
                talk.sock = self.tls.wrap_socket(sock, server_side=True)
                self.open_sockets.discard(sock)
                self.open_sockets.add(talk.sock)
            while True:
                (self.script if self.broken(talk) else Talk.serve)(talk)
                talk.next_request()
        except (Over, OSError):
            pass
        finally:
            self.open_sockets -= {sock, talk.sock}
            talk.sock.close()
            sock.close()
