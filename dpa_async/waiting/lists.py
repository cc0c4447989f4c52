"""The platform's list of all workflows, asked for once for all who want it."""

import asyncio
from collections.abc import Callable, Mapping
from typing import TypeAlias

from dpa_async.client import DPAClient
from dpa_async.models import WorkflowStatus

Hearer: TypeAlias = Callable[[Mapping[str, WorkflowStatus], float], None]
"""Is told the status of each workflow, and the loop's time when it was asked for."""

_BYTES_OF_A_READ = 16_384
_MEASURABLE = 0.05


class Lists:
    """Asks for lists, and tells all who want to know what they say.

    Args:
        client: The platform.

    Attributes:
        hearers: Who is told.
        asked_at: The loop's time when the latest list that came was asked for.
    """

    def __init__(self, client: DPAClient) -> None:
        self.hearers: list[Hearer] = []
        self.asked_at = 0.0
        self._client = client
        self._bytes = 0
        self._seconds = 0.0

    async def ask(self, *, repeat: bool = True) -> Mapping[str, WorkflowStatus]:
        """Ask for one list, tell everybody what it says, and give that.

        Args:
            repeat: Whether to ask again where there is no usable answer.

        Raises:
            DPAError: It cannot be had.
        """
        loop = asyncio.get_running_loop()
        asked_at = loop.time()
        listed = await self._client.list_statuses(repeat=repeat)
        self._bytes = listed.size
        self._seconds = loop.time() - asked_at
        self.asked_at = max(asked_at, self.asked_at)
        for hear in self.hearers:
            hear(listed.statuses, asked_at)
        return listed.statuses

    def weight(self, read_seconds: float) -> float:
        """Tell as how many status reads the latest list counts, by its bytes and time.

        Args:
            read_seconds: What a status read takes. Under 50 ms time tells nothing.
        """
        by_time = self._seconds / max(read_seconds, _MEASURABLE)
        return max(1 + self._bytes / _BYTES_OF_A_READ, by_time)
