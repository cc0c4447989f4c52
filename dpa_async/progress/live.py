"""`Progress`: counts while a batch runs, and shows it."""

import asyncio
import logging
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Self, TextIO

from dpa_async.batch import RunOutcome
from dpa_async.checks import check_number
from dpa_async.events import RunEvent
from dpa_async.progress.counts import Counts
from dpa_async.progress.forms import Form, OnTerminal, form_for
from dpa_async.progress.text import Snapshot

_LEAST = 0.05  # seconds: more than twenty times a second nobody sees

_log = logging.getLogger("dpa_async")


class Progress:
    """Shows how far a batch has come: an observer of its runner, and a context manager.

        progress = Progress(total=2000)
        async with progress, Runner(client, observers=[progress]) as runner:
            async for outcome in run_many(runner, requests):
                progress.add(outcome)

    On a terminal a few lines are redrawn in place, in colours unless `NO_COLOR` is set;
    what is printed or logged meanwhile appears above them. Elsewhere, and where `TERM`
    is unset or "dumb", a line is written from time to time. Either way the last state
    stays. Trouble with the file ends the showing, and never the batch.

    Give it the outcomes too: what is refused, or found finished in a journal, no event
    tells, and until then it counts as queued, or not at all. One of them at a time can
    use a terminal.

    Args:
        total: How many requests there are; None: nobody knows, so there is no bar and
            no estimate of what is left.
        file: Where it is shown; None: standard error.
        interval: Seconds between two drawings, or two lines, 0.05 or more; None: 0.25
            on a terminal, else 5.

    Raises:
        ConfigurationError: A number cannot be right.
    """

    def __init__(
        self,
        *,
        total: int | None = None,
        file: TextIO | None = None,
        interval: float | None = None,
    ) -> None:
        if total is not None:
            check_number("total", total, least=0)
        if interval is not None:
            check_number("interval", interval, least=_LEAST)
        self._total = total
        self._file = file
        self._interval = interval
        self._counts: Counts | None = None
        self._form: Form | None = None
        self._timer: asyncio.TimerHandle | None = None

    def __call__(self, event: RunEvent) -> None:
        """Count an event."""
        (self._counts or self._begin()).take(event)

    def add(self, outcome: RunOutcome) -> None:
        """Count an outcome of the batch."""
        (self._counts or self._begin()).add(outcome)

    def snapshot(self) -> Snapshot:
        """Give what is known now; `block` and `line` make text of it."""
        return (self._counts or self._begin()).snapshot()

    def _begin(self) -> Counts:
        self._counts = Counts(self._total, asyncio.get_running_loop().time)
        return self._counts

    async def __aenter__(self) -> Self:
        """Begin to show it."""
        counts = self._counts or self._begin()
        # A process without a console has no standard error.
        file: TextIO | None = sys.stderr if self._file is None else self._file
        if file is not None:
            self._form = form_for(file)
            if isinstance(self._form, OnTerminal):
                self._show(self._form.show, counts.snapshot())
            self._go_on()
        return self

    async def __aexit__(self, *_: object) -> None:
        # Nothing is awaited here: whoever is cancelled once more leaves all the same.
        if self._timer is not None:
            self._timer.cancel()
        form, self._form = self._form, None
        if form is not None and self._counts is not None:
            self._show(form.close, self._counts.snapshot(final=True))

    def _go_on(self) -> None:
        if self._form is not None:
            loop = asyncio.get_running_loop()
            interval = self._interval or self._form.interval
            self._timer = loop.call_later(interval, self._again)

    def _again(self) -> None:
        if self._form is not None and self._counts is not None:
            self._show(self._form.show, self._counts.snapshot())
        self._go_on()

    def _show(self, show: Callable[[Snapshot], None], snapshot: Snapshot) -> None:
        try:
            show(snapshot)
        except BlockingIOError:  # somebody made it non-blocking: another time, then
            pass
        except (OSError, ValueError) as error:
            _log.info("progress is shown no longer: %s", error)
            form, self._form = self._form, None
            if form is not None:
                with suppress(OSError, ValueError):  # what it took, it gives back
                    form.close(snapshot)
