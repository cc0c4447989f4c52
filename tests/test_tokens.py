"""`TokenManager` under fire: expiry, skew, refusals, cancelled leaders."""

import asyncio
import base64
import json
import os

import pytest

from dpa_async import AuthenticationError, DPAClient, TransportError
from dpa_async.simulator import Application, Behaviour, Fault, MemorySimulator
from dpa_async.simulator.virtual_time import run

DAY = 86_400.0
CALLERS = int(os.environ.get("DPA_CALLERS", "2000"))  # `nox -s soak`: 10,000


def now():
    return asyncio.get_running_loop().time()


@pytest.mark.parametrize("skew", [-DAY, -3600.0, 0.0, 3600.0, DAY])
@pytest.mark.parametrize("lifetime", [120.0, 7_200.0])
def test_a_token_is_renewed_once_per_lifetime_whatever_the_platforms_clock_says(
    in_memory, skew, lifetime
):
    async def test(platform, client):
        for _ in range(1000):
            await client.list_workflows()
            await asyncio.sleep(lifetime / 100)
        renewals = platform.faults.calls["token"]
        assert 10 <= renewals <= 14  # ten lifetimes, each cut short by renewing ahead
        assert platform.faults.calls["listAll"] == 1000  # none was refused

    in_memory(test, behaviour=Behaviour(token_lifetime=lifetime, clock_skew=skew))


LIFETIME = 7_200.0


def made(platform):
    """How many codes and how many tokens were asked for."""
    return platform.faults.calls["authorize"], platform.faults.calls["token"]


async def expiry(platform, client):
    """The token's time is over, and the client knows."""
    await asyncio.sleep(LIFETIME + 1)


async def revocation(platform, client):
    """It should still hold, and the platform refuses it."""
    platform.platform.revoke_all()


@pytest.mark.parametrize("end", [expiry, revocation])
def test_thousands_of_callers_in_five_waves_make_one_renewal_a_wave(in_memory, end):
    async def test(platform, client):
        await client.tokens.get()
        for wave in range(1, 6):
            await end(platform, client)
            await asyncio.gather(*(client.list_workflows() for _ in range(CALLERS)))
            assert made(platform) == (1 + wave, 1 + wave)

    in_memory(test, latency=0.5)


@pytest.mark.parametrize("end", [expiry, revocation])
@pytest.mark.parametrize("moment", [0.0, 0.25, 0.5, 0.75, 1.0, 1.25])
def test_1000_callers_whose_leader_is_cancelled_lose_only_the_leader(
    in_memory, end, moment
):
    """With exchanges of 0.5 s that is at each of them, and between two."""

    async def test(platform, client):
        await client.list_workflows()
        await end(platform, client)
        callers = [asyncio.create_task(client.list_workflows()) for _ in range(1000)]
        await asyncio.sleep(moment)
        callers[0].cancel()
        outcomes = await asyncio.gather(*callers, return_exceptions=True)
        assert isinstance(outcomes[0], asyncio.CancelledError)
        assert outcomes[1:] == [[]] * 999
        assert made(platform) == (2, 2)

    in_memory(test, latency=0.5)


def test_a_renewal_is_finished_even_when_everybody_left(in_memory):
    async def test(platform, client):
        platform.faults.add("token", Fault.slow_answer(1.0))
        caller = asyncio.create_task(client.tokens.get())
        await asyncio.sleep(0.5)
        caller.cancel()
        await asyncio.sleep(1)
        await client.tokens.get()
        assert platform.faults.calls["token"] == 1

    in_memory(test)


def test_ahead_of_expiry_the_old_token_serves_while_a_new_one_is_fetched(in_memory):
    async def test(platform, client):
        old = await client.tokens.get()
        await asyncio.sleep(7_200.0 - 10)
        platform.faults.add("token", Fault.slow_answer(5.0))
        began = now()
        assert await client.tokens.get() is old
        assert now() == began
        await asyncio.sleep(6)
        assert (await client.tokens.get()).value != old.value

    in_memory(test)


def test_a_renewal_ahead_of_expiry_that_fails_bothers_nobody(in_memory):
    async def test(platform, client):
        old = await client.tokens.get()
        await asyncio.sleep(7_200.0 - 25)
        platform.faults.add("token", Fault.reset(), first=4)
        for _ in range(20):
            await client.tokens.get()
            await asyncio.sleep(1)
        assert (await client.tokens.get()).value != old.value

    in_memory(test)


def test_opaque_tokens_live_for_the_dialects_default(in_memory):
    async def test(platform, client):
        first = await client.tokens.get()
        assert first.expires_in == client.settings.dialect.token_lifetime
        await client.list_workflows()
        platform.platform.revoke_all()
        await client.list_workflows()
        assert platform.faults.calls["token"] == 2

    in_memory(test, behaviour=Behaviour(opaque_tokens=True))


def claims(**values):
    def part(data):
        return base64.urlsafe_b64encode(json.dumps(data).encode()).decode().rstrip("=")

    return f"{part({'alg': 'none'})}.{part(values)}.c2ln"


