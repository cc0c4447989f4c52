"""What can keep a client from its platform, looked at from the ground up.

Each check gives findings, a line each: that it is well, or what to do. The first that
fails ends the diagnosis, but for the clock's: what stands above it would fail as well.
"""

import asyncio
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from attrs import define, field, frozen

from dpa_async.client import DPAClient
from dpa_async.errors import (
    APIError,
    AuthenticationError,
    DPAError,
    EndpointNotFoundError,
    TransportError,
    UnexpectedResponseError,
    UserNotFoundError,
)
from dpa_async.settings import Settings
from dpa_async.transport import Backend
from dpa_async.transport.aiohttp_backend import AiohttpBackend
from dpa_async.transport.exchange import RawReply

_SKEW = timedelta(seconds=60)
_REDIRECTS = range(300, 400)
_HTTPS = 443
_HTTP = 80


@frozen
class Finding:
    """One line of the diagnosis.

    Attributes:
        check: What was looked at.
        ok: Whether it is well; None where that cannot be known.
        says: What was seen; where it is not well, what to do.
    """

    check: str
    ok: bool | None
    says: str


@define
class _Answers:
    """A backend that remembers what the last answer was like, but not its body."""

    inner: Backend
    status: int = 0
    headers: Mapping[str, str] = field(factory=dict[str, str])
    is_page: bool = False
    came_at: datetime | None = None

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
        """
        reply = await self.inner.exchange(
            method,
            url,
            headers,
            body,
            on_sent=on_sent,
            own_connection=own_connection,
            max_body_bytes=max_body_bytes,
        )
        self.status, self.headers, answer = reply
        self.is_page = answer.lstrip()[:1] == b"<"
        self.came_at = datetime.now(UTC)
        return reply

    async def aclose(self) -> None:
        """Close the backend; raises nothing."""
        await self.inner.aclose()


async def diagnose(settings: Settings) -> AsyncGenerator[Finding]:
    """Look at the way to a platform, step by step."""
    ways = {settings.auth_base_url: "auth_base_url", settings.base_url: "base_url"}
    if settings.proxy is not None:
        ways = {settings.proxy: "proxy"}
    for url, meant in ways.items():
        if url is None:
            continue
        findings = await _way(settings, url, meant)
        for finding in findings:
            yield finding
        if findings[-1].ok is False:
            return
    answers = _Answers(AiohttpBackend(settings))
    try:
        async for finding in _conversation(settings, answers):
            yield finding
    finally:
        await answers.aclose()


async def _way(settings: Settings, url: str, meant: str) -> list[Finding]:
    """Look at name, port and TLS of an address; `meant` is the setting it is from."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = parts.port or (_HTTPS if parts.scheme == "https" else _HTTP)
    seconds = settings.connect_timeout
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(seconds):
            found = await loop.getaddrinfo(host, port)
    except OSError as error:
        words = f"{host} has no address ({_words(error, seconds)})"
        advice = f"check {meant}, and that this machine's DNS or VPN knows that name"
        return [Finding("dns", False, f"{words}: {advice}")]
    addresses = ", ".join(dict.fromkeys(str(entry[4][0]) for entry in found))
    findings = [
        Finding("dns", True, f"{host} is {addresses}"),
        await _port(host, port, meant, seconds),
    ]
    if findings[-1].ok and parts.scheme == "https" and meant != "proxy":
        findings.append(await _tls(settings, host, port, meant))
    return findings


async def _port(host: str, port: int, meant: str, seconds: float) -> Finding:
    try:
        await _connect(host, port, None, seconds)
    except OSError as error:
        words = f"{host} port {port} cannot be reached ({_words(error, seconds)})"
        advice = f"check the host and port of {meant}, firewalls, and a VPN"
        return Finding("tcp", False, f"{words}: {advice}")
    return Finding("tcp", True, f"{host} port {port} can be reached")


async def _tls(settings: Settings, host: str, port: int, meant: str) -> Finding:
    seconds = settings.connect_timeout
    if settings.ssl is False:
        return Finding("tls", None, "certificates are not checked: ssl is false")
    context = settings.ssl
    if isinstance(context, bool):
        context = ssl.create_default_context()
    try:
        await _connect(host, port, context, seconds)
    except ssl.SSLCertVerificationError as error:
        why = error.verify_message or "not verified"
        return Finding(
            "tls",
            False,
            f"the certificate of {host} is not accepted ({why}): if its authority is "
            "your company's own, set SSL_CERT_FILE to a file of it; if it is out of "
            f"its dates, see this machine's clock ({datetime.now(UTC):%Y-%m-%d})",
        )
    except OSError as error:
        words = _words(error, seconds)
        return Finding(
            "tls",
            False,
            f"port {port} of {host} does not speak TLS ({words}): check that {meant} "
            "is to begin with https, and its port",
        )
    return Finding("tls", True, f"the certificate of {host} is accepted")


