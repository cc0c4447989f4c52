"""What happens to a run, as values, in order; an observer is called with each.

    Queued → Submitted → Looked … StatusChanged … → Ended → OutputsRead
           ↘ Uncertain                           ↘ Detached

Observers are plain callables. They are called on the event loop, so they must be quick;
one that raises harms nobody.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import ParamSpec, TypeAlias

from attrs import frozen

from dpa_async.models import NodeOutputs, RunRef, RunStatus, Submission


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


RunEvent: TypeAlias = (
    Queued
    | Submitted
    | Uncertain
    | Looked
    | StatusChanged
    | Ended
    | OutputsRead
    | Detached
)
Observer: TypeAlias = Callable[[RunEvent], None]

P = ParamSpec("P")

_log = logging.getLogger("dpa_async")


class Announcer:
    """Tells observers what happens; builds no event where nobody listens.

    An observer that raises harms nobody: it is logged, once, and left out from then on.
    """

    def __init__(self, observers: Iterable[Observer] = ()) -> None:
        self._observers = list(observers)

    def __call__(
        self, kind: Callable[P, RunEvent], *args: P.args, **kwargs: P.kwargs
    ) -> None:
        """Make the event of its kind and arguments, and tell everybody."""
        if not self._observers:
            return
        event = kind(*args, **kwargs)
        for observer in tuple(self._observers):
            try:
                observer(event)
            # It is plain code, called: a CancelledError out of it cancels nobody.
            except (Exception, asyncio.CancelledError):  # noqa: BLE001
                self._observers.remove(observer)
                _log.exception("an observer raised, and is told nothing more")
