"""aiohttp.web: one client and one runner for an application's life.

    service = Service()
    app = web.Application()
    service.add_to(app)

    async def start(request):
        run = await service.runner.start("md-report")

It needs no extra.
"""

from collections.abc import AsyncGenerator

from aiohttp import web

from dpa_async.checks import check_type, refuse
from dpa_async.integrations.service import RunnerService


class Service(RunnerService):
    """One client and one runner for the life of an application of aiohttp's.

    `service.runner` is there from when the application starts until it is cleaned up.

    Args:
        client: Makes the client; `DPAClient.from_env` reads `DPA_*`.
        wait: When runs are looked at.
        callbacks: Makes the receiver of callbacks, with no host, and with the address
            of the application for its `public_url`; None: there is none.
        journal: Makes the journal, one of its own for each process; None: there is
            none.
        observers: Called with each `RunEvent`, on the event loop.
        on_resumed: Called with each outcome of what the process before this one left
            in the journal, one after the other, and awaited where it gives something to
            await: the service does not end before. By default that is logged.

    Raises:
        ConfigurationError: Something that is to make something cannot be called.
    """

    def add_to(self, app: web.Application) -> None:
        """Have the runner for as long as the application runs; mounts the receiver.

        When the application is shut down the runner is closed at once: who waits for a
        run is told, with its reference, and holds nothing up. Runs that go on are
        detached from, executes that are out finished. Starting the application raises
        what `DPAClient` and journals raise.

        With callbacks an application is started once: its routes are for good.

        Raises:
            ConfigurationError: The application has started; or the receiver cannot be
                made, or its path is a route already.
        """
        check_type("app", app, web.Application)
        if app.frozen:
            refuse("app", "has started: add the service to it before")
        receiver = self._receiver()
        if receiver is not None:
            receiver.add_to(app)

        async def life(_: web.Application) -> AsyncGenerator[None]:
            if receiver is not None and receiver.closed:
                refuse("the application", "has run, with its callbacks: make a new one")
            async with self._opened(receiver):
                yield

        app.on_shutdown.append(self._stop)
        app.cleanup_ctx.append(life)

    async def _stop(self, _: web.Application) -> None:
        if self._runner is not None:
            await self._runner.aclose()
