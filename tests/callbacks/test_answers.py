"""What a receiver answers and whom it wakes: the same in each of the three ways."""

import asyncio
import json
import logging
import socket

import pytest
from receivers import own_server, play
from senders import FINISH, address, chunked, post, request, say

from dpa_async import ConfigurationError
from dpa_async.callbacks import Callback, expectations

GOOD = json.dumps(FINISH).encode()
TOO_LONG = json.dumps({**FINISH, "more": "x" * 4096}).encode()
AS_LONG_AS_CAN_BE = GOOD + b" " * (4096 - len(GOOD))
CHUNKED = "Transfer-Encoding: chunked"

MALFORMED = {
    "nothing": b"",
    "no JSON": b"instanceId=in1",
    "half of it": GOOD[:-1],
    "no object": json.dumps([FINISH]).encode(),
    "null": b"null",
    "no instanceId": b'{"modelId": "md1", "status": "FINISH"}',
    "an empty instanceId": b'{"instanceId": ""}',
    "a blank instanceId": b'{"instanceId": " "}',
    "instanceId null": b'{"instanceId": null}',
    "instanceId no text": b'{"instanceId": {"a": 1}}',
    "not UTF-8": '{"instanceId": "执行"}'.encode("gbk"),
    "deep": b'{"instanceId":' + b"[" * 4000,
    "NaN": b'{"instanceId": NaN}',
}


async def settled():
    """Let everything happen that is due."""
    for _ in range(3):
        await asyncio.sleep(0)


def test_a_callback_is_answered_and_wakes_who_waits(face):
    async def test(receiver):
        woken = []
        expectation = receiver.expect(woken.append)
        heard = await post(expectation.url, FINISH)
        assert (heard.status, heard.text) == (200, "SUCCESS")
        assert heard.headers["content-type"].startswith("text/plain")
        await settled()
        assert woken == [Callback("in1", "md1", "FINISH")]

    play(face, test)


def test_each_expectation_has_its_own_url_reply_and_waiter(face):
    async def test(receiver):
        first, second = [], []
        one = receiver.expect(first.append, reply="SUCESS")
        two = receiver.expect(second.append)
        assert one.url != two.url
        assert one.nonce_sha256 != two.nonce_sha256
        assert (await post(one.url, FINISH)).text == "SUCESS"
        assert (await post(two.url, FINISH)).text == "SUCCESS"
        await settled()
        assert (len(first), len(second)) == (1, 1)

    play(face, test)


@pytest.mark.parametrize(
    ("body", "callback"),
    [
        ({"instanceId": "in1"}, Callback("in1", "", "")),
        ({**FINISH, "status": "EXPLODED"}, Callback("in1", "md1", "EXPLODED")),
        ({**FINISH, "instanceId": 17}, Callback("17", "md1", "FINISH")),
        ({**FINISH, "status": None}, Callback("in1", "md1", "")),
        ({**FINISH, "status": ["?"]}, Callback("in1", "md1", '["?"]')),
        ({**FINISH, "more": {"a": [1]}}, Callback("in1", "md1", "FINISH")),
        (b"\xef\xbb\xbf" + GOOD, Callback("in1", "md1", "FINISH")),
        (AS_LONG_AS_CAN_BE, Callback("in1", "md1", "FINISH")),
    ],
)
def test_words_are_passed_on_as_they_came(face, body, callback):
    async def test(receiver):
        woken = []
        expectation = receiver.expect(woken.append)
        assert (await post(expectation.url, body)).status == 200
        await settled()
        assert woken == [callback]

    play(face, test)


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_malformed_body_is_refused_and_its_repeat_is_judged_anew(face, body, caplog):
    async def test(receiver):
        woken = []
        expectation = receiver.expect(woken.append)
        heard = await post(expectation.url, body)
        assert (heard.status, heard.text) == (400, "")
        await settled()
        assert woken == []
        # Somebody who has the nonce sends what is not understood: that is worth a word.
        (record,) = caplog.records
        assert expectation.nonce_sha256 in record.getMessage()
        assert record.levelno == logging.WARNING
        assert (await post(expectation.url, FINISH)).text == "SUCCESS"
        await settled()
        assert len(woken) == 1

    play(face, test)


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ([], TOO_LONG),
        ([CHUNKED], chunked(TOO_LONG)),
        (["Content-Length: 1000000000"], b"{"),
        (["Content-Length: 4097"], AS_LONG_AS_CAN_BE + b" "),
    ],
    ids=["declared", "chunked", "a gigabyte announced", "one byte"],
)
def test_a_body_over_4_kib_is_refused(face, headers, body):
    async def test(receiver):
        woken = []
        expectation = receiver.expect(woken.append)
        data = request(expectation.url, body, *headers, length=not headers)
        heard = await say(expectation.url, data)
        assert (heard.status, heard.text) == (413, "")
        assert (await post(expectation.url, FINISH)).status == 200
        await settled()
        assert len(woken) == 1

    play(face, test)


