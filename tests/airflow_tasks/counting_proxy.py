"""Stands between Airflow and the platform, and counts what passes."""

import asyncio
from collections import Counter
from threading import Thread

from aiohttp import ClientSession, web


class CountingProxy:
    """An HTTP proxy on a thread of its own; counts requests by what they ask.

    Attributes:
        url: Where it listens.
        seen: How often each interface was asked, by its path's last two parts.
    """

    def __init__(self, target):
        self.target = target
        self.url = ""
        self.seen = Counter()
        self._loop = asyncio.new_event_loop()
        Thread(target=self._loop.run_forever, daemon=True).start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result()

    async def _listen(self):
        self._session = ClientSession(auto_decompress=False)
        runner = web.ServerRunner(web.Server(self._pass_on, access_log=None))
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"

    async def _pass_on(self, request):
        parts = request.path.rstrip("/").split("/")
        self.seen["execute" if parts[-2] == "execute" else parts[-1]] += 1
        hop = {"host", "connection", "transfer-encoding", "content-length"}
        kept = {k: v for k, v in request.headers.items() if k.lower() not in hop}
        async with self._session.request(
            request.method,
            self.target + request.raw_path,
            headers=kept,
            data=await request.read() or None,
            allow_redirects=False,
        ) as answer:
            body = await answer.read()
            back = {k: v for k, v in answer.headers.items() if k.lower() not in hop}
            return web.Response(status=answer.status, body=body, headers=back)
