"""The nonce is a secret: it is in the URL, and nowhere else that can be seen."""

import asyncio
import hashlib
import json
import logging
import re
import traceback

import pytest
from receivers import free_port, own_server, play, serving
from senders import FINISH, address, post, request, say

from dpa_async import ConfigurationError
from dpa_async.callbacks import CallbackReceiver


async def try_everything(url):
    """Send what is taken, what is refused, and what breaks off."""
    body = json.dumps(FINISH).encode()
    for data in (
        request(url, body),
        request(url, b"{"),
        request(url, body, method="GET"),
        request(url, b"", "Content-Length: 10000", length=False),
        request(url, b"no size\r\n", "Transfer-Encoding: chunked", length=False),
        request(f"{url}/x", body),
    ):
        await say(url, data)
    _, writer = await asyncio.open_connection(*address(url))
    writer.write(request(url)[:-2])
    await asyncio.sleep(0.01)
    writer.transport.abort()


@pytest.mark.parametrize("debug", [False, True], ids=["", "asyncio debug"])
def test_no_log_and_no_repr_shows_a_nonce(face, debug, caplog):
    seen, nonces = [], []

    async def test(receiver):
        loop = asyncio.get_running_loop()
        loop.set_debug(debug)
        loop.slow_callback_duration = 0  # all are logged

        def wake(callback):
            seen.append(repr(callback))
            raise ValueError(expectation.url)

        expectation = receiver.expect(wake)
        nonces.append(expectation.url[-32:])
        await try_everything(expectation.url)
        seen.extend(f"{x!r} {x}" for x in (expectation, receiver, receiver.asgi))
        with pytest.raises(ConfigurationError) as refused:
            receiver.expect(wake, nonce_sha256=expectation.nonce_sha256)
        seen.append("".join(traceback.format_exception(refused.value)))
        expectation.close()
        await post(expectation.url, FINISH)

    with caplog.at_level(logging.DEBUG):
        play(face, test)
    assert len(seen) == 5
    assert not any(nonces[0] in text for text in (*seen, caplog.text))
    # There was something to be seen.
    assert "raised ValueError" in caplog.text
    assert hashlib.sha256(nonces[0].encode()).hexdigest() in caplog.text


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        (b" HTTP/1.1", b" HTTP/9.9"),
        (b" HTTP/1.1", b" HTTP/x"),
        (b"Host", b"H\0st"),
        (b"POST ", b"P\xffST "),
        (b"POST ", b"POST http://[/"),
        (b"Length: ", b"Length: x"),
        (b"/dpa", b"/\xff"),
    ],
)
def test_what_is_no_http_is_refused_without_its_words(right, wrong, caplog):
    """A parser's words quote the line that they are about, and the nonce in it.

    (Of a server of somebody else's they are that server's business.)
    """

    async def test(receiver):
        url = receiver.expect(lambda _: None).url
        data = request(url, b'{"instanceId": "in1"}').replace(right, wrong)
        heard = await say(url, data)
        assert heard is None or 400 <= heard.status < 500
        assert url[-32:] not in caplog.text
        assert heard is None or heard.text == ""
        assert [r for r in caplog.records if r.levelno >= logging.WARNING] == []

    with caplog.at_level(logging.DEBUG):
        play(own_server, test)


def test_the_access_log_is_what_an_application_has_to_turn_off(caplog):
    """As the documentation says: with it, the server that we are mounted on tells."""

    async def main():
        port = free_port()
        receiver = CallbackReceiver(None, public_url=f"http://127.0.0.1:{port}")
        async with serving(receiver.asgi, port, access_log=True):
            await post(receiver.expect(lambda _: None).url, FINISH)

    with caplog.at_level(logging.INFO):
        asyncio.run(main())
    assert re.search(r"POST /dpa/callback/[\w-]{32} ", caplog.text)
