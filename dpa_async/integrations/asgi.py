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

from dpa_async.checks import check_type, refuse
from dpa_async.integrations.service import RunnerService
from dpa_async.runner import Runner


def _check_path(_: object, __: object, path: str) -> None:
    check_type("callbacks_at", path, str)
    if not path.startswith("/"):
        refuse("callbacks_at", f"is {path!r}: begin it with /")


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
            in the journal, on the event loop; by default it is logged.

    Raises:
        ConfigurationError: Something that is to make something cannot be called, or
            `callbacks_at` is no path.
    """

    _callbacks_at: str = field(default="/hooks", kw_only=True, validator=_check_path)

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
            ConfigurationError: Something is missing, or the service runs already.
            JournalError: The journal is another process's, or cannot be written.
        """
        receiver = self._receiver()
        async with self._opened(receiver):
            if receiver is None:
                yield
                return
            # Before all routes, of which one may take everything; and for this life
            # only: an application that is started again gets another receiver.
            mount = Mount(self._callbacks_at, receiver.asgi)
            app.router.routes.insert(0, mount)
            try:
                yield
            finally:
                app.router.routes.remove(mount)
