"""What all triggers of a triggerer share."""

import asyncio

import pytest
from attrs import evolve

from dpa_async.integrations.airflow.together import together
from dpa_async.simulator import Simulator, serving


def test_sixty_waiters_share_one_client_and_look_together():
    async def wait_for(settings, ref):
        async with together("dpa", settings, linger=0) as shared:
            return shared, await shared.runner.attach(ref).result()

    async def test():
        async with Simulator(duration=3.0) as simulator:
            settings = simulator.settings()
            async with together("dpa", settings, linger=0) as shared:
                refs = [(await shared.client.execute(f"w{n}")).run for n in range(60)]
                simulator.faults.calls.clear()
                ends = await asyncio.gather(*(wait_for(settings, r) for r in refs))
            assert {id(one) for one, _ in ends} == {id(shared)}
            assert [result.ref for _, result in ends] == refs
            calls = simulator.faults.calls
            assert calls["token"] == 0
            assert calls["listAll"] > 0

    asyncio.run(test())


def test_it_is_kept_a_while_and_then_closed():
    async def test():
        async with Simulator() as simulator:
            settings = simulator.settings()
            async with together("dpa", settings, linger=0.2) as first:
                pass
            async with together("dpa", settings, linger=0.05) as again:
                assert again is first
                assert again.users == 1
            await asyncio.sleep(0.3)
            async with together("dpa", settings, linger=0) as new:
                assert new is not first
            await asyncio.sleep(0.1)
            left = asyncio.all_tasks() - {asyncio.current_task()}
            assert len(left) <= 2  # the simulator's own

    asyncio.run(test())


def test_what_is_kept_when_the_loop_ends_is_closed_with_it():
    left = []

    async def test(settings):
        async with together("dpa", settings) as shared:
            left.append(shared)
            await shared.client.list_workflows()

    async def cut_short(settings):
        async with together("dpa", settings) as shared:
            left.append(shared)
            asyncio.current_task().cancel()
            await asyncio.sleep(1)

    with serving(Simulator()) as simulator:
        asyncio.run(test(simulator.settings()))
        with pytest.raises(asyncio.CancelledError):
            asyncio.run(cut_short(simulator.settings()))
    assert [shared.client._closed for shared in left] == [True, True]


def test_an_edited_connection_is_used_at_once():
    async def test():
        async with Simulator() as simulator:
            settings = simulator.settings()
            edited = evolve(settings, request_timeout=7.0)
            async with (
                together("dpa", settings, linger=0) as before,
                together("dpa", edited, linger=0) as after,
                together("other", settings, linger=0) as other,
            ):
                assert before is not after
                assert other is not before
                run = await before.client.execute("w")
                await before.runner.attach(run.run).result()

    asyncio.run(test())
