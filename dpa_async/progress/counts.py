"""What the events and outcomes of a batch add up to."""

from collections import deque
from collections.abc import Callable
from heapq import nsmallest
from operator import itemgetter
from typing import Literal, TypeAlias
from weakref import WeakKeyDictionary

from dpa_async.batch import RunOutcome
from dpa_async.errors import (
    ConfigurationError,
    DPAError,
    OutputsUnavailableError,
    RunFailedError,
    SubmissionUncertainError,
)
from dpa_async.events import (
    Detached,
    Ended,
    Looked,
    OutputsRead,
    Queued,
    RunEvent,
    Submitted,
    Uncertain,
)
from dpa_async.models import RunRef, RunStatus
from dpa_async.progress.lanes import Lanes
from dpa_async.progress.text import Snapshot

_Fate: TypeAlias = Literal["succeeded", "failed", "uncertain", "not started", "left"]

_SLOWEST = 3
_WINDOW = 15.0  # seconds, for what is so much per second
_SAMPLED = 1.0  # seconds between two samples, and between two surveys, at the least
_SURVEYED = 10_000  # open runs and lanes for each second between two surveys


class Counts:
    """Adds up events and outcomes: a few steps for each, whatever there is already.

    It knows what is open, and of what ended only what somebody else still holds: where
    nobody keeps results, a million runs take no more memory than those that go on.

    Args:
        total: How many requests there are; None: nobody knows.
        clock: Gives the moment, in seconds.
    """

    def __init__(self, total: int | None, clock: Callable[[], float]) -> None:
        self._total = total
        self._clock = clock
        self._began = began = clock()
        self._queued: dict[str, str] = {}  # keys: their workflows
        self._open: dict[RunRef, float] = {}  # since when
        self._adopted: set[RunRef] = set()  # of these, those that are older than that
        self._doubts: set[str] = set()  # keys, until their outcomes
        # What an event told already: the outcome will tell it once more.
        self._told: WeakKeyDictionary[RunRef, _Fate] = WeakKeyDictionary()
        self._fates: dict[_Fate, int] = {
            "succeeded": 0,
            "failed": 0,
            "uncertain": 0,
            "not started": 0,
            "left": 0,
        }
        self._lanes = Lanes()
        self._runs = self._executes = self._looks = self._reads = self._ended = 0
        self._samples = deque([(began, 0, 0)])
        self._slowest: list[tuple[RunRef, float]] = []
        self._ends_at: float | None = None
        self._surveyed_at: float | None = None

    def take(self, event: RunEvent) -> None:
        """Count an event."""
        if isinstance(event, Looked):
            self._looks += 1
            if event.ref not in self._open:
                self._adopt(event.ref)
        elif isinstance(event, Queued):
            self._queue(event)
        elif isinstance(event, Submitted):
            self._executes += 1
            self._unqueue(event.key)
            self._run(event.ref)
        elif isinstance(event, Ended):
            self._end(event)
        elif isinstance(event, OutputsRead):
            self._reads += 1
        else:
            self._take_trouble(event)

    def _take_trouble(self, event: RunEvent) -> None:
        if isinstance(event, Uncertain):
            self._doubt(event.submission.key)
        elif isinstance(event, Detached):
            self._leave(event.ref)

    def _doubt(self, key: str) -> None:
        self._executes += 1
        self._unqueue(key)
        self._doubts.add(key)

    def _leave(self, ref: RunRef) -> None:
        if self._close(ref) is not None:
            self._adopted.discard(ref)
            self._fates["left"] += 1
            self._told[ref] = "left"

    def _adopt(self, ref: RunRef) -> None:
        """Take up a run that somebody else started, at the first look at it."""
        if ref not in self._told:  # of what is told, an old look comes late
            self._run(ref)
            self._adopted.add(ref)

    def _run(self, ref: RunRef) -> None:
        self._runs += 1
        self._open[ref] = now = self._clock()
        self._lanes.run(ref.workflow_id, now)

    def _queue(self, event: Queued) -> None:
        twin = self._queued.get(event.key)
        if twin is not None:  # without a journal two may share a key: they are one here
            self._lanes.unqueue(twin)
        self._queued[event.key] = event.workflow_id
        self._lanes.queue(event.workflow_id)

    def _unqueue(self, key: str) -> None:
        workflow_id = self._queued.pop(key, None)
        if workflow_id is None:
            self._doubts.discard(key)
        else:
            self._lanes.unqueue(workflow_id)

    def _close(self, ref: RunRef) -> float | None:
        since = self._open.pop(ref, None)
        if since is not None:
            self._lanes.end(ref.workflow_id)
        return since

    def _end(self, event: Ended) -> None:
        ref = event.ref
        since = self._close(ref)
        if since is None:
            if self._told.get(ref) != "left":
                return
            self._fates["left"] -= 1
        elif ref not in self._adopted:
            self._lanes.learn(ref.workflow_id, self._clock() - since)
        self._adopted.discard(ref)
        self._ended += 1
        fate: _Fate = "succeeded" if event.status is RunStatus.SUCCEEDED else "failed"
        self._fates[fate] += 1
        self._told[ref] = fate

    def add(self, outcome: RunOutcome) -> None:
        """Count an outcome; what events told of it is not counted again."""
        error, result = outcome.error, outcome.result
        ref = None if result is None else result.ref
        ref = ref if error is None else error.ref
        if error is not None and error.submission is not None:
            self._unqueue(error.submission.key)
        elif result is not None and outcome.request.key is not None:
            self._unqueue(outcome.request.key)
        fate: _Fate = "succeeded" if error is None else self._fate(error, ref)
        if ref is not None and fate != "not started":
            self._close(ref)
            self._adopted.discard(ref)
            told = self._told.pop(ref, None)
            if told is not None:
                self._fates[told] -= 1
            if fate == "left":  # so that a look at it that comes late is known
                self._told[ref] = fate
        self._fates[fate] += 1

    def _fate(self, error: DPAError, ref: RunRef | None) -> _Fate:
        if isinstance(error, SubmissionUncertainError):
            return "uncertain"
        if isinstance(error, RunFailedError | OutputsUnavailableError):
            return "failed"
        told = None if ref is None else self._told.get(ref)
        if ref is None or (
            isinstance(error, ConfigurationError)
            and told is None
            and ref not in self._open
        ):
            return "not started"
        return "left" if told in (None, "left") else "failed"

    def snapshot(self, *, final: bool = False) -> Snapshot:
        """Give what there is to show.

        Args:
            final: Whether it is over: then what is so much per second is that of all
                the time, and not of the last quarter of a minute.
        """
        now = self._clock()
        self._survey(now)
        requests = self._executes + self._looks + self._reads
        then, ended, asked = (self._began, 0, 0) if final else self._samples[0]
        seconds = now - then
        left = None if final or self._ends_at is None else self._ends_at - now
        return Snapshot(
            total=self._total,
            queued=len(self._queued),
            running=len(self._open),
            succeeded=self._fates["succeeded"],
            failed=self._fates["failed"],
            uncertain=self._fates["uncertain"] + len(self._doubts),
            not_started=self._fates["not started"],
            left_running=self._fates["left"],
            elapsed=now - self._began,
            runs_per_second=(self._ended - ended) / seconds if seconds > 0 else None,
            requests_per_second=(requests - asked) / seconds if seconds > 0 else None,
            looks_per_run=self._looks / self._runs if self._runs else None,
            seconds_left=None if left is None else max(0.0, left),
            slowest=tuple(
                (ref.workflow_id, now - since)
                for ref, since in self._slowest
                if ref in self._open and not final
            ),
        )

    def _survey(self, now: float) -> None:
        """Look through all that is open, which is not done for each snapshot."""
        pause = max(_SAMPLED, (len(self._open) + len(self._lanes)) / _SURVEYED)
        if self._surveyed_at is not None and now - self._surveyed_at < pause:
            return
        self._surveyed_at = now
        asked = self._executes + self._looks + self._reads
        self._samples.append((now, self._ended, asked))
        while len(self._samples) > 1 and now - self._samples[1][0] >= _WINDOW:
            self._samples.popleft()
        self._slowest = nsmallest(_SLOWEST, self._open.items(), key=itemgetter(1))
        self._ends_at = self._estimated(now)

    def _estimated(self, now: float) -> float | None:
        if self._total is None:
            return None
        known = len(self._queued) + len(self._open) + len(self._doubts)
        unread = max(0, self._total - known - sum(self._fates.values()))
        left = self._lanes.left(now, running=len(self._open), unread=unread)
        return None if left is None else now + left
