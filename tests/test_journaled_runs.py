"""Runs with a journal: by key once for good, gone on with after a crash; real files."""

import asyncio

import pytest
from attrs import evolve
from scenes import FullDisk, journaled, lives

from dpa_async import (
    ConfigurationError,
    DPAClient,
    InvalidParameterError,
    JournalError,
    RunFailedError,
    Runner,
    RunRequest,
    RunStatus,
    SubmissionUncertainError,
    run_and_wait,
    run_many,
)
from dpa_async.journal import EntryState, SQLiteJournal
from dpa_async.simulator import Fault, SimulatedWorkflow


@pytest.fixture
def path(tmp_path):
    return tmp_path / "runs.journal"


def requests(count):
    return [RunRequest(f"w{n % 5}", {"n": n}, key=f"k{n}") for n in range(count)]


async def outcomes_of(batch):
    async with batch:
        return [outcome async for outcome in batch]


def test_the_same_batch_again_yields_the_same_and_executes_nothing(path):
    async def test(platform):
        async with journaled(platform, path) as (runner, _):
            first = await outcomes_of(run_many(runner, requests(20)))
        executed = platform.faults.calls["execute"]
        async with journaled(platform, path) as (runner, _):
            again = await outcomes_of(run_many(runner, requests(20), ordered=True))
            one = await run_and_wait(runner, "w3", {"n": 3}, key="k3")
        assert platform.faults.calls["execute"] == executed == 20
        assert {o.request.key: o.result for o in first} == {
            o.request.key: o.result for o in again
        }
        assert one == again[3].result

    lives(test)


def test_failed_ones_are_yielded_again_or_run_again(path):
    async def test(platform):
        async with journaled(platform, path) as (runner, _):
            request = RunRequest("bad", key="k")
            (first,) = await outcomes_of(run_many(runner, [request]))
            (second,) = await outcomes_of(run_many(runner, [request]))
            assert isinstance(second.error, RunFailedError)
            assert second.error.result == first.error.result
            with pytest.raises(RunFailedError):
                await run_and_wait(runner, "bad", key="k")
            assert platform.faults.calls["execute"] == 1
            again = run_many(runner, [request], retry_failed=True)
            (third,) = await outcomes_of(again)
            assert third.error.result.ref != first.error.result.ref
            assert platform.faults.calls["execute"] == 2

    lives(test, SimulatedWorkflow("bad", duration=0.01, fails=True))


async def a_failure(platform, path):
    async with journaled(platform, path) as (runner, journal):
        with pytest.raises(RunFailedError):
            await run_and_wait(runner, "bad", key="k")
        return journal.find("k")


AGAIN = [RunRequest("bad", key="k")]


def test_a_repeat_that_is_refused_leaves_the_old_failure(path):
    async def test(platform):
        failure = await a_failure(platform, path)
        platform.faults.add("execute", Fault.body_code(400), first=1)
        async with journaled(platform, path) as (runner, journal):
            (again,) = await outcomes_of(run_many(runner, AGAIN, retry_failed=True))
            assert isinstance(again.error, InvalidParameterError)
            assert journal.find("k") == failure
        async with journaled(platform, path) as (runner, _):
            (told,) = await outcomes_of(run_many(runner, AGAIN))
            assert told.error.result == failure.result

    lives(test, SimulatedWorkflow("bad", duration=0.01, fails=True))


def test_a_repeat_in_doubt_that_did_not_run_leaves_the_old_failure(path):
    async def test(platform):
        failure = await a_failure(platform, path)
        platform.faults.add("execute", Fault.reset(), first=1)
        async with journaled(platform, path) as (runner, journal):
            (again,) = await outcomes_of(run_many(runner, AGAIN, retry_failed=True))
            assert isinstance(again.error, SubmissionUncertainError)
            assert journal.find("k").state is EntryState.UNCERTAIN
        async with journaled(platform, path) as (runner, journal):
            await runner.settle(again.error.submission, ran=None)
            assert journal.find("k") == failure
            (third,) = await outcomes_of(run_many(runner, AGAIN, retry_failed=True))
            assert third.error.result == journal.find("k").result != failure.result

    lives(test, SimulatedWorkflow("bad", duration=0.01, fails=True))


def test_what_runs_is_attached_to(path):
    async def test(platform):
        async with journaled(platform, path) as (runner, journal):
            run = await runner.start("wf", {"n": 1}, key="k")
            assert journal.find("k").state is EntryState.STARTED
        async with journaled(platform, path) as (runner, journal):
            result = await run_and_wait(runner, "wf", {"n": 1}, key="k")
            assert result.ref == run.ref
            assert result.outputs.json("echo") == {"n": 1}
            assert journal.find("k").result == result
        assert platform.faults.calls["execute"] == 1

    lives(test, SimulatedWorkflow("wf", duration=0.3))


