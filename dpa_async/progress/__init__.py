"""Live progress of batches: redrawn in place on a terminal, plain lines elsewhere.

progress = Progress(total=len(requests))
async with progress, Runner(client, observers=[progress]) as runner:
    async for outcome in run_many(runner, requests):
        progress.add(outcome)
"""

from dpa_async.progress.live import Progress
from dpa_async.progress.text import Snapshot, block, line

__all__ = ["Progress", "Snapshot", "block", "line"]
