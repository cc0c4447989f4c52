"""What most tests need: a platform in memory, in virtual time; scenes by name."""

import asyncio
import sys
from pathlib import Path

import pytest

from dpa_async import DPAClient
from dpa_async.simulator import MemorySimulator
from dpa_async.simulator.virtual_time import run

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def in_memory():
    """Run `test(platform, client)` in virtual time; see that it leaves nothing."""

    def play(test, *workflows, **options):
        async def main():
            platform = MemorySimulator(workflows or None, **options)
            async with DPAClient(platform.settings(), backend=platform) as client:
                await test(platform, client)
            await platform.aclose()
            left = asyncio.all_tasks() - {asyncio.current_task()}
            assert not left, left

        run(main())

    return play
