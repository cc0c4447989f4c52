"""Messages that are to be delivered later: in Redis, so that no worker's end loses one.

Brokers on Redis know no delay. What is put here is sent by whichever worker sees first
that it is due. One that dies while it sends leaves it due again a little later: then
it is delivered twice, which does no harm.
"""

import asyncio
import base64
import json
import logging
import math
import uuid
from collections.abc import Awaitable
from typing import Any, Final, NoReturn, cast

from redis.asyncio import Redis
from taskiq import AsyncBroker, BrokerMessage

from dpa_async.integrations.taskiq.connections import described, insist

_LOG = logging.getLogger(__name__)

_AGAIN = 10_000
"""Milliseconds after which what a worker took to send, and did not, is due again."""

# By the clock of Redis, as those of the workers differ.
_PUT: Final = """
local now = redis.call('TIME')
local due = now[1] * 1000 + math.floor(now[2] / 1000) + ARGV[2]
redis.call('ZADD', KEYS[1], due, ARGV[1])
"""
_TAKE: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, 100)
for _, message in ipairs(due) do
  redis.call('ZADD', KEYS[1], now + ARGV[1], message)
end
return due
"""


class Delays:
    """The messages of a broker that are to be delivered later.

    Args:
        redis: Where they are; closed by whoever made it.
        broker: By which they are sent when they are due.
        name: The name of their key: another broker's are elsewhere.
        interval: Seconds between two looks for what is due.
    """

    def __init__(
        self, redis: Redis, broker: AsyncBroker, *, name: str, interval: float
    ) -> None:
        self._redis = redis
        self._broker = broker
        self._name = name
        self._interval = interval

    async def put(self, message: BrokerMessage, delay: float) -> None:
        """Have a message delivered after so many seconds, once Redis takes it.

        Raises nothing but what cancels it: what is not kept must not be acknowledged.
        """
        text = _written(message)
        milliseconds = str(round(delay * 1000))

        def ask() -> Awaitable[object]:
            said = self._redis.eval(_PUT, 1, self._name, text, milliseconds)
            return cast("Awaitable[object]", said)

        await insist(ask, patience=math.inf)

    async def deliver(self) -> NoReturn:
        """Send what is due, for as long as this is awaited.

        Raises nothing but what cancels it.
        """
        while True:
            try:
                await self._send_due()
            except Exception as error:  # noqa: BLE001 - of any broker; next time, then
                _LOG.warning("what is due could not be sent: %s", described(error))
            await asyncio.sleep(self._interval)

    async def _send_due(self) -> None:
        due: Any = self._redis.eval(_TAKE, 1, self._name, str(_AGAIN))
        for text in await due:
            try:
                message = _read(text)
            except (ValueError, TypeError) as error:
                # Left there: it may be of a later version, whose workers can read it.
                _LOG.warning("what is due cannot be read: %s", described(error))
                continue
            await self._broker.kick(message)
            await self._redis.zrem(self._name, text)


def _written(message: BrokerMessage) -> str:
    """Give a message as text; what it carries need not be one."""
    fields = message.model_dump(mode="json", exclude={"message"})
    carried = base64.b64encode(message.message).decode()
    # With a name of its own: the same one may be put in again before it is out.
    return json.dumps([uuid.uuid4().hex, fields, carried])


def _read(text: str | bytes) -> BrokerMessage:
    """Give the message of a text.

    Raises:
        ValueError: It is none; so is `TypeError` raised.
    """
    _, fields, carried = json.loads(text)
    carried = base64.b64decode(carried, validate=True)
    return BrokerMessage.model_validate({**fields, "message": carried})
