"""Taskiq: runs spread over workers, each key executed once, whichever worker dies.

    broker = stream_broker("redis://127.0.0.1:6379/0")
    runs = RunTask(broker, "redis://127.0.0.1:6379/0")

Workers are Taskiq's own: `taskiq worker module:broker`. Who sends awaits
`broker.startup()`, and then `runs.spread(requests)`. The extra is `dpa-async[taskiq]`.
"""

from dpa_async.integrations.taskiq.streams import StreamBroker, stream_broker
from dpa_async.integrations.taskiq.tasks import RunTask

__all__ = ["RunTask", "StreamBroker", "stream_broker"]
