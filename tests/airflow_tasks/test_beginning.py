"""What a try of a task does: start a run once, or find the one of an earlier try."""

import asyncio

import pytest
from attrs import evolve
from state_store import MemoryStore

from dpa_async import (
    BusinessError,
    ConfigurationError,
    InvalidParameterError,
    JournalError,
    NotStartedError,
    OutputsUnavailableError,
    RunRef,
    ServerError,
    Submission,
    SubmissionUncertainError,
)
from dpa_async.integrations.airflow.beginning import Busy, Wanted, begin
from dpa_async.integrations.airflow.deadlines import deadline_from
from dpa_async.integrations.airflow.task_journal import TaskJournal
from dpa_async.journal import EntryState
from dpa_async.simulator import Fault, SimulatedWorkflow

WANTED = Wanted(workflow_id="w", params={"day": "1"}, key="dag/run/task")
MENDED = evolve(WANTED, params={"day": "2"})


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
        assert begun.outputs is None
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
        assert (again.ref, again.again, again.outputs) == (first.ref, True, None)
        assert executes(platform) == 1

    in_memory(test, SimulatedWorkflow("w", duration=50))


def test_a_retry_gives_the_outputs_of_the_run_that_succeeded(in_memory):
    async def test(platform, client):
        store = MemoryStore()
        first = await a_try(client, store)
        await asyncio.sleep(60)
        again = await a_try(client, store)
        assert again.ref == first.ref
        assert list(again.outputs)
        platform.faults.add("getOutParamByModelId", Fault.body_code(500))
        unwanted = await a_try(client, store, evolve(WANTED, outputs=False))
        assert list(unwanted.outputs) == []
        with pytest.raises(OutputsUnavailableError):
            await a_try(client, store)
        assert executes(platform) == 1

    in_memory(test, SimulatedWorkflow("w", duration=50))


def test_a_retry_runs_again_what_failed_unless_it_must_not(in_memory):
    async def test(platform, client):
        store = MemoryStore()
        first = await a_try(client, store)
        await asyncio.sleep(60)
        kept = evolve(WANTED, retry_failed=False)
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
        busy = await a_try(client, store, evolve(WANTED, refusals=3))
        assert isinstance(busy, Busy)
        assert busy.refusals == 0
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


def test_a_doubt_about_something_else_is_no_licence(in_memory):
    async def test(platform, client):
        platform.faults.add("execute", Fault.answer_lost(), first=1)
        store = MemoryStore()
        with pytest.raises(SubmissionUncertainError):
            await a_try(client, store)
        for other in (MENDED, evolve(WANTED, workflow_id="other")):
            with pytest.raises(
                SubmissionUncertainError, match="something else"
            ) as told:
                await a_try(client, store, other)
            assert told.value.submission == TaskJournal(store).entry.submission
        assert executes(platform) == 1

    in_memory(test)


def test_a_mended_task_is_not_given_the_old_run(in_memory):
    async def test(platform, client):
        store = MemoryStore()
        wrong = await a_try(client, store, evolve(WANTED, workflow_id="wrong"))
        with pytest.raises(ConfigurationError, match="clear the task") as told:
            await a_try(client, store)
        assert told.value.ref == wrong.ref
        platform.faults.add("getProcessRunStatus", Fault.body_code(503), first=1)
        with pytest.raises(ServerError):
            await a_try(client, store)
        assert executes(platform) == 0
        await asyncio.sleep(60)
        right = await a_try(client, store)
        assert (right.ref.workflow_id, right.again) == ("w", False)
        await asyncio.sleep(60)
        mended = await a_try(client, store, evolve(MENDED, retry_failed=False))
        assert mended.ref not in {wrong.ref, right.ref}
        assert executes(platform) == 2

    in_memory(test, SimulatedWorkflow("w", duration=50), SimulatedWorkflow("wrong"))


