"""What a service has for its life: one client, one runner, and what these need."""

import asyncio
import inspect
import logging
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Final

from attrs import define, field

from dpa_async.batch import Batch, RunOutcome
from dpa_async.callbacks import CallbackReceiver
from dpa_async.checks import check_callable, check_type, refuse
from dpa_async.client import DPAClient
from dpa_async.errors import DPAError
from dpa_async.events import Observer
from dpa_async.journal import Journal
from dpa_async.runner import Runner
from dpa_async.sharing import cancels
from dpa_async.waiting import WaitPolicy

_DEFAULT_POLICY: Final = WaitPolicy()

_log = logging.getLogger("dpa_async")


def log_resumed(outcome: RunOutcome) -> None:
    """Log what became of a run that an earlier process left."""
    if outcome.error is None:
        _log.info("%s, of an earlier process, succeeded", outcome.request.key)
    else:
        _log.error("%s, of an earlier process: %s", outcome.request.key, outcome.error)


def _kept_for_each_start(observers: Iterable[Observer]) -> tuple[Observer, ...]:
    return tuple(observers)


@define(eq=False)
class RunnerService:
    """One client and one runner for the life of a service, made inside its event loop.

    What it is given makes things, and is called at each start: a service can be started
    again, as tests do, and nothing of the environment is read before. With a journal,
    each start goes on with what the process before it left under way.
    """

    _client: Callable[[], DPAClient] = DPAClient.from_env
    _wait: WaitPolicy = field(default=_DEFAULT_POLICY, kw_only=True)
    _callbacks: Callable[[], CallbackReceiver] | None = field(
        default=None, kw_only=True
    )
    _journal: Callable[[], AbstractAsyncContextManager[Journal]] | None = field(
        default=None, kw_only=True
    )
    _observers: Iterable[Observer] = field(
        default=(), kw_only=True, converter=_kept_for_each_start
    )
    _on_resumed: Callable[[RunOutcome], object] = field(
        default=log_resumed, kw_only=True
    )
    _runner: Runner | None = field(default=None, init=False)
    _is_open: bool = field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        """See that what is to be called can be.

        Raises:
            ConfigurationError: It cannot be.
        """
        makers = {
            "client": self._client,
            "callbacks": self._callbacks,
            "journal": self._journal,
            "on_resumed": self._on_resumed,
        }
        for name, maker in makers.items():
            if maker is not None:
                check_callable(name, maker)

    @property
    def runner(self) -> Runner:
        """The one runner of the service.

        Raises:
            ConfigurationError: The service has not started, or has ended.
        """
        if self._runner is None:
            refuse("the service", "is not running: it has a runner from start to end")
        return self._runner

    @asynccontextmanager
    async def _opened(
        self, callbacks: CallbackReceiver | None
    ) -> AsyncGenerator[Runner]:
        """Open it all, for a while; in the end the runner is closed first.

        Raises:
            ConfigurationError: It is open; or something cannot be made.
            JournalError: The journal is somebody's, or cannot be read or written.
        """
        if self._is_open:
            refuse("the service", "is running: make one for each application")
        self._is_open = True
        try:
            async with AsyncExitStack() as life:
                yield await self._make(life, callbacks)
        finally:
            self._is_open = False

    async def _make(
        self, life: AsyncExitStack, callbacks: CallbackReceiver | None
    ) -> Runner:
        """Make what there is for a life of the service."""
        if callbacks is not None:
            _ = await life.enter_async_context(callbacks)
        client = self._client()
        check_type("what `client` makes", client, DPAClient)
        _ = await life.enter_async_context(client)
        journal = None
        if self._journal is not None:
            opening = self._journal()
            kind = AbstractAsyncContextManager
            check_type("what `journal` makes", opening, kind)
            journal = await life.enter_async_context(opening)
        runner = self._runner = Runner(
            client,
            wait=self._wait,
            callbacks=callbacks,
            journal=journal,
            observers=self._observers,
        )
        life.push_async_callback(self._close, runner)
        if journal is not None:
            left = runner.resume()
            telling = asyncio.create_task(self._tell(left))
            life.push_async_callback(asyncio.gather, telling)
            _ = await life.enter_async_context(
                left
            )  # closed first: so the telling ends
        return runner

    async def _close(self, runner: Runner) -> None:
        self._runner = None
        await runner.aclose()

    def _receiver(self) -> CallbackReceiver | None:
        if self._callbacks is None:
            return None
        callbacks = self._callbacks()
        check_type("what `callbacks` makes", callbacks, CallbackReceiver)
        return callbacks

    async def _tell(self, left: Batch) -> None:
        """Tell what becomes of what an earlier process left."""
        try:
            async for outcome in left:
                await self._tell_one(outcome)
        except DPAError as error:
            _log.error("what an earlier process left is not gone on with: %s", error)

    async def _tell_one(self, outcome: RunOutcome) -> None:
        try:
            told = self._on_resumed(outcome)
            if inspect.isawaitable(told):
                _ = await told
        except (Exception, asyncio.CancelledError):  # theirs; there are more to tell
            if cancels():
                raise
            _log.exception("on_resumed raised, of %s", outcome.request.key)