@pytest.mark.parametrize("change", ["params", "workflow"])
def test_a_key_that_was_used_for_something_else_is_an_error_before_anything_is_sent(
    path, change
):
    async def test(platform):
        async with journaled(platform, path) as (runner, _):
            result = await run_and_wait(runner, "wf", {"n": 1}, key="k")
            workflow = "other" if change == "workflow" else "wf"
            params = {"n": 1} if change == "workflow" else {"n": 2}
            with pytest.raises(ConfigurationError, match=change) as caught:
                await run_and_wait(runner, workflow, params, key="k")
            assert caught.value.submission.key == "k"
            assert caught.value.ref == result.ref
            request = RunRequest(workflow, params, key="k")
            (outcome,) = await outcomes_of(run_many(runner, [request]))
            assert isinstance(outcome.error, ConfigurationError)
        assert platform.faults.calls["execute"] == 1

    lives(test)


@pytest.mark.parametrize("finished", [True, False])
@pytest.mark.parametrize(
    "wrong",
    [
        RunRequest("other", {"n": 1}, key="k"),
        RunRequest("wf", {"n": 2}, key="k"),
        RunRequest("wf", {"n": {1}}, key="k"),
    ],
    ids=["workflow", "params", "no JSON"],
)
def test_a_request_that_cannot_be_right_uses_up_no_key(path, wrong, finished):
    async def test(platform):
        right = RunRequest("wf", {"n": 1}, key="k")
        async with journaled(platform, path) as (runner, journal):
            run = await runner.start("wf", {"n": 1}, key="k")
            if finished:
                await run
            batch = run_many(runner, [wrong, wrong, right, right], ordered=True)
            first, second, third, twice = await outcomes_of(batch)
            for outcome in (first, second):
                assert isinstance(outcome.error, ConfigurationError)
                assert "batch already" not in str(outcome.error)
            assert third.result == journal.find("k").result
            assert third.result.ref == run.ref
            assert "batch already" in str(twice.error)
        assert platform.faults.calls["execute"] == 1

    lives(test)


def test_without_a_journal_such_a_request_uses_up_no_key_either(in_memory):
    async def test(platform, client):
        right = RunRequest("wf", {"n": 1}, key="k")
        requests = [evolve(right, params={"n": {1}}), evolve(right, timeout=-1), right]
        *wrong, last = await outcomes_of(run_many(client, requests, ordered=True))
        assert "JSON" in str(wrong[0].error)
        assert "timeout" in str(wrong[1].error)
        assert last.result.outputs.json("echo") == {"n": 1}

    in_memory(test)


def test_what_the_platform_refused_has_used_its_key_in_this_batch(path):
    async def test(platform):
        platform.faults.add("execute", Fault.body_code(400), first=1)
        async with journaled(platform, path) as (runner, _):
            twice = [RunRequest("wf", {"n": n}, key="k") for n in range(2)]
            first, second = await outcomes_of(run_many(runner, twice, ordered=True))
            assert isinstance(first.error, InvalidParameterError)
            assert "batch already" in str(second.error)
            (again,) = await outcomes_of(run_many(runner, twice[1:]))
            assert again.result.outputs.json("echo") == {"n": 1}

    lives(test)


def test_a_refused_execute_frees_its_key(path):
    async def test(platform):
        platform.faults.add("execute", Fault.body_code(400), first=1)
        async with journaled(platform, path) as (runner, journal):
            with pytest.raises(Exception, match="400"):
                await run_and_wait(runner, "wf", {"n": 1}, key="k")
            assert journal.find("k") is None
            await run_and_wait(runner, "wf", {"n": 2}, key="k")

    lives(test)


def test_a_lost_answer_stays_uncertain_until_a_person_tells(path):
    async def test(platform):
        platform.faults.add("execute", Fault.answer_lost(), first=1)
        async with journaled(platform, path) as (runner, journal):
            with pytest.raises(SubmissionUncertainError) as first:
                await run_and_wait(runner, "wf", {"n": 1}, key="k")
            assert journal.find("k").state is EntryState.UNCERTAIN
            assert journal.find("k").submission == first.value.submission
        async with journaled(platform, path) as (runner, journal):
            (outcome,) = await outcomes_of(runner.resume())
            assert isinstance(outcome.error, SubmissionUncertainError)
            submission = outcome.error.submission
            assert submission.key == "k"
            (execution,) = platform.platform.runs.values()
            ref = (await person_looks(runner, execution)).ref
            await runner.settle(submission, ran=ref)
            assert journal.find("k").ref == ref
            result = await run_and_wait(runner, "wf", {"n": 1}, key="k")
            assert result.ref == ref
            assert await outcomes_of(runner.resume()) == []
        assert platform.faults.calls["execute"] == 1

    lives(test)