async def _connect(
    host: str, port: int, context: ssl.SSLContext | None, seconds: float
) -> None:
    """Connect, and hang up again.

    Raises:
        OSError: It cannot be.
    """
    async with asyncio.timeout(seconds):
        _, writer = await asyncio.open_connection(host, port, ssl=context)
    writer.transport.abort()


def _words(error: OSError, seconds: float) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer in {seconds:g} s"
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.replace("_", " ").lower()
    return error.strerror or type(error).__name__


async def _conversation(
    settings: Settings, answers: _Answers
) -> AsyncIterator[Finding]:
    """Look at what the platform says: clock, application, token, listAll."""
    async with DPAClient(settings, backend=answers) as client:
        problem: DPAError | None = None
        try:
            _ = await client.tokens.get()
        except DPAError as error:
            problem = error
        for finding in (*_clock(answers), *_token(problem, answers)):
            yield finding
        if problem is not None:
            return
        try:
            workflows = await client.list_workflows()
        except DPAError as error:
            yield Finding("listAll", False, _cause(error, answers))
            return
    yield Finding("listAll", True, f"{len(workflows)} workflows")
    if not isinstance(settings.execute_urls, str):
        known = sum(row.id in settings.execute_urls for row in workflows)
        says = f"execute URLs are known of {known} of {len(workflows)} workflows"
        advice = ": the others' stand behind the API button 「API按钮」 of their cards"
        ok = bool(known) or not workflows or None
        yield Finding("execute_urls", ok, says if ok else says + advice)


def _clock(answers: _Answers) -> Iterator[Finding]:
    """Compare the clocks, by the answer's Date."""
    if answers.came_at is None:
        return
    try:
        theirs = parsedate_to_datetime(answers.headers.get("date", ""))
        ahead = theirs - answers.came_at
    except (ValueError, TypeError, OverflowError):
        yield Finding("clock", None, "the answer has no Date to compare with")
        return
    if abs(ahead) <= _SKEW:
        yield Finding("clock", True, "within a minute of the platform's")
        return
    side = "behind" if ahead > timedelta() else "ahead of"
    yield Finding(
        "clock",
        False,
        f"this machine's clock is {_span(abs(ahead))} {side} the platform's (here "
        f"{answers.came_at:%Y-%m-%d %H:%M} UTC, there {theirs:%Y-%m-%d %H:%M} UTC): "
        "set whichever is wrong, with NTP",
    )


def _span(span: timedelta) -> str:
    seconds = round(span.total_seconds())
    for unit, length in (("days", 86_400), ("hours", 3_600)):
        if seconds >= 0.95 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds // 60} minutes"


def _token(problem: DPAError | None, answers: _Answers) -> Iterator[Finding]:
    """Tell the id, which comes first, from the secret."""
    at_the_door = getattr(problem, "operation", None) == "authorize"
    if problem is None or not at_the_door:
        words = "the client id is taken, and the application has not expired"
        yield Finding("application", True, words)
    if problem is None:
        yield Finding("token", True, "the platform gives one")
    else:
        check = "application" if at_the_door else "token"
        yield Finding(check, False, _cause(problem, answers))


_REFUSALS: tuple[tuple[type[APIError], str, str], ...] = (
    (
        AuthenticationError,
        "authorize",
        (
            "does not take this client id{said}: it is wrong, or the application has "
            "expired; see 应用ID and 应用有效期 in its 安全中心"
        ),
    ),
    (
        AuthenticationError,
        "token",
        (
            "does not take this client secret{said}: copy 应用secret again from its "
            "安全中心; the client id is right"
        ),
    ),
    (AuthenticationError, "", "does not take its own token{said}: check scope"),
    (EndpointNotFoundError, "", "has no such path{said}: check the path of base_url"),
    (UserNotFoundError, "", "does not know the user{said}: check user_id"),
)
"""Class, operation (any where it is empty), and the cause in words."""


def _cause(problem: DPAError, answers: _Answers) -> str:
    """Name the cause of what went wrong, and what to do."""
    if isinstance(problem, TransportError):
        return f"no answer ({problem.reason}): try again, then ask who runs the network"
    if answers.is_page or isinstance(problem, UnexpectedResponseError):
        return _stranger(problem, answers)
    if isinstance(problem, APIError):
        said = f" (it says {problem.message!r})" if problem.message else ""
        for kind, operation, words in _REFUSALS:
            if isinstance(problem, kind) and operation in ("", problem.operation):
                return f"the platform {words.format(said=said)}"
    return str(problem)


def _stranger(problem: DPAError, answers: _Answers) -> str:
    """Say who answers there, in the platform's place."""
    advice = (
        "a proxy or a login page stands between, or base_url is another server's: open "
        "it from this machine, and check base_url and proxy"
    )
    if answers.status in _REDIRECTS:
        to = urlsplit(answers.headers.get("location", ""))
        return f"HTTP {answers.status} leads to {to.scheme}://{to.hostname}: {advice}"
    if answers.is_page:
        return f"an HTML page (HTTP {answers.status}) answers, no platform: {advice}"
    return f"{problem.args[0]}: {advice}"
