"""Redis goes away for a moment: idle connections are closed, a server restarts.

What is asked of it here may be asked twice without harm, so that it is asked again.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from redis.exceptions import RedisError

_LOG = logging.getLogger(__name__)

T = TypeVar("T")

PATIENCE: Final = 10.0
"""Seconds for which a Redis that does not answer is asked again: it may restart."""
_LONGEST_PAUSE = 2.0

# By itself redis-py repeats nothing on a pool that is made from a URL. Few times, as
# for each of these it connects anew, and repeats that as often.
CONNECTION: Final[dict[str, Any]] = {
    "retry": Retry(ExponentialBackoff(cap=1.0, base=0.05), 3),
    "health_check_interval": 30,
    # Longer than any command here blocks: what a firewall has dropped is silent.
    "socket_timeout": 5.0,
}
"""How connections are made."""


def connected(url: str) -> Redis:
    """Make a client of the Redis at a URL."""
    return Redis.from_url(url, **CONNECTION)  # pyright: ignore[reportUnknownMemberType]


def described(error: Exception) -> str:
    """Say what went wrong: neither words nor `repr` of Redis' errors say enough."""
    return f"{type(error).__name__}: {error}"


async def insist(ask: Callable[[], Awaitable[T]], *, patience: float = PATIENCE) -> T:
    """Ask Redis for something, for so many seconds, until it answers; gives that.

    Raises:
        RedisError: What it said, or did not say, at last.
    """
    loop = asyncio.get_running_loop()
    until, pause = loop.time() + patience, 0.1
    while True:
        try:
            return await ask()
        except RedisError as error:
            if loop.time() + pause > until:
                raise
            if pause < _LONGEST_PAUSE:
                _LOG.warning("Redis is asked again: %s", described(error))
        await asyncio.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)
