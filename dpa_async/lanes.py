"""One run at a time per workflow: the platform refuses a second one."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from attrs import define, field

from dpa_async.client import DPAClient
from dpa_async.errors import ConfigurationError, DPAError
from dpa_async.waiting import WaitPolicy, schedule


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


async def is_busy(client: DPAClient, workflow_id: str) -> bool:
    """Ask the platform's list whether a workflow would refuse to be executed.

    Raises:
        DPAError: The list cannot be had.
    """
    workflows = await client.list_workflows()
    return any(row.id == workflow_id and row.status.busy for row in workflows)


async def until_idle(client: DPAClient, workflow_id: str, policy: WaitPolicy) -> bool:
    """Wait until the list shows a workflow idle; tells whether it ever showed it busy.

    Raises:
        DPAError: The list could not be had for `max_silence` seconds; the last reason.
    """
    loop = asyncio.get_running_loop()
    heard_at = loop.time()
    seen_busy = False
    for interval in schedule(policy):
        try:
            if not await is_busy(client, workflow_id):
                return seen_busy
        except ConfigurationError:
            raise
        except DPAError:
            if loop.time() - heard_at >= policy.max_silence:
                raise
        else:
            heard_at = loop.time()
            seen_busy = True
        await asyncio.sleep(interval)
    raise AssertionError  # a schedule has no end
