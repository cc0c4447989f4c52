"""The one wait loop. Whatever wakes it only decides when to look; a look decides."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator

from dpa_async.errors import (
    ConfigurationError,
    DPAError,
    RunSuspendedError,
    RunUnreachableError,
)
from dpa_async.models import RunRef, RunStatus
from dpa_async.waiting.schedules import WaitPolicy


async def wait_for_end(
    ref: RunRef,
    look: Callable[[], Awaitable[RunStatus]],
    intervals: Iterator[float],
    policy: WaitPolicy,
) -> RunStatus:
    """Look at a run until a look says that it is over.

    A look that fails says nothing of the run: it is taken again, until there was none
    that succeeded for `max_silence` seconds.

    Args:
        ref: The run, for errors.
        look: Reads the run's status.
        intervals: Seconds before each look.
        policy: When to give up.

    Raises:
        RunUnreachableError: No look succeeded for too long.
        RunSuspendedError: The run is suspended, and the policy says to raise.
        ConfigurationError: No look can ever succeed: the client is closed, say.
    """
    loop = asyncio.get_running_loop()
    heard_at = loop.time()
    for interval in intervals:
        await asyncio.sleep(interval)
        try:
            status = await look()
        except ConfigurationError:
            raise
        except DPAError as error:
            if loop.time() - heard_at >= policy.max_silence:
                raise RunUnreachableError(
                    ref,
                    f"no look succeeded for {policy.max_silence:g} s; the last one: "
                    f"{error}",
                ) from None
            continue
        if status.ended:
            return status
        if status is RunStatus.SUSPENDED and policy.on_suspended == "raise":
            raise RunSuspendedError(ref, "it is suspended; on the platform it stays so")
        heard_at = loop.time()
    raise AssertionError  # the intervals have no end
