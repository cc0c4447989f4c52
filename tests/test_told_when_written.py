"""Observers hear of a doubt when the journal has it: who settles at once, can."""

import asyncio

import pytest

from dpa_async import DPAError, JournalError, Runner, SubmissionUncertainError
from dpa_async.events import Uncertain
from dpa_async.journal import SQLiteJournal
from dpa_async.simulator import Fault


def test_who_settles_as_soon_as_a_doubt_is_told_is_not_refused(in_memory, tmp_path):
    async def scene(platform, client):
        platform.faults.add("execute", Fault.answer_lost(), first=1)
        settling = []

        def observe(event):
            if isinstance(event, Uncertain):
                verdict = runner.settle(event.submission, ran=None)
                settling.append(asyncio.ensure_future(verdict))

        async with (
            SQLiteJournal(tmp_path / "journal") as journal,
            Runner(client, journal=journal, observers=[observe]) as runner,
        ):
            with pytest.raises(SubmissionUncertainError):
                await runner.start("wf", key="k")
            await asyncio.gather(*settling)
            assert len(settling) == 1
            assert journal.find("k") is None

    in_memory(scene)


def test_a_doubt_that_cannot_be_written_is_told_all_the_same(in_memory, tmp_path):
    class Full(SQLiteJournal):
        async def uncertain(self, submission):
            del submission
            raise JournalError("no space left")

    async def scene(platform, client):
        platform.faults.add("execute", Fault.answer_lost(), first=1)
        told = []
        async with (
            Full(tmp_path / "journal") as journal,
            Runner(client, journal=journal, observers=[told.append]) as runner,
        ):
            with pytest.raises(DPAError, match="no space left") as caught:
                await runner.start("wf", key="k")
            assert isinstance(caught.value, SubmissionUncertainError)
            assert [type(event) for event in told].count(Uncertain) == 1

    in_memory(scene)
