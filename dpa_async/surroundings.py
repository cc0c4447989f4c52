"""What a runner's runs have in common."""

from collections.abc import Callable

from attrs import frozen

from dpa_async.client import DPAClient
from dpa_async.events import Announcer
from dpa_async.journal import Journal
from dpa_async.models import RunRef
from dpa_async.sharing import Owner
from dpa_async.waiting import Watch


def _nobody(_: RunRef) -> None:
    """Tell nobody."""


@frozen(eq=False)
class Surroundings:
    """What a runner's runs have in common.

    Attributes:
        client: The platform.
        watch: Looks at runs when they are due.
        announce: Tells observers.
        owner: Of the tasks that read outputs.
        journal: Where starts and ends are written down, or None.
        has_alarms: Whether the platform is asked to call back.
        on_end: Called with a run that was seen to be over.
    """

    client: DPAClient
    watch: Watch
    announce: Announcer
    owner: Owner
    journal: Journal | None
    has_alarms: bool
    on_end: Callable[[RunRef], None] = _nobody
