"""A platform that remembers nothing: what grows in this process is the client's.

A run's id says when it ends, on the loop's time; that is all there is to know of it.
"""

import asyncio
import itertools
import json
from collections import Counter
from collections.abc import Callable, Mapping
from urllib.parse import parse_qs, urlsplit

from dpa_async import Settings


class StatelessPlatform:
    """The seam under a client: answers from the request alone.

    Args:
        duration: Seconds that a run of each number takes.
    """

    def __init__(self, duration: Callable[[int], float]) -> None:
        self._duration = duration
        self._numbers = itertools.count()
        self.calls: Counter[str] = Counter()

    def settings(self) -> Settings:
        return Settings(
            base_url="http://127.0.0.1:1",
            client_id="bench+Id==",
            client_secret="bench/Secret==",  # noqa: S106 - made up
            execute_urls="/execute/{workflow_id}",
        )

    async def exchange(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None,
        *,
        on_sent: Callable[[], None],
        own_connection: bool,
        max_body_bytes: int,
    ) -> tuple[int, Mapping[str, str], bytes]:
        del method, headers, own_connection, max_body_bytes
        on_sent()
        await asyncio.sleep(0)
        parts = urlsplit(url)
        interface = parts.path.rpartition("/")[2]
        if parts.path.startswith("/execute/"):
            interface = "execute"
        self.calls[interface] += 1
        data = self._answer(interface, parts.path, parts.query, body or b"")
        envelope = {"code": 200, "message": "success", "data": data}
        return 200, {}, json.dumps(envelope).encode()

    async def aclose(self) -> None:
        """Nothing was opened."""

    def _answer(self, interface: str, path: str, query: str, body: bytes) -> object:
        now = asyncio.get_running_loop().time()
        data: object = []
        match interface:
            case "authorize":
                data = {"code": "c"}
            case "token":
                data = {"token_type": "Bearer", "access_token": "t" * 200}
            case "execute":
                number = next(self._numbers)
                ends_at = now + self._duration(number)
                data = {
                    "instanceId": f"in{number}x{ends_at:.3f}",
                    "modelId": path.rpartition("/")[2],
                }
            case "getProcessRunStatus":
                fields = {name: texts[0] for name, texts in parse_qs(query).items()}
                over = now >= float(fields["instanceId"].partition("x")[2])
                data = {**fields, "status": "FINISH" if over else "RUNNING"}
            case "getOutParamByModelId":
                run_id = json.loads(body)["instanceId"]
                data = [{"nodeName": "node", "result": run_id}]
            case _:
                pass
        return data
