"""What a try of a task does: start a run once, or find the one of an earlier try."""

import asyncio

import pytest
from state_store import MemoryStore

from dpa_async import (
    ConfigurationError,
    InvalidParameterError,
    JournalError,
    RunRef,
    RunStatus,
    Submission,
    SubmissionUncertainError,
    WorkflowBusyError,
)
from dpa_async.integrations.airflow.beginning import Wanted, begin
from dpa_async.integrations.airflow.task_journal import TaskJournal
from dpa_async.journal import EntryState
from dpa_async.simulator import Fault, SimulatedWorkflow

WANTED = Wanted(workflow_id="w", params={"day": "1"}, key="dag/run/task")


def a_try(client, store, wanted=WANTED):
    """One try of a task: all that it knows of earlier ones is in the store."""
    return begin(client, TaskJournal(store), wanted)


def executes(platform):
    return len(platform.platform.executions("w"))


def test_a_run_is_started_and_stored(in_memory):
    async def test(platform, client):
        store = MemoryStore()
        begun = await a_try(client, store)
        assert not begun.again
        assert begun.result is None
        entry = TaskJournal(store).entry
        assert entry.ref == begun.ref
        assert entry.state is EntryState.STARTED
        assert entry.submission.key == "dag/run/task"
        assert executes(platform) == 1

    in_memory(test, SimulatedWorkflow("w", duration=50))


def test_a_retry_finds_the_run_that_goes_on(in_memory):
    async def test(platform, client):
        store = MemoryStore()
        first = await a_try(client, store)
        again = await a_try(client, store)
        assert (again.ref, again.again, again.result) == (first.ref, True, None)
        assert executes(platform) == 1

    in_memory(test, SimulatedWorkflow("w", duration=50))


def test_a_retry_gives_the_outputs_of_the_run_that_succeeded(in_memory):
    async def test(platform, client):
        store = MemoryStore()
        first = await a_try(client, store)
        await asyncio.sleep(60)
        again = await a_try(client, store)
        assert again.ref == first.ref
        assert again.result.status is RunStatus.SUCCEEDED
        assert list(again.result.outputs)
        assert executes(platform) == 1

    in_memory(test, SimulatedWorkflow("w", duration=50))


def test_a_retry_runs_again_what_failed_unless_it_must_not(in_memory):
    async def test(platform, client):
        store = MemoryStore()
        first = await a_try(client, store)
        await asyncio.sleep(60)
        kept = Wanted(workflow_id="w", params=None, key="k", retry_failed=False)
        assert (await a_try(client, store, kept)).ref == first.ref
        again = await a_try(client, store)
        assert again.ref != first.ref
        assert not again.again
        assert TaskJournal(store).entry.ref == again.ref
        assert executes(platform) == 2

    in_memory(test, SimulatedWorkflow("w", duration=50, fails=True))


def test_a_lost_answer_is_in_doubt_for_every_try(in_memory):
    async def test(platform, client):
        platform.faults.add("execute", Fault.answer_lost(), first=1)
        store = MemoryStore()
        for _ in range(3):
            with pytest.raises(SubmissionUncertainError):
                await a_try(client, store)
        assert TaskJournal(store).entry.state is EntryState.UNCERTAIN
        assert executes(platform) == 1

    in_memory(test, SimulatedWorkflow("w", duration=5))


def test_a_worker_that_died_before_the_answer_leaves_a_doubt(in_memory):
    async def test(platform, client):
        platform.faults.add("execute", Fault.slow_answer(20), first=1)
        store = MemoryStore()
        dying = asyncio.ensure_future(a_try(client, store))
        await asyncio.sleep(1)
        left_behind = MemoryStore()
        left_behind.rows = dict(store.rows)  # SIGKILL: nothing is tidied up
        with pytest.raises(SubmissionUncertainError):
            await a_try(client, left_behind)
        await dying
        assert executes(platform) == 1

    in_memory(test, SimulatedWorkflow("w", duration=100))


def test_a_person_settles_a_doubt_in_the_store(in_memory):
    async def test(platform, client):
        platform.faults.add("execute", Fault.answer_lost(), first=1)
        store = MemoryStore()
        with pytest.raises(SubmissionUncertainError):
            await a_try(client, store)
        (run,) = platform.platform.executions("w")
        ref = RunRef(client.settings.base_url, "w", run.run_id)
        value = {**store.get("dpa_async"), "run": str(ref)}
        store.set("dpa_async", value)
        assert (await a_try(client, store)).ref == ref
        await asyncio.sleep(10)
        store.delete("dpa_async")
        assert (await a_try(client, store)).ref != ref
        assert executes(platform) == 2

    in_memory(test, SimulatedWorkflow("w", duration=5))


