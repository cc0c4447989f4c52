"""The one wait loop. Whatever wakes it only decides when to look; a look decides."""

import asyncio
from collections.abc import Awaitable, Callable

from dpa_async.errors import (
    ConfigurationError,
    DPAError,
    RunSuspendedError,
    RunUnreachableError,
)
from dpa_async.models import RunRef, RunStatus
from dpa_async.waiting.schedules import Timetable, WaitPolicy


async def wait_for_end(
    ref: RunRef,
    look: Callable[[], Awaitable[RunStatus]],
    timetable: Timetable,
    policy: WaitPolicy,
) -> RunStatus:
    """Look at a run until a look says that it is over.

    A look that fails says nothing of the run: it is taken again, until there was none
    that succeeded for `max_silence` seconds.

    Args:
        ref: The run, for errors.
        look: Reads the run's status.
        timetable: When to look.
        policy: When to give up.

    Raises:
        RunUnreachableError: No look succeeded for too long.
        RunSuspendedError: The run is suspended, and the policy says to raise.
        ConfigurationError: No look can ever succeed: the client is closed, say.
    """
    loop = asyncio.get_running_loop()
    heard_at = loop.time()
    while True:
        await timetable.next_look()
        seen = await _look(look)
        if isinstance(seen, RunStatus):
            heard_at = loop.time()
            if seen.ended:
                return seen
            if seen is RunStatus.SUSPENDED and policy.on_suspended == "raise":
                raise RunSuspendedError(ref, "it is suspended, and stays so for now")
        elif loop.time() - heard_at >= policy.max_silence:
            raise RunUnreachableError(
                ref,
                f"no look succeeded for {policy.max_silence:g} s; the last one: {seen}",
            )


async def _look(look: Callable[[], Awaitable[RunStatus]]) -> RunStatus | str:
    """Look once; where that fails, give the reason."""
    try:
        return await look()
    except ConfigurationError:
        raise
    except DPAError as error:
        return str(error)
