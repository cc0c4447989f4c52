"""What `nox -s extras` runs where one extra is installed and nothing else.

python tests/house/alone.py module-of-the-extra
"""

import importlib
import sys

from dpa_async import DPAClient, RunStatus, run_and_wait
from dpa_async.simulator import MemorySimulator
from dpa_async.simulator.virtual_time import run


async def main():
    platform = MemorySimulator()
    async with DPAClient(platform.settings(), backend=platform) as client:
        result = await run_and_wait(client, "md")
    await platform.aclose()
    assert result.status is RunStatus.SUCCEEDED


(wanted,) = sys.argv[1:]
importlib.import_module(wanted)
run(main())
