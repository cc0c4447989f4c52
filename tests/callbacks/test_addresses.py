"""At which URL the platform calls, and what can be wrong with an address."""

import asyncio
import re
import socket

import pytest
from aiohttp import web
from receivers import free_port, own_server, play, serving
from senders import FINISH, post

from dpa_async import ConfigurationError
from dpa_async.callbacks import CallbackReceiver
from dpa_async.simulator.virtual_time import run

NOBODY = "0" * 64
PUBLIC = "https://jobs.example.com"


def nothing(_):
    pass


def mounted(public_url=PUBLIC, **options):
    receiver = CallbackReceiver(None, public_url=public_url, **options)
    _ = receiver.asgi
    return receiver


def test_without_a_public_url_it_is_where_it_listens():
    async def test(receiver):
        urls = {receiver.expect(nothing).url for _ in range(1000)}
        assert len(urls) == 1000
        form = r"http://127\.0\.0\.1:[1-9]\d*/dpa/callback/[\w-]{32}"
        assert all(re.fullmatch(form, url) for url in urls)

    play(own_server, test)


def test_it_listens_on_ipv6():
    async def test(receiver):
        url = receiver.expect(nothing).url
        assert url.startswith("http://[::1]:")
        assert (await post(url, FINISH)).status == 200

    play(own_server, test, host="::1")


def test_a_port_can_be_chosen():
    port = free_port()

    async def test(receiver):
        assert receiver.expect(nothing).url.startswith(f"http://127.0.0.1:{port}/")

    play(own_server, test, port=port)


@pytest.mark.parametrize(
    ("public_url", "start"),
    [
        ("https://jobs.example.com", "https://jobs.example.com/dpa/callback/"),
        ("http://10.0.0.7:8080/", "http://10.0.0.7:8080/dpa/callback/"),
        ("https://Example.com/a/b/", "https://example.com/a/b/dpa/callback/"),
        ("http://[fe80::1]:80/", "http://[fe80::1]/dpa/callback/"),
    ],
)
@pytest.mark.parametrize("host", [None, "0.0.0.0"])  # noqa: S104 - it is refused alone
def test_a_public_url_comes_first(public_url, start, host):
    async def main():
        receiver = CallbackReceiver(host, public_url=public_url)
        if host is None:
            _ = receiver.asgi
        async with receiver:
            assert receiver.expect(nothing).url[:-32] == start

    asyncio.run(main())


@pytest.mark.parametrize("path", ["/cb", "/hooks/dpa.v1/_~-"])
def test_the_path_before_the_nonce_can_be_chosen(face, path):
    async def test(receiver):
        url = receiver.expect(nothing).url
        assert url[:-33].endswith(path)
        assert (await post(url, FINISH)).status == 200

    play(face, test, path=path)


@pytest.mark.parametrize("prefix", ["", "/kept", "/dpa", "/dpa/callback"])
def test_a_proxy_may_keep_its_prefix_or_take_it_off(prefix):
    async def test(receiver):
        url = receiver.expect(nothing).url
        base, _, rest = url.partition("/dpa/callback/")
        assert (await post(f"{base}{prefix}/dpa/callback/{rest}", FINISH)).status == 200

    play(own_server, test)


def test_on_a_sub_application_of_aiohttp():
    async def main():
        port = free_port()
        receiver = CallbackReceiver(public_url=f"http://127.0.0.1:{port}/jobs")
        part, app = web.Application(), web.Application()
        receiver.add_to(part)
        app.add_subapp("/jobs", part)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        url = receiver.expect(nothing).url  # without `async with`: nothing to open
        assert (await post(url, FINISH)).text == "SUCCESS"
        assert (await post(url.replace("/jobs", ""), FINISH)).status == 404
        await runner.cleanup()

    asyncio.run(main())


def test_uvicorn_behind_a_proxy_that_takes_a_prefix_off():
    async def main():
        port = free_port()
        receiver = mounted(f"http://127.0.0.1:{port}")
        async with serving(receiver.asgi, port, root_path="/jobs"), receiver:
            assert (await post(receiver.expect(nothing).url, FINISH)).status == 200

    asyncio.run(main())


