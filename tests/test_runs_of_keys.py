"""Runs that were taken up again belong to their keys: their ends are journaled."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from dpa_async import DPAClient, Runner, RunRef, SubmissionUncertainError, run_and_wait
from dpa_async.journal import EntryState, SQLiteJournal
from dpa_async.simulator import Fault, MemorySimulator


@asynccontextmanager
async def living(platform, path):
    async with (
        DPAClient(platform.settings(), backend=platform) as client,
        SQLiteJournal(path) as journal,
        Runner(client, journal=journal) as runner,
    ):
        yield runner, journal


def lives(test):
    async def main():
        platform = MemorySimulator(duration=0.2, latency=0.0)
        await test(platform)
        await platform.aclose()

    asyncio.run(main())


def test_a_result_after_a_crash_tells_when_it_was_submitted(tmp_path):
    async def test(platform):
        async with living(platform, tmp_path / "j") as (runner, journal):
            await runner.start("wf", key="k")
            submitted_at = journal.find("k").submitted_at
        async with living(platform, tmp_path / "j") as (runner, journal):
            result = await run_and_wait(runner, "wf", key="k")
            assert result.submitted_at == submitted_at is not None
            assert journal.find("k").result == result

    lives(test)


def test_the_end_of_a_run_that_a_person_found_is_journaled(tmp_path):
    async def test(platform):
        platform.faults.add("execute", Fault.answer_lost(), first=1)
        async with living(platform, tmp_path / "j") as (runner, journal):
            with pytest.raises(SubmissionUncertainError) as caught:
                await runner.start("wf", key="k")
            submission = caught.value.submission
            (run_id,) = platform.platform.runs
            ref = RunRef(submission.origin, "wf", run_id)
            watched = runner.attach(ref)  # by somebody who does not know its key
            await runner.settle(submission, ran=ref)
            found = await runner.resolve(submission)
            assert found is watched
            result = await found
            assert journal.find("k").state is EntryState.FINISHED
            assert journal.find("k").result == result
            assert result.submitted_at == submission.sent_at is not None

    lives(test)