@pytest.mark.parametrize(
    "token",
    [
        claims(exp=1_606_000_000, orig_iat=1_606_743_910),  # as the document's sample
        claims(exp="soon"),
        claims(exp=10**40, iat=0),
        claims(exp=float("1e300")),
        claims(exp=True),
        claims(),
        "a.b.c",
        "....",
        "a.!!!.c",
        "x",
        "eyJ.//8.x",
        "a." + base64.urlsafe_b64encode(b"[" * 100_000).decode() + ".c",
    ],
)
def test_garbled_claims_never_fail(in_memory, token):
    async def test(platform, client):
        body = json.dumps({"code": 200, "data": {"access_token": token}}).encode()
        platform.faults.add("token", Fault.garbage(body))
        got = await client.tokens.get()
        assert got.value == token
        assert got.expires_in == client.settings.dialect.token_lifetime
        assert repr(got) == "AccessToken(expires_in=1800.0)"

    in_memory(test)


def test_a_wrong_secret_fails_at_once_for_all_who_wait_without_a_storm(in_memory):
    async def main():
        platform = MemorySimulator()
        settings = platform.settings(client_secret="not/The+Secret==")
        async with DPAClient(settings, backend=platform) as client:
            began = now()
            outcomes = await asyncio.gather(
                *(client.list_workflows() for _ in range(1000)), return_exceptions=True
            )
            assert {type(outcome) for outcome in outcomes} == {AuthenticationError}
            assert len({id(outcome) for outcome in outcomes}) == 1000
            assert now() - began < 1
            for words in ("secret is wrong", "application has expired"):
                assert words in str(outcomes[0])
            spent = platform.faults.calls["token"]
            assert spent <= 2
            for _ in range(100):  # remembered for a moment
                with pytest.raises(AuthenticationError):
                    await client.list_workflows()
            assert platform.faults.calls["token"] == spent
            await asyncio.sleep(1.5)
            with pytest.raises(AuthenticationError):
                await client.list_workflows()
            assert platform.faults.calls["token"] > spent

    run(main())


def test_an_expired_application_is_an_authentication_error_at_once(in_memory):
    application = Application(valid_until=0.0)

    async def test(platform, client):
        began = now()
        waiting = (client.list_workflows() for _ in range(1000))
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {AuthenticationError}
        assert "application has expired" in str(outcomes[0])
        assert now() - began < 1
        assert platform.faults.calls["authorize"] == 1

    in_memory(test, behaviour=Behaviour(applications=(application,)))


def test_a_code_that_is_refused_once_is_replaced_by_another(in_memory):
    async def test(platform, client):
        platform.faults.add("token", Fault.body_code(403), calls={1})
        await client.list_workflows()
        assert platform.faults.calls["authorize"] == 2

    in_memory(test)


@pytest.mark.parametrize("fault", [Fault.answer_lost(), Fault.html(502), Fault.empty()])
def test_a_lost_token_answer_costs_another_code_and_no_caller(in_memory, fault):
    async def test(platform, client):
        platform.faults.add("token", fault, calls={1})
        await client.list_workflows()
        assert platform.faults.calls["authorize"] == 2

    in_memory(test)


def test_an_unreachable_platform_fails_all_who_wait_and_recovers(in_memory):
    async def test(platform, client):
        platform.faults.add("authorize", Fault.refused())
        outcomes = await asyncio.gather(
            *(client.list_workflows() for _ in range(100)), return_exceptions=True
        )
        assert {type(outcome) for outcome in outcomes} == {TransportError}
        assert not any(outcome.request_sent for outcome in outcomes)
        assert platform.faults.calls["authorize"] <= 5
        platform.faults.clear()
        await asyncio.sleep(2)
        await client.list_workflows()

    in_memory(test)


def test_a_token_that_somebody_else_renewed_is_not_renewed_again(in_memory):
    async def test(platform, client):
        await client.list_workflows()
        platform.platform.revoke_all()
        await asyncio.gather(*(client.list_workflows() for _ in range(500)))
        assert platform.faults.calls["token"] == 2
        old = await client.tokens.get()
        new = await client.tokens.renew(rejected=old)
        assert await client.tokens.renew(rejected=old) is new
        assert await client.tokens.renew(rejected=old.value) is new
        assert platform.faults.calls["token"] == 3

    in_memory(test)


def test_where_everything_is_refused_tokens_are_not_fetched_without_end(in_memory):
    async def test(platform, client):
        platform.faults.add("getProcessRunStatus", Fault.body_code(403))
        runs = [(await client.execute(f"w{n}")).run for n in range(50)]
        for _ in range(20):
            outcomes = await asyncio.gather(
                *(client.get_run_status(run) for run in runs), return_exceptions=True
            )
            assert {type(outcome) for outcome in outcomes} == {AuthenticationError}
            await asyncio.sleep(0.1)
        assert platform.faults.calls["token"] <= 25

    in_memory(test)