async def person_looks(runner, execution):
    origin = runner.client.settings.base_url
    return runner.attach(
        f"dpa-run:1:{execution.workflow_id}:{execution.run_id}@{origin}"
    )


def test_what_a_person_says_did_not_run_is_started_anew(path):
    async def test(platform):
        platform.faults.add("execute", Fault.reset(), first=1)
        async with journaled(platform, path) as (runner, journal):
            with pytest.raises(SubmissionUncertainError) as caught:
                await run_and_wait(runner, "wf", {"n": 1}, key="k")
            await runner.settle(caught.value.submission, ran=None)
            assert journal.find("k") is None
            await run_and_wait(runner, "wf", {"n": 1}, key="k")
        assert len(platform.platform.runs) == 1

    lives(test)


def test_resolve_knows_what_the_journal_knows(path):
    async def test(platform):
        async with journaled(platform, path) as (runner, journal):
            result = await run_and_wait(runner, "wf", {"n": 1}, key="k")
            found = await runner.resolve(journal.find("k").submission)
            assert await found == result

    lives(test)


def test_resume_finishes_what_is_unfinished_and_starts_nothing(path):
    async def test(platform):
        async with journaled(platform, path) as (runner, _):
            for n in range(5):
                await runner.start(f"w{n}", {"n": n}, key=f"k{n}")
        async with journaled(platform, path) as (runner, _):
            outcomes = await outcomes_of(runner.resume())
            assert {o.request.key for o in outcomes} == {f"k{n}" for n in range(5)}
            assert all(o.result.status is RunStatus.SUCCEEDED for o in outcomes)
        assert platform.faults.calls["execute"] == 5

    lives(test, duration=0.2)


def test_without_a_journal_there_is_nothing_to_resume(in_memory):
    async def test(platform, client):
        with pytest.raises(ConfigurationError, match="journal"):
            client.companion(Runner).resume()

    in_memory(test)


def test_one_key_twice_at_once_is_executed_once(path):
    async def test(platform):
        async with journaled(platform, path) as (runner, _):
            results = await asyncio.gather(
                *(run_and_wait(runner, "wf", {"n": 1}, key="k") for _ in range(5))
            )
        assert len({result.ref for result in results}) == 1
        assert platform.faults.calls["execute"] == 1

    lives(test)


def test_who_leaves_while_the_intent_is_written_leaves_a_free_key(path):
    async def test(platform):
        async with journaled(platform, path) as (runner, journal):
            await runner.client.list_workflows()
            for ticks in range(12):
                starting = asyncio.create_task(runner.start("wf", key=f"k{ticks}"))
                for _ in range(ticks):
                    await asyncio.sleep(0)
                starting.cancel()
                await asyncio.gather(starting, return_exceptions=True)
            await asyncio.sleep(0.3)
            left = list(journal.unfinished())
            executed = {run.run_id for run in platform.platform.runs.values()}
            assert {entry.ref.run_id for entry in left} == executed

    lives(test, SimulatedWorkflow("wf", duration=0.001))


@pytest.mark.parametrize(
    ("method", "executed", "runs_on"),
    [("intend", 0, False), ("started", 1, True), ("finished", 1, False)],
)
def test_a_journal_that_cannot_be_written_is_told_and_loses_no_run(
    path, method, executed, runs_on
):
    async def test(platform):
        async with (
            DPAClient(platform.settings(), backend=platform) as client,
            SQLiteJournal(path) as journal,
            Runner(client, journal=FullDisk(journal, method)) as runner,
        ):
            with pytest.raises(JournalError, match="full") as caught:
                await run_and_wait(runner, "wf", key="k")
            assert caught.value.submission or caught.value.ref
            assert platform.faults.calls["execute"] == executed
            assert bool(runner.open_runs) == runs_on

    lives(test)


def test_a_refusal_is_told_though_the_journal_cannot_take_its_intent_back(path):
    async def test(platform):
        platform.faults.add("execute", Fault.body_code(400), first=1)
        async with (
            DPAClient(platform.settings(), backend=platform) as client,
            SQLiteJournal(path) as journal,
            Runner(client, journal=FullDisk(journal, "withdraw")) as runner,
        ):
            with pytest.raises(Exception, match="400") as caught:
                await run_and_wait(runner, "wf", key="k")
            assert "full" in caught.value.__notes__[0]

    lives(test)
