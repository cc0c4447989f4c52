"""One client and one runner for the jobs of a scheduler."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from apscheduler.schedulers.asyncio import AsyncIOScheduler

from dpa_async.integrations.apscheduler.firing import Firing, scheduling
from dpa_async.integrations.service import RunnerService


class Service(RunnerService):
    """One client and one runner for the jobs of a scheduler.

    Each fire has a key, of its job's id and the time that it was due. With a journal a
    fire is run once for good, also where it is fired again after a crash; and runs that
    were under way when the process ended are gone on with at the next start.

    Args:
        client: Makes the client; `DPAClient.from_env` reads `DPA_*`.
        wait: When runs are looked at.
        callbacks: Makes the receiver of callbacks; None: there is none.
        journal: Makes the journal; None: there is none.
        observers: Called with each `RunEvent`, on the event loop.
        on_resumed: Called with each outcome of what the process before this one left
            in the journal, one after the other, and awaited where it gives something to
            await: the service does not end before. By default that is logged. Of what
            is fired here, APScheduler tells.

    Raises:
        ConfigurationError: Something that is to make something cannot be called.
    """

    @asynccontextmanager
    async def scheduling(
        self, scheduler: AsyncIOScheduler, *, drain_timeout: float = 0.0
    ) -> AsyncGenerator[Firing]:
        """Start the scheduler with a runner of its own, and at the end shut both down.

        As `scheduling` does; executes that are out then are finished.

        Args:
            scheduler: Not started yet.
            drain_timeout: In seconds.

        Yields:
            What has the jobs, and what `draining` closes on a signal.

        Raises:
            ConfigurationError: Something is missing or cannot be right; the service or
                the scheduler runs already.
            JournalError: The journal is another process's, or cannot be written.
        """
        async with (
            self._opened(self._receiver()) as runner,
            scheduling(scheduler, runner, drain_timeout=drain_timeout) as firing,
        ):
            yield firing
