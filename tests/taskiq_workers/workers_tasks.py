"""What the workers and whoever sends import: the broker and the task."""

import os

from dpa_async import WaitPolicy
from dpa_async.integrations.taskiq import RunTask, stream_broker

REDIS = os.environ["TASKIQ_REDIS"]

broker = stream_broker(REDIS, idle_timeout=2.0)
runs = RunTask(
    broker, REDIS, requeue_delay=0.5, lease=3.0, wait=WaitPolicy(maximum=1.0)
)
