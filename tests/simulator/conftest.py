"""A bare caller of the platform, over either face of the simulator."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from urllib.parse import urlencode

import aiohttp
import pytest
from attrs import define, field, frozen
from yarl import URL

from dpa_async.simulator import MemorySimulator, Simulator, virtual_time


class Lost(Exception):  # noqa: N818
    """There was no whole answer; `sent` tells whether the request had left."""

    def __init__(self, *, sent: bool) -> None:
        super().__init__(sent)
        self.sent = sent


@frozen
class Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def code(self):
        return self.json["code"]

    @property
    def data(self):
        return self.json["data"]


Send = Callable[[str, str, dict[str, str], bytes | None], Awaitable[Reply]]


@define
class Caller:
    """Says exactly what it is told to say; `token` goes along once there is one."""

    simulator: Simulator | MemorySimulator
    _send: Send
    token: str = field(default="", init=False)

    @property
    def platform(self):
        return self.simulator.platform

    @property
    def faults(self):
        return self.simulator.faults

    async def request(self, method, url, body=None, headers=()):
        whole = dict(headers)
        if self.token:
            whole["Authorization"] = f"Bearer {self.token}"
        if not url.startswith("http"):
            url = self.simulator.url + url
        return await self._send(method, url, whole, body)

    async def get(self, path, **query):
        return await self.request("GET", f"{path}?{urlencode(query)}")

    async def post(self, path, body):
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await self.request("POST", path, raw)

    async def authorize(self, **changes):
        query = {
            "client_id": self.platform.application.client_id,
            "response_type": "code",
            "scope": "default",
        } | changes
        return await self.get("/api/dp/auth/oauth/authorize", **query)

    async def exchange(self, code, **changes):
        app = self.platform.application
        body = {
            "code": code,
            "client_id": app.client_id,
            "client_secret": app.client_secret,
            "grant_type": "authorization_code",
        } | changes
        return await self.post("/api/dp/auth/oauth/token", body)

    async def sign_in(self):
        code = (await self.authorize()).data["code"]
        self.token = (await self.exchange(code)).data["access_token"]

    async def list_var(self, workflow_id):
        body = {"processModelId": workflow_id, "type": "running"}
        return await self.post("/api/dpa/process/variable/listVar", body)

    async def execute(self, workflow_id="wf", **fields):
        return await self.post(self.simulator.execute_url(workflow_id), fields)

    async def status(self, ids):
        path = "/api/dpa/process/processrun/getProcessRunStatus"
        return await self.get(
            path, modelId=ids["modelId"], instanceId=ids["instanceId"]
        )

    async def list_all(self):
        return await self.post("/api/dpa/process/processModel/listAll", {})

    async def outputs(self, ids, **fields):
        body = {"modelId": ids["modelId"], "instanceId": ids["instanceId"]} | fields
        return await self.post(
            "/api/dpa/process/processModel/getOutParamByModelId", body
        )

    async def ended(self, ids):
        """Wait for a run's end and give its last status."""
        while True:
            status = (await self.status(ids)).data["status"]
            if status in {"FINISH", "FAIL"}:
                return status
            await asyncio.sleep(0.01)


@asynccontextmanager
async def over_http(**options):
    sent = []

    async def on_sent(*_):
        sent.append(True)

    trace = aiohttp.TraceConfig()
    trace.on_request_headers_sent.append(on_sent)

    async def send(method, url, headers, body):
        sent.clear()
        try:
            async with session.request(
                method,
                URL(url, encoded=True),
                headers=headers,
                data=body,
                allow_redirects=False,
            ) as response:
                names = {k.lower(): v for k, v in response.headers.items()}
                return Reply(response.status, names, await response.read())
        except (aiohttp.ClientError, OSError):
            raise Lost(sent=bool(sent)) from None

    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    async with (
        Simulator(**options) as simulator,
        aiohttp.ClientSession(connector=connector, trace_configs=[trace]) as session,
    ):
        yield Caller(simulator, send)


@asynccontextmanager
async def in_memory(**options):
    simulator = MemorySimulator(**options)

    async def send(method, url, headers, body):
        sent = []
        try:
            answer = await simulator.exchange(
                method,
                url,
                headers,
                body,
                on_sent=lambda: sent.append(True),
                own_connection=False,
                max_body_bytes=1_000_000,
            )
        except OSError:
            raise Lost(sent=bool(sent)) from None
        assert sent == [True]
        return Reply(*answer)

    try:
        yield Caller(simulator, send)
    finally:
        await simulator.aclose()


@frozen
class Face:
    """One of the two faces, and the loop that its tests run on."""

    open: Callable[..., object]
    run: Callable[..., object]
    is_memory: bool


HTTP = Face(over_http, asyncio.run, is_memory=False)
MEMORY = Face(in_memory, virtual_time.run, is_memory=True)


@pytest.fixture(params=[HTTP, MEMORY], ids=["http", "memory"])
def face(request):
    """Both faces: what is tested with it holds for each."""
    return request.param


@pytest.fixture
def http():
    return HTTP


@pytest.fixture
def memory():
    """The memory face, whose time is exact and free."""
    return MEMORY


@pytest.fixture
def lost():
    """The exception of a caller whose answer did not arrive."""
    return Lost
