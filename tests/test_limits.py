"""Limits: requests in flight, requests per second, pauses; in virtual time."""

import asyncio
import os
from bisect import bisect_left
from itertools import pairwise

import pytest

from dpa_async import (
    ConfigurationError,
    DPAClient,
    Limits,
    RunRequest,
    TransportError,
    UnexpectedResponseError,
    run_many,
)
from dpa_async.simulator import Fault, MemorySimulator
from dpa_async.simulator.virtual_time import run

STORMS = int(os.environ.get("DPA_STORMS", "40"))  # `nox -s soak`: 150


class Watched(MemorySimulator):
    """Notes when each exchange begins, and how many are under way."""

    def __init__(self, **options):
        super().__init__(**options)
        self.began = []
        self.under_way = 0
        self.most = 0

    async def exchange(self, method, url, *args, **options):
        self.began.append((asyncio.get_running_loop().time(), url))
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            return await super().exchange(method, url, *args, **options)
        finally:
            self.under_way -= 1


def watch(test, limits, **options):
    async def main():
        platform = Watched(**options)
        settings = platform.settings(limits=limits)
        async with DPAClient(settings, backend=platform) as client:
            await client.list_workflows()
            await asyncio.sleep(5)
            platform.began.clear()
            platform.most = 0
            await test(platform, client)

    run(main())


def busiest_second(moments):
    return max(bisect_left(moments, at + 1.0) - n for n, at in enumerate(moments))


def test_no_second_holds_more_than_the_rate_and_one_and_the_mean_keeps_up():
    async def test(platform, client):
        await asyncio.gather(*(client.list_workflows() for _ in range(2000)))
        moments = [at for at, _ in platform.began]
        assert busiest_second(moments) <= 51
        assert (len(moments) - 1) / (moments[-1] - moments[0]) >= 49.5
        gaps = [b - a for a, b in pairwise(moments)]
        assert min(gaps) > 0.015  # no bursts, however long it was idle

    watch(test, Limits(requests_per_second=50))


def test_cancelled_waiters_cost_no_slot():
    async def test(platform, client):
        tasks = [asyncio.create_task(client.list_workflows()) for _ in range(1000)]
        await asyncio.sleep(1)
        for task in tasks[::2]:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        moments = [at for at, _ in platform.began]
        assert busiest_second(moments) <= 51
        assert (len(moments) - 1) / (moments[-1] - moments[0]) >= 49.5

    watch(test, Limits(requests_per_second=50))


def test_who_waited_for_a_token_in_his_turn_waits_for_another_turn():
    async def test(platform, client):
        platform.platform.revoke_all()
        platform.faults.add("token", Fault.slow_answer(2.0))
        await asyncio.gather(*(client.list_workflows() for _ in range(500)))
        moments = [at for at, _ in platform.began]
        assert len(moments) > 500
        assert busiest_second(moments) <= 51

    watch(test, Limits(requests_per_second=50))


def test_polls_never_starve_launches():
    async def test(platform, client):
        ref = (await client.execute("wf")).run
        polls = asyncio.gather(*(client.get_run_status(ref) for _ in range(2000)))
        await asyncio.sleep(1)
        before = asyncio.get_running_loop().time()
        await asyncio.gather(*(client.execute(f"w{n}") for n in range(100)))
        assert asyncio.get_running_loop().time() - before < 2 * 100 / 50 + 1
        await polls

    watch(test, Limits(requests_per_second=50))


def test_requests_in_flight_have_budgets_of_their_own():
    async def test(platform, client):
        reads = [client.list_workflows() for _ in range(100)]
        await asyncio.gather(*reads)
        assert platform.most == 5
        platform.most = 0
        posts = [client.execute(f"w{n}") for n in range(50)]
        await asyncio.gather(*posts)
        assert platform.most == 3
        platform.most = 0
        reads = [client.list_workflows() for _ in range(100)]
        posts = [client.execute(f"v{n}") for n in range(50)]
        await asyncio.gather(*reads, *posts)
        assert platform.most == 8

    watch(test, Limits(reads_in_flight=5, submissions_in_flight=3))


