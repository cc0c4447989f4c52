"""What a service has for its life: one client, one runner, and what these need."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Final

from attrs import define, field

from dpa_async.batch import Batch, RunOutcome
from dpa_async.callbacks import CallbackReceiver
from dpa_async.checks import refuse
from dpa_async.client import DPAClient
from dpa_async.events import Observer
from dpa_async.journal import Journal
from dpa_async.runner import Runner
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
            if maker is not None and not callable(maker):
                refuse(name, f"is {type(maker).__name__}: give what makes one, called")

    @property
    def runner(self) -> Runner:
        """The one runner of the service.

        Raises:
            ConfigurationError: The service has not started, or has ended.
        """
        if self._runner is None:
            refuse("the service", "is not running: see that its application has it")
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
        if self._runner is not None:
            refuse("the service", "is running: make one for each application")
        async with AsyncExitStack() as life:
            if callbacks is not None:
                _ = await life.enter_async_context(callbacks)
            client = await life.enter_async_context(self._client())
            journal = None
            if self._journal is not None:
                journal = await life.enter_async_context(self._journal())
            runner = await life.enter_async_context(
                Runner(
                    client,
                    wait=self._wait,
                    callbacks=callbacks,
                    journal=journal,
                    observers=self._observers,
                )
            )
            left = None if journal is None else runner.resume()
            resuming = asyncio.create_task(self._taken_up(left))
            self._runner = runner
            try:
                yield runner
            finally:
                self._runner = None
                await runner.aclose()  # and with it what is resumed
                await resuming

    def _receiver(self) -> CallbackReceiver | None:
        return None if self._callbacks is None else self._callbacks()

    async def _taken_up(self, left: Batch | None) -> None:
        """Tell what becomes of what an earlier process left."""
        if left is None:
            return
        async with left:
            async for outcome in left:
                try:
                    self._on_resumed(outcome)
                except Exception:  # noqa: BLE001 - theirs, and there are more to tell
                    _log.exception("on_resumed raised, of %s", outcome.request.key)
