"""`DPAClient`: the platform's interfaces, one method each, typed."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from typing import Self, TypeVar, cast

import aiohttp

from dpa_async.auth import TokenManager, TokenProvider
from dpa_async.checks import check_type, refuse
from dpa_async.errors import AuthenticationError, ConfigurationError, DPAError
from dpa_async.events import ExchangeObserver
from dpa_async.models import (
    AccessToken,
    Execution,
    InputVariable,
    NodeOutputs,
    RunRef,
    RunStatus,
    Workflow,
    WorkflowStatuses,
)
from dpa_async.settings import Settings
from dpa_async.sharing import Closeable
from dpa_async.transport import Backend, Departure, Transport
from dpa_async.transport.aiohttp_backend import AiohttpBackend
from dpa_async.wire import replies, requests
from dpa_async.wire.messages import Reply, Request

_T = TypeVar("_T")

_TOKEN_OPERATIONS = frozenset({"authorize", "token"})
_REFUSED_AFRESH = 5.0
"""Seconds for which a fresh token that was refused keeps others from being fetched."""


_C = TypeVar("_C", bound=Closeable)


class DPAClient:
    """The platform's interfaces as coroutines; an async context manager.

    One client serves any number of tasks of one event loop. Every method may raise
    `AuthenticationError`, `TransportError`, `UnexpectedResponseError` and the other
    `APIError`s; a token that is refused is renewed, and the call repeated, once.

    Args:
        settings: Which platform, and who we are.
        session: A session of the caller's whose connections the reads then use. It is
            never closed here; executes and tokens have connections of their own.
        tokens: Where tokens come from; None: a `TokenManager` of its own.
        backend: What sends single requests, instead of aiohttp: a platform in memory.
            It is never closed here.
        observers: Called with each `dpa_async.events.Exchanged`, on the event loop: one
            for each try of a request, those for tokens of its own `TokenManager` too.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        session: aiohttp.ClientSession | None = None,
        tokens: TokenProvider | None = None,
        backend: Backend | None = None,
        observers: Iterable[ExchangeObserver] = (),
    ) -> None:
        check_type("settings", settings, Settings)
        self.settings = settings
        self._owned: list[Closeable] = []
        if backend is None:
            backend = AiohttpBackend(settings, session)
            self._owned.append(backend)
        self._transport = Transport(settings, backend, observers)
        if tokens is None:
            tokens = TokenManager(settings, self._transport)
            self._owned.append(tokens)
        self.tokens = tokens
        self._companions: dict[object, Closeable] = {}
        self._adopted: list[Closeable] = []
        self._closing = asyncio.Lock()
        # A token that was refused just after it was fetched, and until when it counts.
        self._refused_afresh: tuple[AccessToken | None, str, float] = (None, "", 0.0)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False

    @classmethod
    def from_env(cls) -> Self:
        """Make a client of the `DPA_*` environment variables.

        Raises:
            ConfigurationError: One is missing or cannot be right.
        """
        return cls(Settings.from_env())

    async def __aenter__(self) -> Self:
        """Use it in `async with`, so that everything it opened is closed."""
        self._check_usable()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close what lives with the client, then its connections; raises nothing."""
        self._closed = True
        async with self._closing:  # who closes as well waits until it is done
            # Forgotten only when it is closed: closing can be cancelled, and resumed.
            for owned in (self._adopted, self._owned):
                while owned:
                    companion = owned[-1]
                    await companion.aclose()
                    if companion in owned:
                        owned.remove(companion)

    def companion(self, kind: Callable[[Self], _C]) -> _C:
        """Give the one `kind(client)` that is made at first use and adopted.

        Raises:
            ConfigurationError: The client is closed, or of another event loop.
        """
        self._check_usable()
        if kind not in self._companions:
            self._companions[kind] = kind(self)
        return cast("_C", self._companions[kind])

    def adopt(self, companion: Closeable) -> None:
        """Close something before the connections that it works with."""
        self._adopted.append(companion)

    def release(self, companion: Closeable) -> None:
        """Forget something that was adopted and has ended by itself."""
        if companion in self._adopted:
            self._adopted.remove(companion)

    def check_origin(self, run: RunRef) -> None:
        """See that a run is of this platform.

        Raises:
            ConfigurationError: It is another platform's.
        """
        check_type("run", run, RunRef)
        if run.origin != self.settings.base_url:
            msg = f"run {run} is not of this platform, {self.settings.base_url}"
            raise ConfigurationError(msg)

    async def list_variables(self, workflow_id: str) -> list[InputVariable]:
        """Ask which parameters a workflow takes; empty where it takes none.

        Rests on interface 2, listVar.

        Raises:
            APIError: The platform refused, for example an unknown workflow.
            TransportError: There was no answer.
            UnexpectedResponseError: Something else answered.
        """
        return await self._call(
            requests.list_variables(self.settings, workflow_id),
            partial(replies.variables, self.settings),
        )

    async def execute(
        self,
        workflow_id: str,
        params: Mapping[str, object] | None = None,
        *,
        callback_url: str | None = None,
        sync_wait: float | None = None,
        designated_nodes_only: bool = False,
        departure: Departure | None = None,
    ) -> Execution:
        """Execute a workflow, once; it may have started a run whatever this raises.

        It is sent again only where it certainly did not reach the platform or was
        turned away. Rests on interface 3; there is no cancel.

        Args:
            workflow_id: Which workflow; its execute URL comes from the settings.
            params: Its parameters by name; None or empty: none.
            callback_url: Where the platform reports the end of the run.
            sync_wait: Seconds (whole ones, 1 or more) that the answer is held until the
                run ends; None: it comes at once.
            designated_nodes_only: Whether outputs are of designated nodes only.
            departure: Tells whether the request is out there, while this goes on.

        Raises:
            ConfigurationError: Nothing was sent: no execute URL, or bad parameters.
            APIError: The platform refused. With `ServerError`, `OperationFailedError`
                or an unknown code a run may have been started.
            TransportError: There was no answer; `request_sent` tells whether a run may
                have been started.
            UnexpectedResponseError: Something else answered, or the wrong workflow was
                started (then `ref` names its run).
        """
        if callback_url is not None:
            check_type("callback_url", callback_url, str)

        def held_for(hold: float | None) -> Request:
            return requests.execute(
                self.settings,
                workflow_id,
                params,
                callback_url=callback_url,
                sync_wait=hold,
                designated_nodes_only=designated_nodes_only,
            )

        if departure is not None and sync_wait is not None:
            departure.held_for = held_for
        read = partial(replies.execution, self.settings, workflow_id)
        return await self._call(held_for(sync_wait), read, departure)

    async def get_run_status(self, run: RunRef, *, repeat: bool = True) -> RunStatus:
        """Ask how a run is: the only thing that decides whether it ended.

        Rests on interface 4, getProcessRunStatus.

        Args:
            run: Which run.
            repeat: Whether to ask again where there is no usable answer; False for who
                asks again anyway.

        Raises:
            ConfigurationError: The run is another platform's.
            APIError: The platform refused, for example an unknown run.
            TransportError: There was no answer.
            UnexpectedResponseError: Something else answered, or about another run.
        """
        self.check_origin(run)
        return await self._call(
            requests.run_status(self.settings, run, repeatable=repeat),
            partial(replies.run_status, self.settings, run),
        )

    async def list_workflows(self) -> list[Workflow]:
        """Ask for all workflows of the user, with the status of each.

        Rests on interface 6, listAll. How fresh it is after an execute is not known.

        Raises:
            APIError: The platform refused.
            TransportError: There was no answer.
            UnexpectedResponseError: Something else answered.
        """
        return await self._call(
            requests.list_workflows(self.settings),
            partial(replies.workflows, self.settings),
        )

    async def list_statuses(self, *, repeat: bool = True) -> WorkflowStatuses:
        """Ask for the status of every workflow, and for nothing else of it.

        Rests on interface 6, listAll, as `list_workflows`, and is several times as
        quick for long lists.

        Args:
            repeat: Whether to ask again where there is no usable answer; False for who
                asks again anyway.

        Raises:
            APIError: The platform refused.
            TransportError: There was no answer.
            UnexpectedResponseError: Something else answered.
        """
        return await self._call(
            requests.list_workflows(self.settings, repeatable=repeat),
            replies.statuses,
        )

    async def get_outputs(
        self, run: RunRef, *, designated_nodes_only: bool = False
    ) -> NodeOutputs:
        """Ask for the outputs of a run's api and shell nodes; empty where none are.

        Rests on interface 7, getOutParamByModelId.

        Raises:
            ConfigurationError: The run is another platform's.
            APIError: The platform refused.
            TransportError: There was no answer.
            UnexpectedResponseError: Something else answered.
        """
        self.check_origin(run)
        return await self._call(
            requests.outputs(
                self.settings, run, designated_nodes_only=designated_nodes_only
            ),
            partial(replies.outputs, self.settings),
        )

    async def _call(
        self,
        request: Request,
        read: Callable[[Request, Reply], _T],
        departure: Departure | None = None,
    ) -> _T:
        """Send a request with a token; where that is refused, once with another."""
        self._check_usable()
        # Not its value: a debugger or a crash reporter shows the locals of frames.
        used: AccessToken | None = None

        async def token() -> AccessToken:
            nonlocal used
            used = await _provided(self.tokens.get())
            return used

        try:
            return await self._transport.call(request, read, departure, token)
        except AuthenticationError as refusal:
            if used is None or not self._worth_renewing(
                request, refusal, used, departure
            ):
                raise
        await _provided(self.tokens.renew(rejected=used))
        try:
            return await self._transport.call(request, read, departure, token)
        except AuthenticationError:
            now = asyncio.get_running_loop().time()
            self._refused_afresh = (used, request.operation, now + _REFUSED_AFRESH)
            raise

    def _worth_renewing(
        self,
        request: Request,
        refusal: AuthenticationError,
        used: AccessToken,
        departure: Departure | None,
    ) -> bool:
        """Tell whether another token could help.

        Not where there is none to be had, where nobody waits any more, and where this
        one was refused for the same kind of read just after it was fetched: it is then
        about something else than the token, and a thousand runs must not fetch a
        thousand tokens to be told the same.
        """
        if refusal.operation in _TOKEN_OPERATIONS:
            return False
        if departure is not None and departure.abandoned:
            return False
        if departure is not None:  # an execute is worth a token, always
            return True
        token, operation, until = self._refused_afresh
        if token is None or (used.value, request.operation) != (token.value, operation):
            return True
        return asyncio.get_running_loop().time() >= until

    def _check_usable(self) -> None:
        loop = asyncio.get_running_loop()
        if self._closed:
            msg = "the client is closed: make a new one"
            raise ConfigurationError(msg)
        if self._loop is None:
            self._loop = loop
        elif self._loop is not loop:
            msg = "the client belongs to another event loop: make one in each loop"
            raise ConfigurationError(msg)


async def _provided(giving: Awaitable[AccessToken]) -> AccessToken:
    """Take what a token provider gives; a foreign one can make mistakes.

    Raises:
        ConfigurationError: It raised something foreign, or gave no token.
    """
    try:
        token = await giving
    except DPAError:
        raise
    except Exception as error:  # noqa: BLE001 - its words could hold the secret
        problem = f"raised {type(error).__name__}"
    else:
        check_type("the token provider's token", token, AccessToken)
        return token
    return refuse("the token provider", f"{problem}: it has to give an AccessToken")
