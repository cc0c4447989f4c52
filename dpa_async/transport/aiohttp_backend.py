"""The seam over aiohttp: two sessions, no redirects, no cookies, capped reads."""

import asyncio
import io
import os
import ssl
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import SimpleNamespace

import aiohttp
from yarl import URL

from dpa_async.errors import ConfigurationError
from dpa_async.settings import Settings
from dpa_async.sharing import cancels
from dpa_async.transport.exchange import RawReply
from dpa_async.transport.idle_connections import IdleConnectionSpoke, PoliteRequest

_CLOSED_MEANWHILE = "the client was closed meanwhile"
_KEEPALIVE = 75.0
"""Seconds an idle connection is kept: longer than the longest pause between looks."""


async def _on_headers_sent(
    _: aiohttp.ClientSession,
    context: SimpleNamespace,
    __: aiohttp.TraceRequestHeadersSentParams,
) -> None:
    context.trace_request_ctx()


class AiohttpBackend:
    """Sends requests with aiohttp.

    Reads share a pool; what must not be repeated goes over a connection of its own,
    where neither a stray answer nor a keep-alive race can be. The pools have no limit:
    aiohttp's own can deadlock when a waiter is cancelled, so limits are kept above.

    Args:
        settings: Where proxy, TLS and connect timeout come from.
        session: A session of the caller's, whose connector (and traces) the reads then
            use; it is never closed here.
    """

    def __init__(
        self, settings: Settings, session: aiohttp.ClientSession | None = None
    ) -> None:
        self._settings = settings
        self._borrowed = session
        self._pooled: aiohttp.ClientSession | None = None
        self._fresh: aiohttp.ClientSession | None = None
        self._closed = False

    async def exchange(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None,
        *,
        on_sent: Callable[[], None],
        own_connection: bool,
        max_body_bytes: int,
    ) -> RawReply:
        """Send one request and read its answer.

        Raises:
            OSError: There is no answer.
            ConfigurationError: The borrowed session is closed, or of another loop; or
                the client was closed meanwhile.
        """
        before = cancels()
        session = self._session_for(own_connection=own_connection)
        try:
            while True:
                with suppress(IdleConnectionSpoke):  # then nothing was sent
                    async with session.request(
                        method,
                        URL(url, encoded=True),
                        headers=headers,
                        data=body,
                        allow_redirects=False,
                        proxy=self._settings.proxy,
                        trace_request_ctx=on_sent,
                    ) as response:
                        return await _reply(response, max_body_bytes)
        except asyncio.CancelledError:
            if cancels() > before:
                raise
            failure = OSError(_CLOSED_MEANWHILE)  # it was aiohttp that cancelled
        except _FOREIGN as error:
            failure = _failure(error)
        raise failure

    async def aclose(self) -> None:
        """Close the sessions that were opened here; raises nothing."""
        self._closed = True
        for session in (self._pooled, self._fresh):
            if session is not None:
                await session.close()

    def _session_for(self, *, own_connection: bool) -> aiohttp.ClientSession:
        if self._closed:
            msg = "the client was closed before this was sent"
            raise ConfigurationError(msg)
        return self._fresh_session() if own_connection else self._pooled_session()

    def _pooled_session(self) -> aiohttp.ClientSession:
        if self._pooled is None:
            if self._borrowed is None:
                self._pooled = self._session(self._connector(force_close=False))
            else:
                self._pooled = self._session(
                    _connector_of(self._borrowed), self._borrowed.trace_configs
                )
        if self._borrowed is not None and self._borrowed.closed:
            msg = "the session that was handed over is closed: keep it open longer"
            raise ConfigurationError(msg)
        return self._pooled

    def _fresh_session(self) -> aiohttp.ClientSession:
        if self._fresh is None:
            self._fresh = self._session(self._connector(force_close=True))
        return self._fresh

    def _connector(self, *, force_close: bool) -> aiohttp.TCPConnector:
        return aiohttp.TCPConnector(
            limit=0,
            ssl=self._settings.ssl,
            force_close=force_close,
            keepalive_timeout=None if force_close else _KEEPALIVE,
        )

    def _session(
        self,
        connector: aiohttp.BaseConnector,
        traces: list[aiohttp.TraceConfig] | None = None,
    ) -> aiohttp.ClientSession:
        trace = aiohttp.TraceConfig()
        trace.on_request_headers_sent.append(_on_headers_sent)
        seconds = self._settings.connect_timeout
        return aiohttp.ClientSession(
            connector=connector,
            connector_owner=traces is None,
            # Name look-up and TLS count as connecting; the whole is timed above.
            timeout=aiohttp.ClientTimeout(total=None, connect=seconds),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            request_class=PoliteRequest,
            trace_configs=[*(traces or ()), trace],
        )


def _connector_of(session: aiohttp.ClientSession) -> aiohttp.BaseConnector:
    if session.connector is None:
        msg = "the session that was handed over is closed: keep it open longer"
        raise ConfigurationError(msg)
    return session.connector


async def _reply(response: aiohttp.ClientResponse, max_body_bytes: int) -> RawReply:
    headers = {name.lower(): text for name, text in response.headers.items()}
    return response.status, headers, await _read(response, max_body_bytes)


async def _read(response: aiohttp.ClientResponse, limit: int) -> bytes:
    """Read a body, and one byte more than the limit where there is more."""
    body = io.BytesIO()  # joins nothing in the end: 64 MiB would take their time
    while body.tell() <= limit and (chunk := await response.content.readany()):
        body.write(chunk)
    if body.tell() > limit:
        response.close()
        body.truncate(limit + 1)
    return body.getvalue()


_FOREIGN = (aiohttp.ClientError, OSError, ValueError, EOFError, RuntimeError)
"""What aiohttp raises where there is no answer."""

_WORDS: tuple[tuple[type[Exception], str], ...] = (
    (aiohttp.ClientConnectorDNSError, "the host's name is not known"),
    (aiohttp.ClientConnectorSSLError, "TLS could not be agreed on"),
    (aiohttp.ConnectionTimeoutError, "no connection within connect_timeout"),
    (aiohttp.ServerDisconnectedError, "the connection was closed without an answer"),
    (aiohttp.ClientPayloadError, "the answer broke off"),
    (aiohttp.ClientHttpProxyError, "the proxy refused the connection"),
    (aiohttp.ClientResponseError, "what came back is not HTTP"),
)


def _failure(error: Exception) -> OSError:
    """Give an error in words of our own: aiohttp's hold headers, and the token."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        inner = error.certificate_error
        detail = getattr(inner, "verify_message", "") or type(inner).__name__
        words = f"the server's certificate is not accepted ({detail})"
        return ssl.SSLCertVerificationError(words)
    for kind, words in _WORDS:
        if isinstance(error, kind):
            return OSError(words)
    if isinstance(error, RuntimeError):
        return OSError(_CLOSED_MEANWHILE)
    name = type(error).__name__
    detail = _detail(error)
    return OSError(f"{detail} ({name})" if detail else name)


def _detail(error: Exception) -> str | None:
    if isinstance(error, aiohttp.ClientConnectorError):
        return error.strerror  # names an address, and no more
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)
    return None  # its words are aiohttp's, and can hold the whole URL
