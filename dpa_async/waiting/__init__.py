"""Waiting for a run: the one loop, and what says when to look."""

from dpa_async.waiting.learned import Learned
from dpa_async.waiting.lists import Lists
from dpa_async.waiting.schedules import WaitPolicy, next_interval, schedule
from dpa_async.waiting.sweep import Sweep
from dpa_async.waiting.wait import Wait
from dpa_async.waiting.watch import STALE, End, Watch
from dpa_async.waiting.watched import ATTACHED, HEARSAY, Alarm, Beginning

__all__ = [
    "ATTACHED",
    "HEARSAY",
    "STALE",
    "Alarm",
    "Beginning",
    "End",
    "Learned",
    "Lists",
    "Sweep",
    "Wait",
    "WaitPolicy",
    "Watch",
    "next_interval",
    "schedule",
]
