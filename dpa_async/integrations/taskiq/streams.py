"""Taskiq's broker on a Redis stream, and two things that it lacks.

taskiq-redis 1.2 looks for the messages of dead workers only when a new message has
come, so that the last ones of a batch are never delivered again; and it leaves in the
stream for ever what is acknowledged.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

from redis.asyncio import Redis
from taskiq import AckableMessage
from taskiq.serializers import JSONSerializer
from taskiq_redis import RedisAsyncResultBackend, RedisStreamBroker
from typing_extensions import override

_KEEP_RESULTS = 7 * 24 * 3600


class StreamBroker(RedisStreamBroker):
    """A Redis stream: what a worker did not acknowledge is delivered again."""

    @override
    async def listen(self) -> AsyncGenerator[AckableMessage, None]:
        """Give messages: new ones, and those that were idle for `idle_timeout`."""
        async with Redis(connection_pool=self.connection_pool) as redis:
            while True:
                for message_id, data in await self._orphans(redis):
                    yield AckableMessage(data=data, ack=self._done(message_id))
                asked = redis.xreadgroup(
                    self.consumer_group_name,
                    self.consumer_name,
                    {self.queue_name: ">"},
                    count=self.count,
                    block=min(self.block, self.idle_timeout),
                )
                news: Any = await asked
                for _, messages in news or ():
                    for message_id, fields in messages:
                        ack = self._done(message_id)
                        yield AckableMessage(data=fields[b"data"], ack=ack)

    async def _orphans(self, redis: Redis) -> list[tuple[bytes, bytes]]:
        claimed = await redis.xautoclaim(
            self.queue_name,
            self.consumer_group_name,
            self.consumer_name,
            min_idle_time=self.idle_timeout,
            count=self.unacknowledged_batch_size,
        )
        return [(message_id, fields[b"data"]) for message_id, fields in claimed[1]]

    def _done(self, message_id: bytes) -> Callable[[], Awaitable[None]]:
        async def ack() -> None:
            async with Redis(connection_pool=self.connection_pool) as redis:
                both = redis.pipeline(transaction=True)
                _ = both.xack(self.queue_name, self.consumer_group_name, message_id)
                _ = both.xdel(self.queue_name, message_id)
                await both.execute()

        return ack


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
        idle_timeout: Seconds after which a message that is not acknowledged is
            delivered again, to another worker or the same one.
        keep_results: Seconds for which results wait to be fetched.
    """
    broker = StreamBroker(
        url, queue_name=queue, idle_timeout=round(idle_timeout * 1000), xread_count=10
    )
    results = RedisAsyncResultBackend[str](
        url,
        result_px_time=round(keep_results * 1000),
        serializer=JSONSerializer(),
        prefix_str=f"{queue}:result",
    )
    return broker.with_result_backend(results)
