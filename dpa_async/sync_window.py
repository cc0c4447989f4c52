"""The sync window: an execute's answer that the platform holds until the run is over.

So a short run takes three requests and no lag: the execute, one look, its outputs. What
the answer says of the run only decides when to look, like any other alarm. Whoever
finds no place for a held request executes without, and never waits for one.
"""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager

from dpa_async.models import Execution
from dpa_async.settings import Limits
from dpa_async.transport import Departure
from dpa_async.waiting import Beginning, Learned, WaitPolicy

_AT_ONCE = 1.0
"""Seconds under which an answer was not held."""


class SyncWindow:
    """Decides for how long answers are held.

    Args:
        learned: Knows how long the runs of workflows take.
        policy: What is wanted.
        limits: How many may be held at once.
    """

    def __init__(self, learned: Learned, policy: WaitPolicy, limits: Limits) -> None:
        self._learned = learned
        self._policy = policy
        self._free = limits.held_in_flight

    def hold(self, workflow_id: str, departure: Departure) -> int | None:
        """Give the seconds to hold the answer of an execute; None: not at all."""
        wanted = self._policy.sync_wait
        if wanted == "auto":
            wanted = self._learned.short_run(workflow_id)
        if wanted is None or not self._free:
            return None
        return departure.longest_hold(wanted)

    @contextmanager
    def place(self, hold: int | None) -> Generator[None]:
        """Take a place for a held request, where it is one."""
        taken = hold is not None
        self._free -= taken
        try:
            yield
        finally:
            self._free += taken


def beginning(
    execution: Execution, departure: Departure, *, has_alarm: bool
) -> Beginning:
    """Tell what an execute's answer, and how long it took, say of its run.

    Whether a callback comes where an answer was held is not known: none is counted on.
    """
    now = asyncio.get_running_loop().time()
    left_on = now if departure.left_on is None else departure.left_on
    if not departure.hold:
        return Beginning(now, has_alarm=has_alarm)
    if execution.status is not None:
        is_over = execution.status.ended
    else:
        is_over = _AT_ONCE <= now - left_on < departure.hold
    return Beginning(left_on, is_over=is_over)
