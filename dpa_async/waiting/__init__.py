"""Waiting for a run: the one loop, and the schedules that say when to look."""

from dpa_async.waiting.loop import wait_for_end
from dpa_async.waiting.schedules import Timetable, WaitPolicy, schedule

__all__ = ["Timetable", "WaitPolicy", "schedule", "wait_for_end"]
