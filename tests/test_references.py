"""References: what is attached to, and what of it the runner keeps."""

import asyncio
import gc

import pytest
from scenes import journaled, lives

from dpa_async import (
    InvalidParameterError,
    Runner,
    RunRef,
    RunTimeoutError,
    RunUnreachableError,
)
from dpa_async.simulator import Fault, SimulatedWorkflow


def test_a_reference_that_somebody_made_up_holds_nothing_up(in_memory):
    async def test(platform, client):
        async with Runner(client) as runner:
            real = await runner.start("wf")
            await real
            for n in range(100):
                made_up = RunRef(platform.url, "wf", f"in{n}")
                with pytest.raises(InvalidParameterError):
                    await runner.attach(made_up).status()
                with pytest.raises(RunUnreachableError, match="never seen"):
                    await runner.attach(str(made_up))
            await asyncio.sleep(1)
            gc.collect()
            assert runner.open_runs == ()
            began = platform.now()
            await runner.start("wf")
            assert platform.now() - began < 1

    in_memory(test, SimulatedWorkflow("wf", duration=5.0))


def test_a_reference_that_is_waited_for_holds_nobody_up_either(in_memory):
    async def test(platform, client):
        async with Runner(client) as runner:
            platform.faults.add("getProcessRunStatus", Fault.http_status(503))
            waiting = asyncio.create_task(
                runner.attach(RunRef(platform.url, "wf", "in0")).result(timeout=20)
            )
            await asyncio.sleep(1)
            began = platform.now()
            await runner.start("wf")
            assert platform.now() - began < 1
            with pytest.raises(RunTimeoutError):
                await waiting

    in_memory(test, SimulatedWorkflow("wf", duration=5.0))


def test_to_ask_for_an_old_run_leaves_the_lane_as_it_is(in_memory):
    async def test(platform, client):
        async with Runner(client) as runner:
            old = await runner.start("wf")
            await old
            new = await runner.start("wf")
            assert (await runner.attach(old.ref).status()).ended
            assert runner.open_runs == (new.ref,)
            await runner.start("wf")  # waits until the new one is over
        requests = platform.platform.requests
        assert requests["execute"] == 3
        assert requests["listAll"] == 0

    in_memory(test, SimulatedWorkflow("wf", duration=5.0))


def test_what_was_attached_to_is_the_same_run_as_long_as_somebody_has_it(in_memory):
    async def test(platform, client):
        ref = (await client.companion(Runner).start("wf")).ref
        async with Runner(client) as runner:
            run = runner.attach(ref)
            assert runner.attach(str(ref)) is run
            assert runner.open_runs == (ref,)
            waiting = asyncio.create_task(run.result())
            await asyncio.sleep(1)
            del run
            gc.collect()
            assert runner.open_runs == (ref,)  # somebody waits
            await waiting
            assert runner.open_runs == ()

    in_memory(test, SimulatedWorkflow("wf", duration=5.0))


def test_when_a_workflow_is_executed_again_all_its_runs_before_are_over(tmp_path):
    async def test(platform):
        refs = []
        async with journaled(platform, tmp_path / "j") as (runner, _):
            for key in ("a", "b"):
                refs.append((await runner.start("wf", key=key)).ref)
                await asyncio.sleep(0.3)
        async with journaled(platform, tmp_path / "j") as (runner, _):
            for key in ("a", "b"):  # found in the journal, and not waited for
                assert (await runner.start("wf", key=key)).ref in refs
            assert set(runner.open_runs) == set(refs)
            new = await runner.start("wf", key="c")
            assert runner.open_runs == (new.ref,)

    lives(test, SimulatedWorkflow("wf", duration=0.1))


def test_a_journaled_run_is_no_hearsay(tmp_path):
    async def test(platform):
        async with journaled(platform, tmp_path / "j") as (runner, _):
            started = await runner.start("wf", key="a")
        platform.faults.add("getProcessRunStatus", Fault.body_code(400), first=1)
        async with journaled(platform, tmp_path / "j") as (runner, _):
            (outcome,) = [outcome async for outcome in runner.resume()]
            assert outcome.result.ref == started.ref

    lives(test, SimulatedWorkflow("wf", duration=0.1))


def test_runs_of_a_journal_that_are_asked_for_again_are_kept_once(tmp_path):
    async def test(platform):
        async with journaled(platform, tmp_path / "j") as (runner, _):
            for key in ("a", "b"):
                await runner.start("wf", key=key)
                await asyncio.sleep(0.3)
        platform.faults.add("execute", Fault.body_code(999), first=1)
        async with journaled(platform, tmp_path / "j") as (runner, _):
            for _ in range(100):
                for key in ("b", "a"):
                    await runner.start("wf", key=key)
            assert sum(map(len, runner._runs._kept.values())) == 2
            for run in [runner.attach(ref) for ref in runner.open_runs]:
                await run
            assert not runner._runs._kept

    lives(test, SimulatedWorkflow("wf", duration=0.1))


def test_a_run_that_is_kept_is_waited_for_in_whichever_order_it_was_asked_for(tmp_path):
    async def test(platform):
        async with journaled(platform, tmp_path / "j") as (runner, _):
            await runner.start("wf", key="a")
            await asyncio.sleep(0.3)
            await runner.start("wf", key="b")
        executed = platform.faults.calls["execute"]
        async with journaled(platform, tmp_path / "j") as (runner, _):
            for key in ("b", "a"):  # the latest is asked for first
                await runner.start("wf", key=key)
            await runner.start("wf", key="c")
        assert platform.faults.calls["execute"] == executed + 1  # none was refused

    lives(test, SimulatedWorkflow("wf", duration=0.25))
