"""Starlette and FastAPI: one client and one runner for an application's life.

    service = Service()
    app = FastAPI(lifespan=service.lifespan)

    @app.post("/reports")
    async def start(runner: Annotated[Runner, Depends(service)]): ...

Who uses it has Starlette; there is no extra for it.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from attrs import define, field
from starlette.applications import Starlette
from starlette.routing import Mount

from dpa_async.callbacks import CallbackReceiver
from dpa_async.checks import check_path, refuse
from dpa_async.integrations.service import RunnerService
from dpa_async.runner import Runner


def _check_callbacks_at(_: object, __: object, path: object) -> None:
    check_path("callbacks_at", path, such_as="/hooks")


@define(eq=False)
class Service(RunnerService):
    """One client and one runner for the life of an ASGI application.

    `lifespan` is the application's, or entered in a lifespan of your own. The service
    itself is a dependency that gives the runner; `service.runner` is the same where
    there is no request.

    Args:
        client: Makes the client; `DPAClient.from_env` reads `DPA_*`.
        wait: When runs are looked at.
        callbacks: Makes the receiver of callbacks, with no host, and with the address
            of `callbacks_at` for its `public_url`; None: there is none.
        callbacks_at: The path at which the receiver is mounted, before all routes.
        journal: Makes the journal, one of its own for each process; None: there is
            none.
        observers: Called with each `RunEvent`, on the event loop.
        on_resumed: Called with each outcome of what the process before this one left
            in the journal, one after the other, and awaited where it gives something to
            await: the service does not end before. By default that is logged.

    Raises:
        ConfigurationError: Something that is to make something cannot be called, or
            `callbacks_at` is no path.
    """

    _callbacks_at: str = field(
        default="/hooks", kw_only=True, validator=_check_callbacks_at
    )

    async def __call__(self) -> Runner:
        """Give the runner: `Annotated[Runner, Depends(service)]`.

        Raises:
            ConfigurationError: The service is not running.
        """
        return self.runner

    @asynccontextmanager
    async def lifespan(self, app: Starlette) -> AsyncGenerator[None]:
        """Have the runner for as long as the application runs.

        Runs that go on when it ends are detached from, executes that are out finished.

        Raises:
            ConfigurationError: Something is missing, the service runs already, or
                something else is mounted at `callbacks_at`.
            JournalError: The journal is another process's, or cannot be written.
        """
        receiver = self._receiver()
        mounts = [] if receiver is None else [self._mount_on(app, receiver)]
        routes = app.router.routes
        async with self._opened(receiver):
            # Before all routes, of which one may take everything; and for this life
            # only: an application that is started again gets another receiver.
            routes[:0] = mounts
            try:
                yield
            finally:
                routes[:] = (route for route in routes if route not in mounts)

    def _mount_on(self, app: Starlette, receiver: CallbackReceiver) -> Mount:
        mounts = [route for route in app.router.routes if isinstance(route, Mount)]
        if any(mount.path == self._callbacks_at for mount in mounts):
            words = "is taken: give each service, and each mount, a path of its own"
            refuse("callbacks_at", f"{self._callbacks_at!r} {words}")
        return Mount(self._callbacks_at, receiver.asgi)
