"""What observers of a client are told of each try of a request."""

import asyncio

import pytest

from dpa_async import APIError, DPAClient, DPAError, Limits
from dpa_async.events import Exchanged
from dpa_async.simulator import Fault, MemorySimulator, SimulatedWorkflow
from dpa_async.simulator.virtual_time import run


def observed(test, **settings):
    async def main():
        platform = MemorySimulator([SimulatedWorkflow("wf", duration=5.0)])
        told = []
        async with DPAClient(
            platform.settings(**settings), backend=platform, observers=[told.append]
        ) as client:
            await test(platform, client, told)
        await platform.aclose()

    run(main())


def hows(told, operation):
    return [event.how for event in told if event.operation == operation]


def test_each_request_is_told_with_the_time_that_it_took():
    async def test(platform, client, told):
        platform.faults.add("listAll", Fault.latency(2.0))
        await client.list_workflows()
        assert [(e.operation, e.how, e.code) for e in told] == [
            ("authorize", "answered", None),
            ("token", "answered", None),
            ("listAll", "answered", None),
        ]
        assert told[-1].seconds == pytest.approx(2.0, abs=0.2)

    observed(test)


@pytest.mark.parametrize(
    ("fault", "how", "code"),
    [
        (Fault.body_code(997), "refused", 997),
        (Fault.answer_lost(), "lost", None),
        (Fault.refused(), "not sent", None),
        (Fault.html(), "unexpected", None),
        (Fault.http_status(429, retry_after=1), "turned away", None),
    ],
    ids=repr,
)
def test_each_end_of_a_try_has_its_word(fault, how, code):
    async def test(platform, client, told):
        platform.faults.add("execute", fault)
        with pytest.raises(DPAError):
            async with asyncio.timeout(100):
                await client.execute("wf")
        (first, *_) = (e for e in told if e.operation == "execute")
        assert (first.how, first.code) == (how, code)
        assert (first.seconds is None) == (how == "not sent")

    observed(test)


def test_every_try_is_told_of():
    async def test(platform, client, told):
        platform.faults.add("listAll", Fault.reset(), calls={1, 2})
        await client.list_workflows()
        assert hows(told, "listAll") == ["lost", "lost", "answered"]

    observed(test)


def test_a_token_that_cannot_be_had_is_told_as_the_tokens_alone():
    async def test(platform, client, told):
        platform.faults.add("token", Fault.body_code(403))
        with pytest.raises(APIError):
            await client.list_workflows()
        assert set(hows(told, "token")) == {"refused"}
        assert hows(told, "listAll") == []

    observed(test)


def test_who_is_cancelled_before_the_request_left_made_no_try():
    async def test(platform, client, told):
        await client.list_workflows()
        platform.faults.add("listAll", Fault.latency(50.0))
        reading = [asyncio.create_task(client.list_workflows()) for _ in range(2)]
        await asyncio.sleep(1)
        for task in reading:
            task.cancel()
        await asyncio.wait(reading)
        assert hows(told, "listAll") == ["answered", "cancelled"]
        assert told[-1].seconds == pytest.approx(1.0, abs=0.1)

    observed(test, limits=Limits(reads_in_flight=1))


def test_an_observer_that_raises_harms_no_request(caplog):
    def broken(event: Exchanged):
        raise LookupError(event.operation)

    async def main():
        platform = MemorySimulator()
        async with DPAClient(
            platform.settings(), backend=platform, observers=[broken]
        ) as client:
            await client.list_workflows()
        await platform.aclose()

    run(main())
    (record,) = caplog.records
    assert "observer" in record.message
