"""Waiting for a run: the one loop, and the schedules that say when to look."""

from dpa_async.waiting.schedules import WaitPolicy, next_interval, schedule
from dpa_async.waiting.watch import Alarm, End, Wait, Watch

__all__ = ["Alarm", "End", "Wait", "WaitPolicy", "Watch", "next_interval", "schedule"]
