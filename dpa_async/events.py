"""What happens to a run, as values, in order; an observer is called with each.

    Queued → Submitted → Looked … StatusChanged … → Ended → OutputsRead
           ↘ Uncertain → Unqueued  Attached ↗    ↘ Detached

Observers are plain callables. They are called on the event loop, so they must be quick;
one that raises harms nobody. `log` is one of them: `Runner(client, observers=[log])`.
A look that is out when the last waiter leaves is told all the same, after `Detached`.
What single requests do is told by the client: `DPAClient(settings, observers=[…])` is
called with each `Exchanged`.

Each run has a context of its own (`contextvars`), a copy of that of whoever wanted it:
`Queued` and `Attached` are told in it, and its execute, its looks and the reading of
its outputs go on in it. So what an observer sets there is there for all of these.
`Run.status()` alone looks in its caller's.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Literal, ParamSpec, TypeAlias, TypeVar

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
    """The platform answered an execute: from here on the run has a reference.

    Attributes:
        key: The request's.
        ref: Which run.
        seconds: How long ago the execute left; None where that is not known.
    """

    key: str
    ref: RunRef
    seconds: float | None = None


@frozen
class Uncertain:
    """An execute left, and no answer says what became of it."""

    submission: Submission


@frozen
class Unqueued:
    """A request left its lane with no run of its own.

    Attributes:
        key: The request's.
        workflow_id: Which workflow it was for.
        problem: The name of the error that was raised, such as "WorkflowBusyError";
            "CancelledError" where nobody wanted it any more; None: by the journal, its
            key has a run already.
    """

    key: str
    workflow_id: str
    problem: str | None


@frozen
class Attached:
    """Somebody waits for a run that was there already, or waits for it again."""

    ref: RunRef
    key: str | None = None


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
    """A look saw that the run is over.

    Attributes:
        ref: Which run.
        status: `SUCCEEDED` or `FAILED`.
        at: When that was seen.
        lag: Seconds for which it may have been over by then, at most: since a callback
            told, or else since the last look or list that showed it running, or else
            since its execute was answered. None where nothing of that is known.
    """

    ref: RunRef
    status: RunStatus
    at: datetime
    lag: float | None = None


@frozen
class OutputsRead:
    """The outputs of an ended run were read."""

    ref: RunRef
    outputs: NodeOutputs


@frozen
class Detached:
    """Nobody here looks after the run any more; on the platform it goes on."""

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
    | Unqueued
    | Attached
    | Looked
    | StatusChanged
    | Ended
    | OutputsRead
    | Detached
    | Dropped
)
Observer: TypeAlias = Callable[[RunEvent], None]

How: TypeAlias = Literal[
    "answered", "refused", "turned away", "unexpected", "lost", "not sent", "cancelled"
]
"""How one try of a request went.

The platform did it; it said no; it wanted to be left alone; something else answered;
there was no answer; it never left; nobody waited for its answer any more.
"""


@frozen
class Exchanged:
    """One try of one request, as it went: no URL, no parameter, no header.

    Attributes:
        operation: The platform's name of the interface, such as "getProcessRunStatus".
        how: How it went.
        seconds: From when its head left until its answer was read, or was not; None
            where it never left.
        code: The platform's code where it said no.
    """

    operation: str
    how: How
    seconds: float | None
    code: int | None = None


ExchangeObserver: TypeAlias = Callable[[Exchanged], None]

_OF_A_RUN = (Submitted, Looked, StatusChanged, Ended, OutputsRead, Detached)

P = ParamSpec("P")
_E = TypeVar("_E")

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


def tell(observers: list[Callable[[_E], None]], event: _E) -> None:
    """Call each observer; one that raises is logged, once, and left out from then on.

    Raises nothing.
    """
    for observer in tuple(observers):
        try:
            observer(event)
        # It is plain code, called: a CancelledError out of it cancels nobody.
        except (Exception, asyncio.CancelledError):  # noqa: BLE001
            observers[:] = (other for other in observers if other is not observer)
            _log.exception("an observer raised, and is told nothing more")


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
        tell(self._observers, event)

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
