"""Requests per second for real: a limit of 50, far more that want to leave.

Prints the busiest second and the mean, as the platform's side of the wire would see
them. No second may hold more than 51, and the mean keeps up with the limit.

    python benchmarks/rate.py [--seconds 10]
"""

import argparse
import asyncio
from bisect import bisect_left
from collections.abc import Callable, Mapping

from dpa_async import DPAClient, Limits, Settings
from dpa_async.simulator import Simulator
from dpa_async.transport.aiohttp_backend import AiohttpBackend

LIMIT = 50


class Watched(AiohttpBackend):
    """Notes when each request leaves."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.left: list[float] = []

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
        self.left.append(asyncio.get_running_loop().time())
        return await super().exchange(
            method,
            url,
            headers,
            body,
            on_sent=on_sent,
            own_connection=own_connection,
            max_body_bytes=max_body_bytes,
        )


async def main(seconds: float) -> None:
    async with Simulator() as platform:
        settings = platform.settings(limits=Limits(requests_per_second=LIMIT))
        backend = Watched(settings)
        async with DPAClient(settings, backend=backend) as client:
            await client.list_workflows()
            backend.left.clear()
            calls = (client.list_workflows() for _ in range(int(LIMIT * seconds)))
            await asyncio.gather(*calls)
        await backend.aclose()
    left = backend.left
    busiest = max(bisect_left(left, at + 1.0) - n for n, at in enumerate(left))
    mean = (len(left) - 1) / (left[-1] - left[0])
    print(f"limit {LIMIT}/s: busiest second {busiest}, mean {mean:.2f}/s")


if __name__ == "__main__":
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--seconds", type=float, default=10.0)
    asyncio.run(main(words.parse_args().seconds))
