"""One run at a time per workflow: the platform refuses a second one."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from attrs import define, field


@define
class _Lane:
    lock: asyncio.Lock = field(factory=asyncio.Lock)
    users: int = 0


class Lanes:
    """A lane per workflow: who comes first starts first, others wait their turn."""

    def __init__(self) -> None:
        self._lanes: dict[str, _Lane] = {}

    def __len__(self) -> int:
        """Give how many lanes are in use."""
        return len(self._lanes)

    def taken(self, workflow_id: str) -> bool:
        """Tell whether somebody is starting a run of this workflow, or waits to."""
        return workflow_id in self._lanes

    @asynccontextmanager
    async def turn(self, workflow_id: str) -> AsyncGenerator[None]:
        """Wait for one's turn to start a run of a workflow, and hold it."""
        lane = self._lanes.setdefault(workflow_id, _Lane())
        lane.users += 1
        try:
            async with lane.lock:
                yield
        finally:
            lane.users -= 1
            if not lane.users:
                del self._lanes[workflow_id]