def test_a_place_is_not_held_while_a_run_sleeps():
    async def test(platform, client):
        requests = [RunRequest(f"w{n}") for n in range(200)]
        async with run_many(client, requests, concurrency=200) as batch:
            began = asyncio.get_running_loop().time()
            outcomes = [outcome async for outcome in batch]
        assert all(outcome.error is None for outcome in outcomes)
        assert asyncio.get_running_loop().time() - began < 100

    limits = Limits(reads_in_flight=2, submissions_in_flight=1)
    watch(test, limits, duration=60.0)


@pytest.mark.parametrize("as_date", [False, True])
@pytest.mark.parametrize("status", [429, 503])
def test_a_platform_that_wants_to_be_left_alone_is_by_the_whole_client(status, as_date):
    async def test(platform, client):
        fault = Fault.http_status(status, retry_after=20, as_date=as_date)
        platform.faults.add("listAll", fault, calls={1})
        first = asyncio.create_task(client.list_workflows())
        await asyncio.sleep(1)
        await client.execute("wf")
        await first
        (_, _), *others = platform.began
        assert all(at >= platform.began[0][0] + 19 for at, _ in others)
        assert len(platform.began) == 3

    watch(test, Limits())


def test_a_pause_is_capped():
    async def test(platform, client):
        platform.faults.add(
            "listAll", Fault.http_status(429, retry_after=99_999), calls={1}
        )
        began = asyncio.get_running_loop().time()
        await client.list_workflows()
        assert 59 <= asyncio.get_running_loop().time() - began <= 66

    watch(test, Limits())


def test_being_turned_away_for_good_says_so():
    async def test(platform, client):
        platform.faults.add("listAll", Fault.http_status(429, retry_after=1))
        with pytest.raises(
            UnexpectedResponseError, match="too many requests"
        ) as caught:
            await client.list_workflows()
        assert caught.value.http_status == 429
        assert caught.value.retry_after == 1

    watch(test, Limits())


def test_an_outage_adds_at_most_a_tenth_to_the_requests():
    async def test(platform, client):
        platform.faults.add("listAll", Fault.reset())
        for _ in range(100):
            outcomes = await asyncio.gather(
                *(client.list_workflows() for _ in range(20)), return_exceptions=True
            )
            assert {type(outcome) for outcome in outcomes} == {TransportError}
        assert len(platform.began) <= 2000 * 1.1 + 10

    watch(test, Limits())


def test_repeats_keep_a_distance_and_end():
    async def test(platform, client):
        platform.faults.add("listAll", Fault.reset())
        with pytest.raises(TransportError):
            await client.list_workflows()
        moments = [at for at, _ in platform.began]
        assert len(moments) == 5
        gaps = [b - a for a, b in pairwise(moments)]
        assert all(0.05 <= gap <= 5.1 for gap in gaps)

    watch(test, Limits())


@pytest.mark.parametrize(
    "bad",
    [
        {"requests_per_second": 0},
        {"requests_per_second": -1},
        {"requests_per_second": float("nan")},
        {"reads_in_flight": 0},
        {"submissions_in_flight": 1.5},
    ],
)
def test_limits_out_of_their_range_are_told_of(bad):
    with pytest.raises(ConfigurationError, match=next(iter(bad))):
        Limits(**bad)


@pytest.mark.parametrize("cancelled", [0, 1])
def test_storms_of_100_requests_over_3_slots_none_hangs(cancelled):
    async def storm(platform, client, number):
        tasks = [asyncio.create_task(client.list_workflows()) for _ in range(100)]
        await asyncio.sleep(0.001 * (number % 7))
        for task in tasks[number % 2 :: 2] if cancelled else ():
            task.cancel()
        async with asyncio.timeout(60):
            await asyncio.gather(*tasks, return_exceptions=True)
            await client.list_workflows()

    async def test(platform, client):
        for number in range(STORMS):
            await storm(platform, client, number)

    watch(test, Limits(reads_in_flight=3))