def asgi_scope(path, root_path="", **more):
    return {
        "type": "http",
        "method": "POST",
        "path": path,
        "root_path": root_path,
        "headers": [],
        "http_version": "1.1",
        **more,
    }


async def ask(app, scope, *messages):
    """Play a server to an ASGI application; give what it sends."""
    left, sent = list(messages), []

    async def receive():
        if not left:
            await asyncio.Event().wait()
        return left.pop(0)

    async def send(message):
        sent.append(message)

    await app(scope, receive, send)
    return sent


WHOLE = {"type": "http.request", "body": b'{"instanceId": "in1"}'}


@pytest.mark.parametrize(
    ("path", "root_path"),
    [
        ("/dpa/callback/{}", ""),
        ("/jobs/dpa/callback/{}", "/jobs"),  # by the specification
        ("/dpa/callback/{}", "/jobs"),  # what frameworks made of it for long
        ("/{}", "/dpa/callback"),  # mounted at the very path
        ("/dpa/callback/{}", "/dpa/callback"),
        ("/a/b/dpa/callback/{}", "/a/b"),
    ],
)
def test_an_asgi_application_can_be_mounted_anywhere(path, root_path):
    async def main():
        receiver = mounted()
        nonce = receiver.expect(nothing).url[-32:]
        for text, status in ((nonce, 200), (f"{nonce}x", 404)):
            scope = asgi_scope(path.format(text), root_path)
            start, _ = await ask(receiver.asgi, scope, WHOLE)
            assert start["status"] == status

    asyncio.run(main())


def test_an_asgi_body_comes_in_pieces():
    async def main():
        receiver = mounted()
        scope = asgi_scope(f"/dpa/callback/{receiver.expect(nothing).url[-32:]}")
        body = WHOLE["body"]
        pieces = [
            {"type": "http.request", "body": body[n : n + 1], "more_body": True}
            for n in range(len(body))
        ]
        start, rest = await ask(receiver.asgi, scope, *pieces, {"type": "http.request"})
        assert (start["status"], rest["body"]) == (200, b"SUCCESS")

    asyncio.run(main())


@pytest.mark.parametrize(
    ("version", "closes"), [("1.0", True), ("1.1", True), ("2", False)]
)
def test_a_slow_asgi_body_is_408_after_5_s(version, closes):
    async def main():
        receiver = mounted()
        scope = asgi_scope("/dpa/callback/x", http_version=version)
        began = asyncio.get_running_loop().time()
        piece = {"type": "http.request", "body": b"{", "more_body": True}
        start, _ = await ask(receiver.asgi, scope, piece)
        assert asyncio.get_running_loop().time() - began == pytest.approx(5)
        assert start["status"] == 408
        assert ((b"connection", b"close") in start["headers"]) == closes

    run(main())


def test_an_asgi_sender_that_leaves_is_told_nothing():
    async def main():
        receiver = mounted()
        scope = asgi_scope(f"/dpa/callback/{receiver.expect(nothing).url[-32:]}")
        assert await ask(receiver.asgi, scope, {"type": "http.disconnect"}) == []

    asyncio.run(main())


def test_what_is_not_http_is_no_callback():
    async def main():
        receiver = mounted()
        sent = await ask(receiver.asgi, asgi_scope("/", type="websocket"))
        assert sent == [{"type": "websocket.close"}]
        with pytest.raises(ValueError, match="scope of type 'smtp'"):
            await ask(receiver.asgi, asgi_scope("/", type="smtp"))

    asyncio.run(main())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"host": None}, "public_url is missing"),
        ({"host": "0.0.0.0"}, "public_url is missing: 0.0.0.0"),  # noqa: S104 - as above
        ({"host": "::"}, "public_url is missing: ::"),
        ({"host": ""}, "host is empty"),
        ({"host": 5}, "host is int"),
        ({"port": -1}, "port is -1"),
        ({"port": 65536}, "port is 65536"),
        ({"port": True}, "port is True"),
        ({"port": "80"}, "port is '80'"),
        ({"public_url": ""}, "public_url is empty"),
        ({"public_url": 5}, "public_url is int"),
        ({"public_url": "ftp://a"}, "public_url needs http"),
        ({"public_url": "jobs.example.com"}, "public_url needs http"),
        ({"public_url": "http://a/?b=1"}, "public_url has a query"),
        ({"public_url": "http://a/#b"}, "public_url has a query or a fragment"),
        ({"public_url": "http://u:p@a/"}, "public_url has user info"),
        ({"public_url": "http://a/ b"}, "public_url has a blank"),
        ({"path": ""}, "path is ''"),
        ({"path": "/"}, "path is '/'"),
        ({"path": "callback"}, "path is 'callback'"),
        ({"path": "/a/"}, "path is '/a/'"),
        ({"path": "/a/../b"}, "path is"),
        ({"path": "/{a}"}, "path is"),
        ({"path": "/%41"}, "path is"),
        ({"path": None}, "path is NoneType"),
    ],
)
def test_what_is_wrong_is_told_at_once(arguments, words):
    with pytest.raises(ConfigurationError, match=f"^{re.escape(words)}"):
        CallbackReceiver(**arguments)


