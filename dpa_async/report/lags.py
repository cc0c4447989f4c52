"""How late the ends of runs were seen."""

from dpa_async.events import Ended, RunEvent
from dpa_async.models import RunRef


class Lags:
    """An observer that notes how late the end of each run was seen, at most.

        lags = Lags()
        async with Runner(client, observers=[lags]) as runner:
            ...

    A journal does not tell that. See `Ended` for what is known of it.

    Attributes:
        seconds: By run, as far as they ended.
    """

    def __init__(self) -> None:
        self.seconds: dict[RunRef, float] = {}

    def __call__(self, event: RunEvent) -> None:
        """Note the lag that an event tells."""
        if isinstance(event, Ended) and event.lag is not None:
            self.seconds[event.ref] = event.lag
