"""The receiver of callbacks: one object, three ways to reach it."""

import asyncio
import contextlib
import ipaddress
import logging
import re
import secrets
from collections.abc import Callable
from typing import NoReturn, Self

from aiohttp import web

from dpa_async.callbacks.expectations import Expectation, Expectations, sha256_of
from dpa_async.callbacks.over_aiohttp import answer
from dpa_async.callbacks.over_asgi import ASGIApp, make_app
from dpa_async.callbacks.own_server import serve
from dpa_async.callbacks.verdict import Verdict, judge
from dpa_async.checks import check_path, check_type, refuse
from dpa_async.errors import ConfigurationError
from dpa_async.settings.urls import checked_base_url
from dpa_async.wire.callback import Callback

_NONCE_BYTES = 24  # 192 bits
_SHA256 = re.compile(r"[0-9a-f]{64}")
_LAST_PORT = 65_535

_log = logging.getLogger("dpa_async")


class CallbackReceiver:
    """Receives the platform's callbacks and wakes who waits for them.

    Three ways to reach it. In `async with` it listens on `host` and `port` with a
    server of its own. Where it was mounted before, by `add_to` or `asgi`, or where
    `host` is None, it opens nothing, and `async with` only closes it in the end.

    Everything happens on one event loop: that of the first `async with` or `expect`.

    Args:
        host: The address to listen on; None: on none, it will be mounted.
        port: The port to listen on; 0: any that is free.
        public_url: How the platform reaches it, as `http(s)://host[:port][/prefix]`.
            None: at `host` and `port`; where it is mounted, it has to be given.
        path: What stands before the nonce in the path of a callback's URL.

    Raises:
        ConfigurationError: An argument cannot be right, or `public_url` is missing.
    """

    def __init__(
        self,
        host: str | None = "127.0.0.1",
        port: int = 0,
        public_url: str | None = None,
        *,
        path: str = "/dpa/callback",
    ) -> None:
        _check_address(host, port, public_url)
        check_path("path", path, such_as="/dpa/callback")
        self._host = host
        self._port = port
        self._public_url = public_url and checked_base_url(
            "public_url", public_url, allow_http=True
        )
        self._path = path
        self._expectations = Expectations()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._mounted = False
        self._listening: contextlib.AsyncExitStack | None = None
        self._closed = False
        self._asgi = make_app(self._receive)

    async def __aenter__(self) -> Self:
        """Listen, unless it was mounted or has no host.

        Raises:
            ConfigurationError: The address cannot be listened on; it is mounted, and
                has no `public_url`; it was entered or closed before.
        """
        self._bind()
        if self._listening is not None:
            refuse("the receiver", "was entered before: make one for each `async with`")
        async with contextlib.AsyncExitStack() as stack:
            if self._host is not None and not self._mounted:
                self._port = await serve(stack, self._host, self._port, self._receive)
            elif self._public_url is None:
                _refuse_without_public_url()
            self._listening = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    @property
    def closed(self) -> bool:
        """Whether it has been closed: it is not opened again."""
        return self._closed

    @property
    def asgi(self) -> ASGIApp:
        """The receiver as an ASGI application; to ask for it is to mount it.

        It can be the application of a server or be mounted by a framework, at any
        path: `public_url` is then the address that it is mounted at. It answers a
        server's lifespan messages. A server's own limits hold for what comes before a
        request's body: many wait for a slow head as long as it takes.
        """
        self._mounted = True
        return self._asgi

    def add_to(self, app: web.Application) -> None:
        """Mount it on an application of aiohttp's, at `path`.

        The application's own limits hold for what comes before a request's body; its
        middlewares see the callbacks, and its access log the nonces.

        Raises:
            ConfigurationError: The application has started, or has a route at `path`.
        """
        check_type("app", app, web.Application)
        if app.frozen:
            refuse("app", "has started: add the receiver to it before")
        place = f"{self._path}/{{nonce}}"
        if any(place == resource.canonical for resource in app.router.resources()):
            refuse("path", f"is {self._path!r}, as one before it: give each its own")

        async def handle(request: web.Request) -> web.StreamResponse:
            return await answer(request, self._receive)

        app.router.add_route("*", place, handle)
        self._mounted = True

    def expect(
        self,
        wake: Callable[[Callback], None],
        *,
        reply: str = "SUCCESS",
        nonce_sha256: str | None = None,
    ) -> Expectation:
        """Wait for a callback at a URL of its own; before the platform is told of it.

        Args:
            wake: Called on the event loop with each callback that comes, after its
                answer is made; one that raises is logged and harms nobody.
            reply: The text that the callback is answered.
            nonce_sha256: What an earlier process waited for: its callbacks are taken
                again. Its URL is not known then. None: a fresh nonce.

        Returns:
            The expectation: close it when its run has ended.

        Raises:
            ConfigurationError: Nothing listens yet, or no more; `public_url` is
                missing; that nonce is waited for already; this is another event loop;
                an argument cannot be right.
        """
        self._bind()
        _check_expected(wake, reply)
        base = self._base_url()
        url = None
        if nonce_sha256 is None:
            nonce = secrets.token_urlsafe(_NONCE_BYTES)
            url, nonce_sha256 = f"{base}{self._path}/{nonce}", sha256_of(nonce)
        check_type("nonce_sha256", nonce_sha256, str)
        if not _SHA256.fullmatch(nonce_sha256):
            refuse("nonce_sha256", "is no SHA-256 of 64 hexadecimal digits")
        expectation = Expectation(nonce_sha256, url, reply, wake, self._expectations)
        self._expectations.add(expectation)
        return expectation

    async def aclose(self) -> None:
        """Stop listening and forget all expectations; idempotent, raises nothing.

        Where it is mounted, every callback is answered 404 from now on.
        """
        self._closed = True
        self._expectations.clear()
        if self._listening is not None:
            await self._listening.aclose()

    def _base_url(self) -> str:
        if self._listening is None and not self._mounted:
            refuse(
                "the receiver",
                "does not listen: use it in `async with`, or mount it with add_to or "
                "asgi before",
            )
        if self._public_url is not None:
            return self._public_url
        if self._mounted or self._host is None:
            _refuse_without_public_url()
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}"

    def _bind(self) -> None:
        """See that this is the one event loop; the first is."""
        loop = asyncio.get_running_loop()
        self._loop = self._loop or loop
        if self._loop is not loop:
            raise ConfigurationError(_OTHER_LOOP)
        if self._closed:
            refuse("the receiver", "is closed: make a new one")

    def _receive(self, method: str, path: str, body: bytes | None) -> Verdict:
        """Judge a request, and wake who waits, after the answer.

        Raises:
            ConfigurationError: It came over another event loop.
        """
        verdict = judge(self._expectations, self._path, method, path, body)
        if verdict.expectation is None:
            return verdict
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            raise ConfigurationError(_OTHER_LOOP)
        if verdict.callback is not None:
            _ = loop.call_soon(verdict.expectation.ring, verdict.callback)
        else:
            # Only who was told the nonce gets here: most likely the platform itself.
            known_as = verdict.expectation.nonce_sha256
            _log.warning("callback %s was refused: %s", known_as, verdict.problem)
        return verdict


_OTHER_LOOP = "the receiver belongs to another event loop: make one for each loop"


def _check_address(host: str | None, port: int, public_url: str | None) -> None:
    check_type("host", host, str | None)
    check_type("public_url", public_url, str | None)
    if type(port) is not int or not 0 <= port <= _LAST_PORT:
        refuse("port", f"is {port!r}: give a whole number from 0 to {_LAST_PORT}")
    if host == "" or public_url == "":
        refuse("host" if host == "" else "public_url", "is empty: give it, or None")
    if public_url is None and host is None:
        _refuse_without_public_url()
    if public_url is None and host is not None and _is_everywhere(host):
        refuse(
            "public_url",
            f"is missing: {host} is to listen everywhere, but no address to call",
        )


def _check_expected(wake: object, reply: object) -> None:
    if not callable(wake):
        refuse("wake", f"is {type(wake).__name__}: give a function")
    if not isinstance(reply, str) or not reply.isprintable():
        refuse("reply", f"is {reply!r}: give the text that the platform wants")


def _is_everywhere(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False


def _refuse_without_public_url() -> NoReturn:
    refuse(
        "public_url",
        "is missing: a receiver without a server of its own cannot know how the "
        "platform reaches it",
    )