@pytest.mark.parametrize("arguments", [{}, {"public_url": PUBLIC}])
def test_nothing_is_expected_where_nothing_listens(arguments):
    async def main():
        with pytest.raises(ConfigurationError, match="the receiver does not listen"):
            CallbackReceiver(**arguments).expect(nothing)

    asyncio.run(main())


def test_a_mounted_one_needs_a_public_url():
    async def main():
        receiver = CallbackReceiver()
        receiver.add_to(web.Application())
        with pytest.raises(ConfigurationError, match="public_url is missing"):
            receiver.expect(nothing)
        with pytest.raises(ConfigurationError, match="public_url is missing"):
            async with receiver:
                pass

    asyncio.run(main())


def test_an_application_that_has_started_is_refused():
    async def main():
        app = web.Application()
        runner = web.AppRunner(app)
        await runner.setup()
        with pytest.raises(ConfigurationError, match="app has started"):
            CallbackReceiver().add_to(app)
        await runner.cleanup()

    asyncio.run(main())


def test_an_address_that_is_taken_is_told():
    async def main():
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            with pytest.raises(ConfigurationError, match=f"port {port} cannot be"):
                async with CallbackReceiver(port=port):
                    pass
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())


def test_it_is_entered_once():
    async def test(receiver):
        with pytest.raises(ConfigurationError, match="was entered before"):
            async with receiver:
                pass

    play(own_server, test)


@pytest.mark.parametrize(
    "nonce_sha256", ["", "0" * 63, "G" * 64, "A" * 64, f"{NOBODY}\n", 5, b"0" * 64]
)
def test_what_is_no_hash_is_refused(nonce_sha256):
    async def main():
        with pytest.raises(ConfigurationError, match=r"^nonce_sha256 is"):
            mounted().expect(nothing, nonce_sha256=nonce_sha256)

    asyncio.run(main())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"wake": None}, "wake is NoneType"),
        ({"wake": nothing, "reply": 5}, "reply is 5"),
        ({"wake": nothing, "reply": "\ud800"}, r"reply is '\\ud800'"),
        ({"wake": nothing, "reply": "SUC\nCESS"}, r"reply is 'SUC\\nCESS'"),
    ],
)
def test_what_is_wrong_with_an_expectation_is_told_at_once(arguments, words):
    async def main():
        with pytest.raises(ConfigurationError, match=f"^{words}"):
            mounted().expect(**arguments)

    asyncio.run(main())


def test_another_event_loop_is_refused():
    receiver = mounted()

    async def first():
        return receiver.expect(nothing).url[-32:]

    nonce = asyncio.run(first())

    async def second():
        with pytest.raises(ConfigurationError, match="another event loop"):
            receiver.expect(nothing)
        with pytest.raises(ConfigurationError, match="another event loop"):
            async with receiver:
                pass
        # Served by another loop, strangers are told what they always are ...
        unknown = asgi_scope("/dpa/callback/unknown")
        assert (await ask(receiver.asgi, unknown, WHOLE))[0]["status"] == 404
        # ... and a callback fails loudly, so that the mistake is found.
        with pytest.raises(ConfigurationError, match="another event loop"):
            await ask(receiver.asgi, asgi_scope(f"/dpa/callback/{nonce}"), WHOLE)

    asyncio.run(second())
