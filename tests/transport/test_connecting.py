"""No connection, no TLS, no proxy: certainly not sent, at every interface."""

import asyncio
import itertools

from calls import (
    INTERFACES,
    Ask,
    GivenTokens,
    check,
    outcome_of,
    settings_of,
    started,
    verdict_on,
)
from fault import NONE, NOT_SENT
from faults_of_connecting import FAULTS
from raw_platform import RawPlatform, Talk, envelope, http
from watching import play

from dpa_async import DPAClient, TransportError

AT_ONCE = 100


async def call(operation, platform, changes):
    settings = settings_of(platform, **changes)
    async with DPAClient(settings, tokens=GivenTokens(platform)) as client:
        ask = Ask(platform, client)
        outcome = await outcome_of(INTERFACES[operation].call(ask))
    check(operation, ask, outcome)
    return outcome


async def hinder(name, operation, certificates, gate):
    fault = FAULTS[name]
    async with gate, fault.script(certificates) as (platform, changes):
        outcome = await call(operation, platform, changes)
        assert isinstance(outcome, TransportError), repr(outcome)
        words = f"{operation}, {name}: {outcome}"
        assert verdict_on(outcome) == fault.verdict, words
        assert operation != "execute" or started(outcome) == fault.started, words
        assert not platform.requests, words
        in_vain = "certificate" in outcome.reason
        assert outcome.permanent is in_vain, words
        if in_vain:
            assert platform.connections == 1, words
    return words


def test_each_hindrance_at_each_interface_ends_as_not_sent(certificates):
    async def main():
        gate = asyncio.Semaphore(AT_ONCE)
        cases = (
            hinder(name, operation, certificates, gate)
            for name in FAULTS
            for operation in INTERFACES
        )
        return await asyncio.gather(*cases, return_exceptions=True)

    words = play(main())
    wrong = [word for word in words if not isinstance(word, str)]
    assert not wrong, "\n".join(map(str, wrong))
    assert len(words) == len(FAULTS) * len(INTERFACES)
    assert sum(fault.verdict == NOT_SENT for fault in FAULTS.values()) >= 15


def test_what_was_hindered_once_is_sent_once(certificates):
    async def one(hindrance, operation):
        first = iter([hindrance])

        def at_once(talk):
            next(first, lambda _: None)(talk)

        async with RawPlatform(tls=certificates.good, at_once=at_once) as platform:
            changes = {"ssl": certificates.trusting, "connect_timeout": 1.0}
            outcome = await call(operation, platform, changes)
            assert not isinstance(outcome, Exception), repr(outcome)
            assert len(platform.of(operation)) == 1
            assert platform.connections == 2

    async def refused(operation):
        async with RawPlatform() as platform:
            platform.refuse()
            calling = asyncio.create_task(call(operation, platform, {}))
            await asyncio.sleep(0.02)
            platform.listen()
            outcome = await calling
            assert not isinstance(outcome, Exception), repr(outcome)
            assert len(platform.of(operation)) == 1

    async def main():
        hindrances = itertools.product([Talk.fin, Talk.rst, Talk.stall], INTERFACES)
        await asyncio.gather(
            *(one(hindrance, operation) for hindrance, operation in hindrances),
            *map(refused, INTERFACES),
        )

    play(main())


def test_the_reasons_say_what_to_mend(certificates):
    wanted = {
        "the port is closed": "Connect call failed",
        "the host's name is not known": "name is not known",
        "the host never answers": "connect_timeout",
        "the certificate is nobody's that is known": "self-signed|unable to get",
        "the certificate is another host's": "not valid for '127.0.0.1'",
        "the certificate is out of date": "expired",
        "there is no TLS": "TLS could not be agreed on",
        "the proxy wants a password": "the proxy refused the connection",
    }

    async def main():
        gate = asyncio.Semaphore(AT_ONCE)
        cases = (hinder(name, "listAll", certificates, gate) for name in wanted)
        return await asyncio.gather(*cases)

    for words, expected in zip(play(main()), wanted.values(), strict=True):
        assert any(part in words for part in expected.split("|")), words


def carried_out(talk):
    talk.read()
    talk.carry_out()


def test_a_read_that_was_out_before_is_never_called_not_sent():
    """The last try is refused; the first was carried out, answered or not."""

    def without_an_answer(talk):
        carried_out(talk)
        talk.platform.refuse_soon()
        talk.rst()

    def with_an_error(talk):
        carried_out(talk)
        talk.platform.refuse_soon()
        talk.say(http(envelope(None, 500, "sorry"), "Connection: close"))

    async def main():
        for script in (without_an_answer, with_an_error):
            async with RawPlatform(script) as platform:
                outcome = await call("listVar", platform, {})
                assert isinstance(outcome, TransportError)
                assert "Connect call failed" in outcome.reason
                assert outcome.request_sent

    play(main())


def test_an_execute_that_was_turned_away_before_was_not_sent():
    def turn_away(talk):
        talk.read()
        talk.platform.refuse_soon()
        talk.say(http(b"", "Retry-After: 0", status="429 Too Many Requests"))

    async def main():
        async with RawPlatform(turn_away) as platform:
            outcome = await call("execute", platform, {})
            assert isinstance(outcome, TransportError)
            assert not outcome.request_sent
            assert started(outcome) == NONE

    play(main())


def test_calls_when_the_client_is_closed_end_with_an_error_of_ours():
    """Whatever they are doing: waiting to send again, connecting, reading."""

    async def main():
        async with RawPlatform(Talk.stall, lambda _: True) as platform:
            client = DPAClient(settings_of(platform), tokens=GivenTokens(platform))
            asks = [Ask(platform, client) for _ in range(3)]
            calls = [
                asyncio.create_task(outcome_of(interface.call(ask)))
                for ask in asks
                for interface in INTERFACES.values()
            ]
            for _ in range(20):
                await asyncio.sleep(0.01)
                if platform.connections >= 4:
                    break
            await client.aclose()
            outcomes = await asyncio.gather(*calls)
        assert all(isinstance(outcome, Exception) for outcome in outcomes)

    play(main())
