"""Taskiq's broker on a Redis stream, and what it lacks.

taskiq-redis 1.2 looks for the messages of dead workers only when a new message has
come, so that the last ones of a batch are never delivered again; takes a message whose
task lasts long for one of a dead worker; leaves in the stream for ever what is
acknowledged; and ends the worker when Redis is away for a moment. Taskiq acknowledges
also what has a result that could not be saved.
"""

import asyncio
import logging
import math
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Any, NoReturn
from weakref import WeakSet

from redis.asyncio import Redis
from redis.exceptions import RedisError
from redis.typing import StreamIdT
from taskiq import AckableMessage, BrokerMessage, TaskiqResult
from taskiq.serializers import JSONSerializer
from taskiq_redis import RedisAsyncResultBackend, RedisStreamBroker
from typing_extensions import override

from dpa_async.checks import check_number, check_text
from dpa_async.integrations.taskiq.connections import CONNECTION, described, insist

_LOG = logging.getLogger(__name__)

_KEEP_RESULTS = 7 * 24 * 3600
_AT_ONCE = 10
"""Messages that are fetched at once: what waits behind them could be another's."""
_PAUSE = 1.0
"""Seconds after which a Redis that did not answer is asked for messages again."""
_CLAIMED_AT_ONCE = 1_000
_HOPS = 20
"""Redis looks through 100 messages at a time: so often in a row, then for new ones."""
_BEGINNING = b"0-0"


class _Delivery:
    """Acknowledges a message; Taskiq has it for as long as it is at that one."""

    def __init__(self, broker: "StreamBroker", message_id: bytes) -> None:
        self._broker = broker
        self.message_id = message_id

    async def __call__(self) -> None:
        await self._broker.end(self)


class StreamBroker(RedisStreamBroker):
    """A Redis stream: what a worker died at is delivered again.

    Args:
        url: Where Redis is.
        queue: The stream's name.
        idle_timeout: Seconds after which a worker that is not heard of is dead.
    """

    def __init__(self, url: str, *, queue: str, idle_timeout: float) -> None:
        super().__init__(
            url,
            queue_name=queue,
            # All that the stream has: what is acknowledged is in it no more.
            consumer_id="0",
            idle_timeout=round(idle_timeout * 1000),
            xread_count=_AT_ONCE,
            unacknowledged_batch_size=_AT_ONCE,
            **CONNECTION,
        )
        # Weakly: what Taskiq has dropped without a word is in nobody's hands.
        self._in_hand: WeakSet[_Delivery] = WeakSet()
        self._keeping: asyncio.Task[NoReturn] | None = None
        self._looked_through = _BEGINNING  # for those of dead workers

    @override
    async def startup(self) -> None:
        """Open it; a worker's keeps what is in its hands from then on."""
        await super().startup()
        if self.is_worker_process:
            self._keeping = asyncio.create_task(self._keep())

    @override
    async def shutdown(self) -> None:
        """Close it; what is in this worker's hands goes to another one."""
        if self._keeping is not None:
            self._keeping.cancel()
            _ = await asyncio.wait({self._keeping})
        await super().shutdown()

    @override
    async def kick(self, message: BrokerMessage) -> None:
        """Send a message.

        Raises:
            RedisError: Redis does not take it.
        """
        send = super().kick
        await insist(lambda: send(message))

    @override
    async def listen(self) -> AsyncGenerator[AckableMessage, None]:
        """Give messages: new ones, and those of workers that died."""
        async with Redis(connection_pool=self.connection_pool) as redis:
            while True:
                for fetch in (self._orphans, self._news):
                    try:
                        messages = await fetch(redis)
                    except RedisError as error:
                        _LOG.warning("messages cannot be fetched: %s", described(error))
                        await asyncio.sleep(_PAUSE)
                        with suppress(RedisError):  # one that began anew has no group
                            await self._declare_consumer_group()
                        continue
                    for message_id, data in messages:
                        yield self._delivered(message_id, data)

    async def end(self, delivery: _Delivery) -> None:
        """Take note that a message is done with.

        Raises:
            RedisError: Redis does not answer: it is delivered again.
        """
        self._in_hand.discard(delivery)
        async with Redis(connection_pool=self.connection_pool) as redis:
            both = redis.pipeline(transaction=True)
            message_id = delivery.message_id
            _ = both.xack(self.queue_name, self.consumer_group_name, message_id)
            _ = both.xdel(self.queue_name, message_id)
            await both.execute()

    def _delivered(self, message_id: bytes, data: bytes) -> AckableMessage:
        delivery = _Delivery(self, message_id)
        self._in_hand.add(delivery)
        return AckableMessage(data=data, ack=delivery)

    async def _news(self, redis: Redis) -> list[tuple[bytes, bytes]]:
        asked = redis.xreadgroup(
            self.consumer_group_name,
            self.consumer_name,
            {self.queue_name: ">"},
            count=self.count,
            block=min(self.block, self.idle_timeout),
        )
        news: Any = await asked
        return [
            (message_id, fields[b"data"])
            for _, messages in news or ()
            for message_id, fields in messages
        ]

    async def _orphans(self, redis: Redis) -> list[tuple[bytes, bytes]]:
        held = {delivery.message_id for delivery in self._in_hand}
        for _ in range(_HOPS):  # past what living workers have in their hands
            claimed: Any = await redis.xautoclaim(
                self.queue_name,
                self.consumer_group_name,
                self.consumer_name,
                min_idle_time=self.idle_timeout,
                start_id=self._looked_through,
                count=self.unacknowledged_batch_size,
            )
            self._looked_through = claimed[0]
            orphans = [
                (message_id, fields[b"data"])
                for message_id, fields in claimed[1]
                # Redis 6.2 gives also what was deleted, without fields.
                if fields and message_id not in held
            ]
            if orphans or self._looked_through == _BEGINNING:
                return orphans
        return []

    async def _keep(self) -> NoReturn:
        """Keep what is in hand from going idle: then it was a dead worker's."""
        while True:
            await asyncio.sleep(self.idle_timeout / 4000)
            held: list[StreamIdT] = [each.message_id for each in self._in_hand]
            try:
                async with Redis(connection_pool=self.connection_pool) as redis:
                    for start in range(0, len(held), _CLAIMED_AT_ONCE):
                        await redis.xclaim(
                            self.queue_name,
                            self.consumer_group_name,
                            self.consumer_name,
                            min_idle_time=0,
                            message_ids=held[start : start + _CLAIMED_AT_ONCE],
                            justid=True,
                        )
            except RedisError as error:
                _LOG.warning("what is in hand was not kept: %s", described(error))


