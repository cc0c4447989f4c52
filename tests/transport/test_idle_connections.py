"""What comes on an idle connection is nobody's answer, and no reason to fail."""

import asyncio
import contextlib
import itertools
import socket
import threading
import time

import pytest
from attrs import field, frozen
from calls import INTERFACES, Ask, GivenTokens, check, outcome_of, settings_of
from raw_platform import PATIENCE, RawPlatform, Talk, http
from watching import play

from dpa_async import DPAClient, DPAError, NodeOutputs, RunStatus

READS = [name for name, interface in INTERFACES.items() if interface.pooled]


def says_it_again(talk):
    """The answer to the last request, once more."""
    talk.say(http(talk.platform.carry_out(talk.seen)))


def says_half_of_it_again(talk):
    talk.say(http(talk.platform.carry_out(talk.seen))[:-20])


def says_408(talk):
    talk.say(http(b"", "Connection: close", status="408 Request Timeout"))


def says_nonsense(talk):
    talk.say(b"nonsense\r\n\r\n")


def closes(talk):
    with contextlib.suppress(OSError):
        socket.socket.shutdown(talk.sock, socket.SHUT_WR)


@frozen
class Late:
    """Serves the first request, and does something more when it is told to."""

    does: object
    now: threading.Event = field(factory=threading.Event)
    done: threading.Event = field(factory=threading.Event)

    def __call__(self, talk):
        talk.serve()
        self.now.wait(PATIENCE)
        try:
            self.does(talk)
        finally:
            self.done.set()


def first_of_all(talk):
    return talk.number == talk.position == 0


async def ask_twice(operation, late, *, seen_by_loop, tls, trusting):
    interface = INTERFACES[operation]
    async with RawPlatform(late, first_of_all, tls) as platform:
        settings = settings_of(platform, ssl=trusting)
        async with DPAClient(settings, tokens=GivenTokens(platform)) as client:
            before, ask = Ask(platform, client), Ask(platform, client)
            assert interface.is_true(before, await interface.call(before))
            late.now.set()
            # Whether it waits in the kernel, or was read by the loop, is all the same.
            if seen_by_loop:
                await asyncio.to_thread(late.done.wait, PATIENCE)
                await asyncio.sleep(0.02)
            else:
                late.done.wait(PATIENCE)
                time.sleep(0.01)  # noqa: ASYNC251, TID251 - the loop must not see
            outcome = await outcome_of(interface.call(ask))
        check(operation, ask, outcome, since=1)
        assert not isinstance(outcome, DPAError), repr(outcome)
        assert len(platform.requests) == 2
        assert platform.connections == 2


@pytest.mark.parametrize("over", ["plain", "TLS"])
@pytest.mark.parametrize(
    "does",
    [
        says_it_again,
        says_half_of_it_again,
        says_408,
        says_nonsense,
        closes,
        Talk.rst,
    ],
)
def test_the_next_read_goes_over_another_connection(does, over, certificates):
    tls = certificates.good if over == "TLS" else None

    async def main():
        for operation, seen in itertools.product(READS, (True, False)):
            await ask_twice(
                operation,
                Late(does),
                seen_by_loop=seen,
                tls=tls,
                trusting=certificates.trusting,
            )

    play(main())


def test_one_stray_answer_spoils_none_of_many_connections():
    async def main():
        async with RawPlatform() as platform:
            async with DPAClient(
                settings_of(platform), tokens=GivenTokens(platform)
            ) as client:
                asks = [Ask(platform, client) for _ in range(20)]
                reads = (client.get_run_status(ask.run) for ask in asks)
                await asyncio.gather(*reads)
                for sock in platform.open_sockets:
                    sock.sendall(http(b'{"code": 500, "message": "stray"}'))
                status = await client.get_run_status(asks[0].run)
                assert status is RunStatus.SUCCEEDED
                outputs = await asyncio.gather(
                    *(client.get_outputs(ask.run) for ask in asks)
                )
            assert [given["of"] for given in outputs] == [
                f"{ask.workflow_id} {ask.run_id}" for ask in asks
            ]
            assert all(isinstance(given, NodeOutputs) for given in outputs)

    play(main())


@pytest.mark.parametrize("over", ["plain", "TLS"])
def test_good_idle_connections_are_used_again(over, certificates):
    tls = certificates.good if over == "TLS" else None

    async def main():
        async with RawPlatform(tls=tls) as platform:
            settings = settings_of(platform, ssl=certificates.trusting)
            async with DPAClient(settings, tokens=GivenTokens(platform)) as client:
                for _ in range(20):
                    await client.get_run_status(Ask(platform, client).run)
                    await asyncio.sleep(0.001)
            assert platform.connections == 1

    play(main())


def test_a_status_that_is_another_runs_is_none():
    """Said after the next request has left, no connection shows that it is stray."""

    def answers_the_one_before(talk):
        if talk.position:
            talk.read()
            talk.say(http(talk.platform.carry_out(talk.platform.requests[-2])))
            talk.say(http(talk.carry_out()))
        else:
            talk.serve()

    async def main():
        async with (
            RawPlatform(answers_the_one_before) as platform,
            DPAClient(settings_of(platform), tokens=GivenTokens(platform)) as client,
        ):
            await client.get_run_status(Ask(platform, client).run)
            ask = Ask(platform, client)
            with pytest.raises(DPAError, match="about another run"):
                await client.get_run_status(ask.run)

    play(main())
