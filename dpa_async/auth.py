"""One access token, shared by everything, renewed once for all who need it."""

import asyncio
import copy
import random
from typing import Protocol, Self

from dpa_async.errors import (
    AuthenticationError,
    ConfigurationError,
    DPAError,
    TransportError,
    UnexpectedResponseError,
)
from dpa_async.models import AccessToken
from dpa_async.settings import Settings
from dpa_async.sharing import Owner, Shared
from dpa_async.transport import Backend, Transport
from dpa_async.transport.aiohttp_backend import AiohttpBackend
from dpa_async.wire import replies, requests
from dpa_async.wire.messages import Reply, Request

_RENEW_AHEAD = 60.0
_RENEW_AHEAD_SHARE = 0.2
_REMEMBER_FAILURE = 1.0


class TokenProvider(Protocol):
    """Where a client gets its tokens from; `TokenManager` is the usual one."""

    async def get(self) -> AccessToken:
        """Give a token that should be good.

        Raises:
            DPAError: None is to be had.
        """
        ...

    async def renew(self, *, rejected: AccessToken | str) -> AccessToken:
        """Give another token than the one that was rejected.

        Raises:
            DPAError: None is to be had.
        """
        ...


class TokenManager:
    """One token, shared by everything; usable alone, as an async context manager.

    It is renewed once for all callers, behind a shield: a caller that is cancelled
    harms no other. Ahead of its expiry it is renewed in the background, while the old
    one still serves. A failure is remembered for a second, so that a thousand callers
    do not make a thousand requests to be told the same.

    Args:
        settings: Who we are, and where tokens are to be had.
        transport: What carries the requests; None: one of its own.
    """

    def __init__(self, settings: Settings, transport: Transport | None = None) -> None:
        self._settings = settings
        self._own_backend: Backend | None = None
        if transport is None:
            self._own_backend = AiohttpBackend(settings)
            transport = Transport(settings, self._own_backend)
        self._transport = transport
        self._owner = Owner()
        self._renewal = Shared(
            self._owner, self._renew, ended_by_owner=_closed, goes_on=True
        )
        self._token: AccessToken | None = None
        self._renew_at = 0.0
        self._expires_at = 0.0
        self._failure: DPAError | None = None
        self._failed_at = 0.0

    async def __aenter__(self) -> Self:
        """Use it in `async with`, so that its connections are closed."""
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def get(self) -> AccessToken:
        """Give a token that should be good; rests on interfaces 1.1 and 1.2.

        Raises:
            AuthenticationError: The client id or secret is wrong, or the application
                has expired.
            TransportError: The platform cannot be reached.
            APIError: The platform refused for another reason.
            UnexpectedResponseError: Something else answered.
        """
        now = asyncio.get_running_loop().time()
        if self._token is None or now >= self._expires_at:
            return await self._renewed()
        if now >= self._renew_at and self._recent_failure() is None:
            _ = self._renewal.begin()  # in the background: the old one still serves
        return self._token

    async def renew(self, *, rejected: AccessToken | str) -> AccessToken:
        """Give another token; none is fetched if somebody replaced it already.

        Args:
            rejected: The token, or its value, that the platform would not take.

        Raises:
            AuthenticationError: As `get`; so are the others.
            TransportError: The platform cannot be reached.
            APIError: The platform refused for another reason.
            UnexpectedResponseError: Something else answered.
        """
        value = rejected.value if isinstance(rejected, AccessToken) else rejected
        if self._token is not None and self._token.value == value:
            self._token = None
        return await self.get()

    async def aclose(self) -> None:
        """Stop a renewal under way and close what was opened; raises nothing."""
        await self._owner.close()
        if self._own_backend is not None:
            await self._own_backend.aclose()

    def _recent_failure(self) -> DPAError | None:
        now = asyncio.get_running_loop().time()
        return self._failure if now < self._failed_at + _REMEMBER_FAILURE else None

    async def _renewed(self) -> AccessToken:
        failure = self._recent_failure()
        if failure is not None and not self._renewal.under_way:
            raise copy.copy(failure)
        return await self._renewal.join()

    async def _renew(self) -> AccessToken:
        loop = asyncio.get_running_loop()
        started = loop.time()
        try:
            token = await self._obtain()
        except DPAError as error:
            self._failure, self._failed_at = error, loop.time()
            raise
        # Counted from before the request: a token is never thought younger than it is.
        ahead = min(_RENEW_AHEAD, token.expires_in * _RENEW_AHEAD_SHARE)
        self._expires_at = started + token.expires_in
        self._renew_at = self._expires_at - ahead * random.uniform(0.5, 1.0)  # noqa: S311 - a jitter
        self._token, self._failure = token, None
        return token

    async def _obtain(self) -> AccessToken:
        """Get a code and exchange it: as a pair, for a code is good for once.

        A lost token answer, or a code that was refused, is worth one more pair.
        """

        def read(request: Request, reply: Reply) -> AccessToken:
            return replies.access_token(self._settings, request, reply)

        last_try = False
        while True:
            code = await self._transport.call(
                requests.authorize(self._settings), replies.authorization_code
            )
            try:
                return await self._transport.call(
                    requests.exchange_code(self._settings, code), read
                )
            except (AuthenticationError, TransportError, UnexpectedResponseError):
                if last_try:
                    raise
            last_try = True


def _closed() -> ConfigurationError:
    return ConfigurationError("the token manager is closed: make a new one")