class Results(RedisAsyncResultBackend[str]):
    """Results in Redis, as JSON; one is in before its message is acknowledged."""

    @override
    async def set_result(self, task_id: str, result: TaskiqResult[str]) -> None:
        """Save a result, for as long as it takes: Taskiq acknowledges in any case."""
        save = super().set_result
        await insist(lambda: save(task_id, result), patience=math.inf)

    @override
    async def is_result_ready(self, task_id: str) -> bool:
        """Tell whether there is a result.

        Raises:
            RedisError: Redis does not answer.
        """
        look = super().is_result_ready
        return await insist(lambda: look(task_id))

    @override
    async def get_result(
        self,
        task_id: str,
        with_logs: bool = False,
    ) -> TaskiqResult[str]:
        """Give a result.

        Raises:
            RedisError: Redis does not answer.
            ResultIsMissingError: There is none.
        """
        fetch = super().get_result
        return await insist(lambda: fetch(task_id, with_logs=with_logs))


def stream_broker(
    url: str,
    *,
    queue: str = "dpa",
    idle_timeout: float = 600.0,
    keep_results: float = _KEEP_RESULTS,
) -> StreamBroker:
    """Make a broker on a Redis stream, with results in the same Redis, all as JSON.

    taskiq-redis would pickle results: who may write to Redis could then run code in
    whoever reads them.

    Args:
        url: Where Redis is, such as "redis://127.0.0.1:6379/0".
        queue: The stream's name, and what the names of results begin with.
        idle_timeout: Seconds after which a worker that is not heard of is dead, and
            what was in its hands is delivered again.
        keep_results: Seconds for which results wait to be fetched.

    Raises:
        ConfigurationError: An argument cannot be right.
    """
    check_text("queue", queue)
    check_number("idle_timeout", idle_timeout, least=1)
    check_number("keep_results", keep_results, least=1)
    broker = StreamBroker(url, queue=queue, idle_timeout=idle_timeout)
    results = Results(
        url,
        result_px_time=round(keep_results * 1000),
        serializer=JSONSerializer(),
        prefix_str=f"{queue}:result",
        **CONNECTION,
    )
    return broker.with_result_backend(results)
