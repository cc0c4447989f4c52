"""Ways in which there never is a connection to send a request over.

A script here is an async context manager that takes the certificates and gives a
platform and the settings to reach it with.
"""

import contextlib
import socket

from fault import MAYBE, TRANSPORT, UNCERTAIN, unsent
from raw_platform import MARK, RawPlatform, Talk, http

SHORT = {"connect_timeout": 0.3, "request_timeout": 5.0}


def reaching(certificate=None, url=None, settings=None, **how):
    """A platform with TLS where there is a certificate, reached by another URL."""

    @contextlib.asynccontextmanager
    async def script(certificates):
        tls = getattr(certificates, certificate) if certificate else None
        async with RawPlatform(tls=tls, **how) as platform:
            changes = dict(settings or {}, ssl=certificates.trusting)
            if url is not None:
                changes["base_url"] = url.format(port=platform.port)
            yield platform, changes

    return script


@contextlib.asynccontextmanager
async def _refused(certificates):
    async with RawPlatform() as platform:
        platform.refuse()
        yield platform, {}


@contextlib.asynccontextmanager
async def _black_hole(certificates):
    """A port whose queue is full: what knocks there is never answered."""
    async with RawPlatform() as platform:
        platform.refuse()
        with contextlib.ExitStack() as stack:
            deaf = stack.enter_context(socket.socket())
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            deaf.bind(("127.0.0.1", platform.port))
            deaf.listen(0)
            for _ in range(3):
                knocking = stack.enter_context(socket.socket())
                knocking.setblocking(False)
                knocking.connect_ex(deaf.getsockname())
            yield platform, SHORT


def _garbage(talk):
    talk.say(bytes(range(256)))
    talk.fin()


def _speaks_plainly(talk):
    talk.take(5)
    talk.say(http(b"", status="400 Bad Request"))
    talk.fin()


def _half_a_handshake(talk):
    talk.take(5)
    talk.say(b"\x16\x03\x03\x40\x00\x02")
    talk.stall()


def _proxy(script, **settings):
    """What is at the port is no platform but a proxy that should lead to one."""
    proxy = f"http://me:{MARK}@127.0.0.1:{{port}}"

    @contextlib.asynccontextmanager
    async def opened(certificates):
        async with RawPlatform(at_once=script) as platform:
            changes = {
                "base_url": "https://platform.example",
                "proxy": proxy.format(port=platform.port),
            }
            yield platform, changes | settings

    return opened


def _proxy_answers(status, *headers):
    def script(talk):
        while b"\r\n\r\n" not in talk.peek():
            talk.more()
        talk.say(http(b"", *headers, status=status))
        talk.fin()

    return script


def _in_vain(script):
    """It would be the same the next time."""
    return unsent(script, once=TRANSPORT)


HTTPS = "https://127.0.0.1:{port}"

FAULTS = {
    "the port is closed": unsent(_refused),
    "the host's name is not known": unsent(
        reaching(url="http://nowhere.localhost:1", settings=SHORT)
    ),
    "the host never answers": unsent(_black_hole),
    "the certificate is nobody's that is known": _in_vain(reaching("of_nobody_known")),
    "the certificate is another host's": _in_vain(reaching("of_another_host")),
    "the certificate is out of date": _in_vain(reaching("expired")),
    "there is no TLS": unsent(reaching(url=HTTPS, at_once=_speaks_plainly)),
    "TLS stalls at once": unsent(
        reaching(url=HTTPS, at_once=Talk.stall, settings=SHORT)
    ),
    "TLS stalls half-way": unsent(
        reaching(url=HTTPS, at_once=_half_a_handshake, settings=SHORT)
    ),
    "TLS is closed (FIN)": unsent(reaching(url=HTTPS, at_once=Talk.fin)),
    "TLS is reset (RST)": unsent(reaching(url=HTTPS, at_once=Talk.rst)),
    "TLS gets rubbish": unsent(reaching(url=HTTPS, at_once=_garbage)),
    "there is TLS where none was expected": unsent(
        reaching("good", url="http://127.0.0.1:{port}"),
        verdict=MAYBE,
        started=UNCERTAIN,
    ),
    "TLS wants a certificate of ours": unsent(
        reaching("asking_back"), verdict=MAYBE, started=UNCERTAIN
    ),
    "the proxy wants a password": unsent(
        _proxy(_proxy_answers("407 Who Are You", "Proxy-Authenticate: Basic"))
    ),
    "the proxy refuses": unsent(_proxy(_proxy_answers("403 Forbidden"))),
    "the proxy cannot reach it": unsent(_proxy(_proxy_answers("502 Bad Gateway"))),
    "the proxy closes": unsent(_proxy(Talk.fin)),
    "the proxy resets": unsent(_proxy(Talk.rst)),
    "the proxy talks nonsense": unsent(_proxy(_garbage)),
    "the proxy stalls": unsent(_proxy(Talk.stall, **SHORT)),
}