def test_a_chunked_body_is_read(face):
    async def test(receiver):
        url = receiver.expect(lambda _: None).url
        data = request(url, chunked(AS_LONG_AS_CAN_BE), CHUNKED, length=False)
        assert (await say(url, data)).text == "SUCCESS"

    play(face, test)


def test_chunks_that_are_none_are_refused(face):
    async def test(receiver):
        url = receiver.expect(lambda _: None).url
        data = request(url, b"no size\r\n", CHUNKED, length=False)
        heard = await say(url, data)
        assert heard is None or heard.status == 400
        assert (await post(url, FINISH)).status == 200

    play(face, test)


def test_who_asks_for_a_100_continue_gets_it(face):
    async def test(receiver):
        url = receiver.expect(lambda _: None).url
        heard = await post(url, FINISH, "Expect: 100-continue")
        # Some servers leave it out where the body is there already, as it is here.
        assert heard.status in {100, 200}

    play(face, test)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_another_method_is_refused(face, method):
    async def test(receiver):
        url = receiver.expect(lambda _: None).url
        heard = await say(url, request(url, GOOD, method=method))
        assert (heard.status, heard.text) == (405, "")
        assert heard.headers["allow"] == "POST"

    play(face, test)


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/dpa",
        "/dpa/callback",
        "/dpa/callback/",
        "/dpa/callback/unknown",
        "/dpa/callback/%FF%00",
        "/dpa/callback/{0}x",
        "/dpa/callback/{0}/",
        "/dpa/callback/{0}/{0}",
        "/dpa/{0}",
        "/{0}",
        "/dpa/callback//",
    ],
)
def test_an_unknown_nonce_or_path_is_404(face, path):
    async def test(receiver):
        woken = []
        url = receiver.expect(woken.append).url
        base, nonce = url.removesuffix("/dpa/callback/" + url[-32:]), url[-32:]
        heard = await post(base + path.format(nonce), FINISH)
        assert heard.status == 404
        await settled()
        assert woken == []

    play(face, test)


def test_an_unknown_nonce_gets_no_words(face):
    async def test(receiver):
        url = receiver.expect(lambda _: None).url
        assert (await post(url + "x", FINISH)).text == ""

    play(face, test)


def test_after_its_close_repeats_are_answered_and_nobody_is_woken(face):
    async def test(receiver):
        woken = []
        expectation = receiver.expect(woken.append, reply="OK")
        assert (await post(expectation.url, FINISH)).text == "OK"
        await settled()
        expectation.close()
        expectation.close()
        for _ in range(3):
            heard = await post(expectation.url, FINISH)
            assert (heard.status, heard.text) == (200, "OK")
        assert (await post(expectation.url, b"{")).status == 400
        await settled()
        assert len(woken) == 1

    play(face, test)


