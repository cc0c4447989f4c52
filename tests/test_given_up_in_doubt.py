"""Starts that are given up, or go on, while it is in doubt whether they ran."""

import asyncio

import pytest
from scenes import FullDisk, called_back, journaled, lives

from dpa_async import (
    ConfigurationError,
    DPAClient,
    JournalError,
    Runner,
    RunTimeoutError,
    SubmissionUncertainError,
    run_and_wait,
)
from dpa_async.events import Uncertain
from dpa_async.journal import EntryState, SQLiteJournal
from dpa_async.simulator import Fault, SimulatedWorkflow


def lost_late():
    return Fault.answer_lost().and_also(Fault.slow_answer(1.0))


@pytest.mark.parametrize("policy", ["report", "wait", "rerun"])
def test_who_gives_up_blocks_no_lane_and_nothing_is_sent_for_nobody(in_memory, policy):
    async def test(platform, client):
        await client.list_workflows()
        platform.faults.add("execute", lost_late(), first=1)
        runner = client.companion(Runner)
        gone = asyncio.create_task(runner.start("wf", on_uncertain=policy))
        await asyncio.sleep(0.5)
        gone.cancel()
        await run_and_wait(runner, "wf")
        assert platform.faults.calls["execute"] == 2

    in_memory(test, SimulatedWorkflow("wf", duration=0.1))


def test_a_run_that_is_proven_when_nobody_waits_is_among_the_open_ones():
    async def test(platform, runner):
        await runner.client.list_workflows()
        platform.faults.add("execute", Fault.answer_lost(), first=1)
        gone = asyncio.create_task(runner.start("wf", {"n": 1}))
        await asyncio.sleep(1)
        gone.cancel()
        await asyncio.sleep(60)
        (ref,) = runner.open_runs
        assert (await runner.attach(ref)).outputs.json("echo") == {"n": 1}

    called_back(test, SimulatedWorkflow("wf", duration=30.0))


def test_a_verdict_is_about_one_execute_and_no_other(tmp_path):
    async def test(platform):
        told = []
        platform.faults.add("execute", Fault.reset(), first=1)
        async with journaled(platform, tmp_path / "j", observers=[told.append]) as (
            runner,
            journal,
        ):
            waiting = asyncio.create_task(
                run_and_wait(runner, "wf", key="k", on_uncertain="wait")
            )
            first = await doubted(told, 1, journal)
            platform.faults.add("execute", Fault.answer_lost(), first=1)
            await runner.settle(first, ran=None)
            await doubted(told, 2, journal)
            with pytest.raises(ConfigurationError, match="earlier"):
                await runner.settle(first, ran=None)
            waiting.cancel()
        assert len(platform.platform.runs) == 1

    lives(test)


async def doubted(told, count, journal):
    """Wait for so many doubts; the last is told a moment before it is written down."""
    for _ in range(500):
        seen = [event.submission for event in told if type(event) is Uncertain]
        if len(seen) == count and journal.find("k").submission == seen[-1]:
            return seen[-1]
        await asyncio.sleep(0.01)
    raise AssertionError(told)


def test_equal_keys_without_a_journal_are_told_apart():
    async def test(platform, runner):
        platform.faults.add("execute", Fault.answer_lost(), first=2)
        results = await asyncio.gather(
            *(run_and_wait(runner, name, {"n": name}, key="k") for name in "ab")
        )
        assert [result.outputs.json("echo")["n"] for result in results] == ["a", "b"]

    called_back(test, duration=20.0)


def test_a_deadline_while_it_waits_to_run_again_says_that_it_may_have_run(in_memory):
    async def test(platform, client):
        platform.faults.add("execute", Fault.answer_lost(), first=1)
        with pytest.raises(SubmissionUncertainError, match="deadline"):
            await run_and_wait(client, "wf", on_uncertain="rerun", timeout=20)
        assert platform.faults.calls["execute"] == 1

    in_memory(test, SimulatedWorkflow("wf", duration=500.0))


def test_a_second_execute_that_is_refused_does_not_hide_the_first(in_memory):
    async def test(platform, client):
        platform.faults.add("execute", Fault.answer_lost(), calls={1})
        platform.faults.add("execute", Fault.body_code(400), calls={2})
        with pytest.raises(SubmissionUncertainError, match=r"and then: .*400"):
            await run_and_wait(client, "wf", on_uncertain="rerun")

    in_memory(test, SimulatedWorkflow("wf", duration=5.0))


def test_a_key_whose_run_goes_on_is_given_at_once_whatever_is_asked_for(tmp_path):
    async def test(platform):
        async with journaled(platform, tmp_path / "j") as (runner, _):
            run = await runner.start("wf", {"A": 1}, key="k")
            platform.faults.add("listVar", Fault.body_code(997))
            for more in ({"if_busy": "fail"}, {"timeout": 0.5}, {"validate": True}):
                again = await runner.start("wf", {"A": 1}, key="k", **more)
                assert again.ref == run.ref
            with pytest.raises(RunTimeoutError):
                await run_and_wait(runner, "wf", {"A": 1}, key="k", timeout=0.2)

    lives(test, SimulatedWorkflow("wf", variables=["A"], duration=60.0))


def test_a_start_that_could_not_be_written_down_is_known_here_all_the_same(tmp_path):
    async def test(platform):
        async with (
            DPAClient(platform.settings(), backend=platform) as client,
            SQLiteJournal(tmp_path / "j") as journal,
            Runner(client, journal=FullDisk(journal, "started")) as runner,
        ):
            with pytest.raises(JournalError):
                await runner.start("wf", key="k")
            assert journal.find("k").state is EntryState.INTENDED
            again = await runner.start("wf", key="k", on_uncertain="rerun")
            assert (again.ref,) == runner.open_runs
        assert platform.faults.calls["execute"] == 1

    lives(test, SimulatedWorkflow("wf", duration=60.0))


def test_who_is_cancelled_takes_back_only_what_is_its_own(tmp_path):
    async def test(platform):
        platform.faults.add("execute", Fault.slow_answer(0.1))
        async with journaled(platform, tmp_path / "j") as (runner, journal):
            await runner.client.list_workflows()
            for ticks in range(4, 20):
                key = f"k{ticks}"
                first = asyncio.create_task(runner.start(f"a{ticks}", key=key))
                other = asyncio.create_task(runner.start(f"b{ticks}", key=key))
                for _ in range(ticks):
                    await asyncio.sleep(0)
                other.cancel()
                outcomes = await asyncio.gather(first, other, return_exceptions=True)
                if not isinstance(outcomes[0], Exception):
                    assert journal.find(key).ref == outcomes[0].ref

    lives(test)


def test_who_asks_for_the_list_when_the_last_one_leaves_is_served(in_memory):
    async def test(platform, client):
        listing = client.companion(Runner)._starter._listing
        platform.platform.execute_as_other_user("wf", platform.now(), 20.0)
        leaving = asyncio.create_task(listing.until_idle("wf"))
        await asyncio.sleep(5)
        leaving.cancel()
        coming = asyncio.create_task(listing.until_idle("wf"))
        async with asyncio.timeout(100):
            assert await coming

    in_memory(test, SimulatedWorkflow("wf"))
