"""What happens to a run, as values, in order; an observer is called with each.

    Queued → Submitted → Looked … StatusChanged … → Ended → OutputsRead
           ↘ Uncertain                           ↘ Detached

Observers are plain callables. They are called on the event loop, so they must be quick;
one that raises harms nobody. `log` is one of them: `Runner(client, observers=[log])`.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Literal, ParamSpec, TypeAlias

from attrs import frozen

from dpa_async.models import NodeOutputs, RunRef, RunStatus, Submission

Why: TypeAlias = Literal["schedule", "sweep", "callback", "safety", "asked"]
"""What a look is taken for: the run's schedule, an alarm, or somebody who asks."""


@frozen
class Queued:
    """A request waits in its workflow's lane; nothing was sent."""

    key: str
    workflow_id: str


@frozen
class Submitted:
    """The platform answered an execute: from here on the run has a reference."""

    key: str
    ref: RunRef


@frozen
class Uncertain:
    """An execute left, and no answer says what became of it."""

    submission: Submission


@frozen
class Looked:
    """One status read of a run; `status` is None where the look failed."""

    ref: RunRef
    status: RunStatus | None
    why: Why


@frozen
class StatusChanged:
    """A look saw another status than the look before."""

    ref: RunRef
    before: RunStatus
    after: RunStatus


@frozen
class Ended:
    """A look saw that the run is over."""

    ref: RunRef
    status: RunStatus
    at: datetime


@frozen
class OutputsRead:
    """The outputs of an ended run were read."""

    ref: RunRef
    outputs: NodeOutputs


@frozen
class Detached:
    """Nobody waits for the run any more; on the platform it goes on."""

    ref: RunRef


@frozen
class Dropped:
    """So many events were left out here: whoever reads them is too slow."""

    ref: RunRef
    count: int


RunEvent: TypeAlias = (
    Queued
    | Submitted
    | Uncertain
    | Looked
    | StatusChanged
    | Ended
    | OutputsRead
    | Detached
    | Dropped
)
Observer: TypeAlias = Callable[[RunEvent], None]

_OF_A_RUN = (Submitted, Looked, StatusChanged, Ended, OutputsRead, Detached)

P = ParamSpec("P")

_KEPT_FOR_A_SLOW_READER = 1_000
_log = logging.getLogger("dpa_async")


def log(event: RunEvent) -> None:
    """Observe by writing to the logger `dpa_async`: looks at DEBUG, the rest at INFO.

    Outputs are not written, only the names of their nodes.
    """
    level = logging.DEBUG if isinstance(event, Looked) else logging.INFO
    if isinstance(event, OutputsRead):
        names = ", ".join(output.node_name for output in event.outputs)
        _log.log(level, "OutputsRead(ref=%s, nodes=%r)", event.ref, names)
    else:
        _log.log(level, "%s", event)


class Stream:
    """The events of one run for one reader; a slow one misses the oldest, and is told.

    Args:
        ref: Which run.
    """

    def __init__(self, ref: RunRef) -> None:
        self._ref = ref
        self._events: deque[RunEvent] = deque()
        self._dropped = 0
        self._news = asyncio.Event()

    def put(self, event: RunEvent) -> None:
        """Add an event; never waits."""
        if len(self._events) == _KEPT_FOR_A_SLOW_READER:
            self._events.popleft()
            self._dropped += 1
        self._events.append(event)
        self._news.set()

    def wake(self, _: object = None) -> None:
        """Have the reader look, though there may be no event."""
        self._news.set()

    def take(self) -> Iterator[RunEvent]:
        """Give what there is by now; first of all how many events were left out."""
        if self._dropped:
            dropped, self._dropped = self._dropped, 0
            yield Dropped(self._ref, dropped)
        while self._events:
            yield self._events.popleft()

    async def wait(self) -> None:
        """Wait for something to take, or to be woken; raises nothing."""
        await self._news.wait()
        self._news.clear()


class Announcer:
    """Tells observers what happens; builds no event where nobody listens.

    An observer that raises harms nobody: it is logged, once, and left out from then on.
    """

    def __init__(self, observers: Iterable[Observer] = ()) -> None:
        self._observers = list(observers)
        self._streams: dict[RunRef, list[Stream]] = {}

    def __call__(
        self, kind: Callable[P, RunEvent], *args: P.args, **kwargs: P.kwargs
    ) -> None:
        """Make the event of its kind and arguments, and tell everybody."""
        if not (self._observers or self._streams):
            return
        event = kind(*args, **kwargs)
        if isinstance(event, _OF_A_RUN):
            for stream in self._streams.get(event.ref, ()):
                stream.put(event)
        for observer in tuple(self._observers):
            try:
                observer(event)
            # It is plain code, called: a CancelledError out of it cancels nobody.
            except (Exception, asyncio.CancelledError):  # noqa: BLE001
                self._observers.remove(observer)
                _log.exception("an observer raised, and is told nothing more")

    @contextmanager
    def stream(self, ref: RunRef) -> Generator[Stream]:
        """Give the events of one run to one more reader, for a while."""
        stream = Stream(ref)
        readers = self._streams.setdefault(ref, [])
        readers.append(stream)
        try:
            yield stream
        finally:
            readers.remove(stream)
            if not readers:
                del self._streams[ref]