def test_a_close_in_the_same_tick_as_the_callback_wakes_nobody():
    async def test(receiver):
        woken, waiting = [], []

        def wake(callback):
            woken.append(callback)
            for expectation in waiting:
                expectation.close()

        waiting += [receiver.expect(wake), receiver.expect(wake)]
        await asyncio.gather(*(post(each.url, FINISH) for each in waiting))
        await settled()
        assert len(woken) == 1

    play(own_server, test)


def test_the_hash_is_enough_to_listen_again(face):
    """A process that resumes knows the SHA-256 of the nonces, and never the nonces."""

    async def test(receiver):
        woken = []
        before = receiver.expect(lambda _: None)
        before.close()
        again = receiver.expect(
            woken.append, reply="GO", nonce_sha256=before.nonce_sha256
        )
        assert again.url is None
        assert again.nonce_sha256 == before.nonce_sha256
        assert (await post(before.url, FINISH)).text == "GO"
        await settled()
        assert len(woken) == 1
        before.close()  # is closed already, and closes nobody else's
        assert (await post(before.url, FINISH)).text == "GO"
        await settled()
        assert len(woken) == 2

    play(face, test)


def test_one_nonce_is_waited_for_once():
    async def test(receiver):
        expectation = receiver.expect(lambda _: None)
        with pytest.raises(ConfigurationError, match="nonce_sha256 is waited for"):
            receiver.expect(lambda _: None, nonce_sha256=expectation.nonce_sha256)

    play(own_server, test)


@pytest.mark.parametrize("error", [ValueError, asyncio.CancelledError])
def test_a_waiter_that_raises_harms_nobody(face, error, caplog):
    async def test(receiver):
        woken = []

        def wake(_):
            raise error(broken.url)

        broken = receiver.expect(wake)
        other = receiver.expect(woken.append)
        for _ in range(2):
            assert (await post(broken.url, FINISH)).text == "SUCCESS"
        assert (await post(other.url, FINISH)).text == "SUCCESS"
        await settled()
        assert len(woken) == 1
        told = [r.getMessage() for r in caplog.records if r.name == "dpa_async"]
        assert len(told) == 2
        assert all(error.__name__ in text for text in told)
        assert all(broken.nonce_sha256 in text for text in told)
        assert "in wake" in told[0]  # where it was
        assert broken.url[-32:] not in caplog.text

    play(face, test)


def test_the_answer_has_left_before_the_waiter_is_woken(face):
    """However long it then takes, the platform has what it waits for."""

    async def test(receiver):
        heard, woken = [], asyncio.Event()

        def wake(_):
            heard.append(sender.recv(65536))  # in the loop's own thread: nothing moves
            woken.set()

        url = receiver.expect(wake).url
        with socket.create_connection(address(url), timeout=5) as sender:
            sender.sendall(request(url, GOOD))
            await woken.wait()
        assert heard[0].endswith(b"\r\n\r\nSUCCESS")

    play(face, test)


def test_only_the_newest_closed_ones_are_remembered(monkeypatch):
    monkeypatch.setattr(expectations, "REMEMBERED", 3)

    async def test(receiver):
        closed = [receiver.expect(lambda _: None) for _ in range(10)]
        for expectation in closed:
            expectation.close()
        heard = [(await post(each.url, FINISH)).status for each in closed]
        assert heard[-3:] == [200] * 3  # at least so many ...
        assert heard[:-6] == [404] * 4  # ... and never more than twice that

    play(own_server, test)


def test_a_closed_receiver_knows_nothing_any_more(face):
    async def test(receiver):
        woken = []
        url = receiver.expect(woken.append).url
        await receiver.aclose()
        await receiver.aclose()
        try:
            assert (await post(url, FINISH)).status == 404
        except ConnectionRefusedError:
            assert face is own_server
        assert woken == []
        with pytest.raises(ConfigurationError, match="the receiver is closed"):
            receiver.expect(woken.append)

    play(face, test)
