"""What is waited for, and what tells of its end."""

import enum
from collections.abc import Callable
from contextvars import Context
from typing import Protocol

from attrs import frozen

from dpa_async.errors import RunError
from dpa_async.events import Why
from dpa_async.models import RunRef, RunStatus


class Trust(enum.Enum):
    """What a run's next look is left to."""

    ITSELF = "its own schedule"
    YOUNG = "the first list that can tell of it"
    LISTS = "the list that shows it at rest: one showed it running"


@frozen
class Beginning:
    """What is known of a run when waiting for it begins.

    Attributes:
        started_at: The loop's time when it was started; None: it was attached to.
        is_over: Whether its start was answered as if it were over: a look will tell.
        has_alarm: Whether a callback will wake it when it is over.
        is_hearsay: Whether nothing tells of it but a reference.
    """

    started_at: float | None = None
    is_over: bool = False
    has_alarm: bool = False
    is_hearsay: bool = False


ATTACHED = Beginning()
HEARSAY = Beginning(is_hearsay=True)


class Watched(Protocol):
    """A run, as far as waiting for its end has to know it."""

    @property
    def ref(self) -> RunRef:
        """Which run."""
        ...

    @property
    def context(self) -> Context | None:
        """The context variables that its looks see; None: there are none of its own."""
        ...

    async def look(self, why: Why) -> RunStatus:
        """Read its status.

        Raises:
            DPAError: It could not be read.
        """
        ...

    def left(self) -> None:
        """Take note that nobody waits any more."""
        ...

    def given_up(self) -> RunError:
        """Say that nobody looks at it any more."""
        ...


class Alarm(Protocol):
    """What wakes a run when the platform says that it is over."""

    def bind(self, wake: Callable[[], None]) -> None:
        """Wake it so from now on."""
        ...

    def close(self) -> None:
        """Wake it no more."""
        ...
