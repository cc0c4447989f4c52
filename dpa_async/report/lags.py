"""How late the ends of runs were seen."""

import asyncio

from dpa_async.events import Detached, Looked, RunEvent, Submitted
from dpa_async.models import RunRef


class Lags:
    """An observer that notes how late the end of each run was seen, at most.

        lags = Lags()
        async with Runner(client, observers=[lags]) as runner:
            ...

    A run ended after the look before the one that saw it, so its lag is less than what
    lay between the two; a journal does not tell that.

    Attributes:
        seconds: By run, as far as they ended.
    """

    def __init__(self) -> None:
        self.seconds: dict[RunRef, float] = {}
        self._seen_running: dict[RunRef, float] = {}

    def __call__(self, event: RunEvent) -> None:
        """Note the time of one event."""
        match event:
            case Submitted(ref=ref):
                self._seen_running[ref] = asyncio.get_running_loop().time()
            case Looked(ref=ref, status=status) if status is not None:
                now = asyncio.get_running_loop().time()
                if not status.ended:
                    self._seen_running[ref] = now
                elif (before := self._seen_running.pop(ref, None)) is not None:
                    self.seconds[ref] = now - before
            case Detached(ref=ref):
                self._seen_running.pop(ref, None)
            case _:
                pass