def test_what_cannot_be_compared_is_told(in_memory):
    async def test(platform, client):
        store = MemoryStore()
        await a_try(client, store)
        with pytest.raises(ConfigurationError, match="workflow_params"):
            await a_try(client, store, evolve(WANTED, params={"day": {1}}))
        assert executes(platform) == 1

    in_memory(test, SimulatedWorkflow("w", duration=5))


@pytest.mark.parametrize(
    "trouble", [Fault.body_code(503), Fault.reset(), Fault.html(502)]
)
def test_a_look_that_fails_is_repeated_by_who_waits(in_memory, trouble):
    async def test(platform, client):
        store = MemoryStore()
        first = await a_try(client, store)
        platform.faults.add("getProcessRunStatus", trouble, first=1)
        again = await a_try(client, store)
        assert (again.ref, again.again, again.outputs) == (first.ref, True, None)
        assert "getProcessRunStatus" in again.problem

    in_memory(test, SimulatedWorkflow("w", duration=50))


def test_a_run_is_not_lost_with_its_name(in_memory):
    async def test(platform, client):
        store = MemoryStore()
        store.writes_left = 1
        begun = await a_try(client, store)
        (run,) = platform.platform.executions("w")
        assert begun.ref.run_id == run.run_id
        assert "no server" in begun.problem
        assert TaskJournal(store).entry.state is EntryState.INTENDED

    in_memory(test, SimulatedWorkflow("w", duration=5))


def test_nothing_is_started_after_the_deadline(in_memory):
    async def test(platform, client):
        store = MemoryStore()
        with pytest.raises(NotStartedError):
            await a_try(client, store, evolve(WANTED, deadline=deadline_from(-600)))
        platform.faults.add("execute", Fault.http_status(429, retry_after=20), first=1)
        began = asyncio.get_running_loop().time()
        with pytest.raises(NotStartedError):
            await a_try(client, store, evolve(WANTED, deadline=deadline_from(2)))
        assert asyncio.get_running_loop().time() - began < 3
        assert executes(platform) == 0
        assert store.rows == {}

    in_memory(test, SimulatedWorkflow("w", duration=5))


def test_a_run_that_is_known_is_found_after_the_deadline(in_memory):
    async def test(platform, client):
        store = MemoryStore()
        first = await a_try(client, store)
        late = evolve(WANTED, deadline=deadline_from(-600))
        assert (await a_try(client, store, late)).ref == first.ref
        assert executes(platform) == 1

    in_memory(test, SimulatedWorkflow("w", duration=5))


def test_a_refusal_that_comes_after_the_deadline_is_no_doubt(in_memory):
    async def test(platform, client):
        store = MemoryStore()
        refused = evolve(Fault.body_code(400), answer_delay=3.0)
        platform.faults.add("execute", refused, calls={1})
        with pytest.raises(NotStartedError, match="nothing was started"):
            await a_try(client, store, evolve(WANTED, deadline=deadline_from(1)))
        assert TaskJournal(store).entry is None
        assert executes(platform) == 0

    in_memory(test, SimulatedWorkflow("w", duration=50))


def test_an_answer_that_comes_after_the_deadline_is_a_run(in_memory):
    async def test(platform, client):
        platform.faults.add("execute", Fault.slow_answer(3), first=1)
        store = MemoryStore()
        wanted = evolve(WANTED, deadline=deadline_from(1))
        begun = await a_try(client, store, wanted)
        assert begun.ref == TaskJournal(store).entry.ref
        assert executes(platform) == 1

    in_memory(test, SimulatedWorkflow("w", duration=5))


def test_a_refusal_while_the_list_lags_means_busy_some_times(in_memory):
    async def test(platform, client):
        platform.faults.add("execute", Fault.body_code(999))
        store = MemoryStore()
        wanted = WANTED
        for number in range(1, 6):
            busy = await a_try(client, store, wanted)
            assert isinstance(busy, Busy)
            assert busy.refusals == number
            wanted = evolve(wanted, refusals=busy.refusals)
        with pytest.raises(BusinessError):
            await a_try(client, store, wanted)
        assert store.rows == {}

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