def test_rerun_is_for_who_says_so(in_memory):
    async def test(platform, client):
        platform.faults.add("execute", Fault.answer_lost(), first=1)
        wanted = Wanted(workflow_id="w", params=None, key="k", on_uncertain="rerun")
        begun = await a_try(client, MemoryStore(), wanted)
        assert begun.ref.workflow_id == "w"
        assert executes(platform) == 2

    in_memory(test, SimulatedWorkflow("w", duration=5))


def test_what_was_refused_leaves_nothing_in_the_store(in_memory):
    async def test(platform, client):
        store = MemoryStore()
        platform.faults.add("execute", Fault.body_code(400), first=1)
        with pytest.raises(InvalidParameterError):
            await a_try(client, store)
        assert store.rows == {}
        platform.platform.execute_as_other_user("w", platform.now())
        with pytest.raises(WorkflowBusyError):
            await a_try(client, store)
        assert store.rows == {}

    in_memory(test, SimulatedWorkflow("w", duration=5))


def test_nothing_is_sent_where_the_store_fails(in_memory):
    async def test(platform, client):
        store = MemoryStore()
        journal = TaskJournal(store)
        store.fails = OSError("no server")
        with pytest.raises(JournalError, match="no server"):
            await begin(client, journal, WANTED)
        with pytest.raises(JournalError, match="no server"):
            TaskJournal(store)
        assert executes(platform) == 0

    in_memory(test)


def test_a_doubt_about_other_parameters_is_no_licence(in_memory):
    async def test(platform, client):
        platform.faults.add("execute", Fault.answer_lost(), first=1)
        store = MemoryStore()
        with pytest.raises(SubmissionUncertainError):
            await a_try(client, store)
        other = Wanted(workflow_id="w", params={"day": "2"}, key="dag/run/task")
        with pytest.raises(ConfigurationError):
            await a_try(client, store, other)
        assert executes(platform) == 1

    in_memory(test)


@pytest.mark.parametrize(
    "stored", ["text", 7, {}, {"submission": "x"}, {"submission": None, "run": "y"}]
)
def test_what_is_none_of_ours_is_not_guessed_at(stored):
    store = MemoryStore()
    store.set("dpa_async", stored)
    with pytest.raises(JournalError, match="dpa_async"):
        TaskJournal(store)


def test_the_journal_refuses_what_would_lose_a_run():
    async def test():
        store = MemoryStore()
        journal = TaskJournal(store)
        ref = RunRef("https://dpa.example", "w", "in1")
        with pytest.raises(JournalError, match="nothing was intended"):
            await journal.started("k", ref, None)
        assert list(journal.unfinished()) == []
        submission = Submission("https://dpa.example", "k", "w", "0" * 64)
        await journal.intend(submission, None, wants_outputs=True)
        assert list(journal.unfinished()) == [TaskJournal(store).entry]
        with pytest.raises(JournalError, match="started something already"):
            await journal.intend(submission, None, wants_outputs=True)

    asyncio.run(test())


def test_two_tries_at_once_do_not_take_each_others_run_away(in_memory):
    async def test(platform, client):
        store = MemoryStore()
        zombie, retry = TaskJournal(store), TaskJournal(store)  # nothing there yet
        begun = await begin(client, zombie, WANTED)
        with pytest.raises(JournalError, match="started something already"):
            await begin(client, retry, WANTED)
        assert (await a_try(client, store)).ref == begun.ref
        assert executes(platform) == 1

    in_memory(test, SimulatedWorkflow("w", duration=50))


def test_only_what_is_ones_own_is_withdrawn():
    async def test():
        store = MemoryStore()
        submission = Submission("https://dpa.example", "k", "w", "0" * 64)
        ours, theirs = TaskJournal(store), TaskJournal(store)
        await ours.intend(submission, None, wants_outputs=True)
        store.delete("dpa_async")
        await theirs.intend(submission, None, wants_outputs=True)
        await theirs.started("k", RunRef("https://dpa.example", "w", "in1"), None)
        await ours.withdraw("k")
        assert TaskJournal(store).entry == theirs.entry
        await theirs.withdraw("k")
        assert store.rows == {}

    asyncio.run(test())
