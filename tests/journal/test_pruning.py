"""Finished keys that are old enough are forgotten, and nothing else is."""

import asyncio
import sqlite3
from datetime import UTC, datetime, timedelta

import pytest
from attrs import evolve
from making import PARAMS, bring, expected, result, submission, with_journal

from dpa_async import ConfigurationError, JournalError, NodeOutput, NodeOutputs
from dpa_async.journal import EntryState, SQLiteJournal

NOON = datetime(2025, 7, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


async def finish(journal, key, ended_at, **fields):
    await journal.intend(submission(key), PARAMS, wants_outputs=True)
    await journal.finished(key, evolve(result(key, **fields), ended_at=ended_at))


def test_what_ended_before_is_forgotten_and_can_run_again(path):
    async def write(journal):
        await finish(journal, "long ago", datetime(1969, 7, 20, tzinfo=UTC))
        await finish(journal, "old", NOON - timedelta(microseconds=1))
        await finish(journal, "young", NOON)
        await finish(journal, "next", NOON + SECOND)
        assert await journal.prune(before=NOON) == 2
        assert await journal.prune(before=NOON) == 0

    async def read(journal):
        assert journal.find("old") is journal.find("long ago") is None
        for key, end in (("young", NOON), ("next", NOON + SECOND)):
            assert journal.find(key).result.ended_at == end
        await bring(journal, "old", EntryState.INTENDED)

    with_journal(path, write)
    with_journal(path, read)


def test_what_is_not_finished_stays_however_old_it_is(path):
    async def scene(journal):
        for state in EntryState:
            await bring(journal, state.name, state)
        await finish(journal, "again", NOON - SECOND)
        await journal.intend(submission("again"), PARAMS, wants_outputs=True)
        assert await journal.prune(before=NOON + timedelta(days=9)) == 1
        for state in EntryState:
            there = journal.find(state.name)
            wanted = expected(state.name, state)
            assert there == (None if state is EntryState.FINISHED else wanted)
        await journal.withdraw("again")  # what it was to replace is still there
        assert journal.find("again").result.ended_at == NOON - SECOND

    with_journal(path, scene)


def test_outputs_of_any_kind_say_nothing_of_the_age(path):
    tricky = NodeOutputs([NodeOutput('["FAILED",1,', '",1,["FAILED",1')])

    async def scene(journal):
        await finish(journal, "young", NOON, outputs=tricky)
        await finish(journal, "unread", NOON, outputs=NodeOutputs(unread='",1,'))
        await finish(journal, "old", NOON - SECOND, outputs=tricky)
        assert await journal.prune(before=NOON) == 1
        assert journal.find("young").result.outputs == tricky
        assert journal.find("unread") is not None

    with_journal(path, scene)


def test_thousands_are_forgotten_while_others_write(path):
    async def scene(journal):
        async with asyncio.TaskGroup() as tasks:
            for n in range(3_500):
                age = SECOND if n % 7 else -SECOND
                tasks.create_task(finish(journal, f"k{n}", NOON - age))
        async with asyncio.TaskGroup() as tasks:
            pruning = tasks.create_task(journal.prune(before=NOON))
            for n in range(50):
                tasks.create_task(bring(journal, f"new{n}", EntryState.STARTED))
        assert pruning.result() == 3_000
        for n in range(3_500):
            assert (journal.find(f"k{n}") is None) == bool(n % 7)
        assert len(list(journal.unfinished())) == 50

    with_journal(path, scene)


@pytest.mark.parametrize(
    "garbage", ["result = NULL", "result = ''", "result = x'ff'", "result = '[7,1,2]'"]
)
def test_a_row_that_is_damaged_stays_for_who_mends_it(path, garbage):
    async def write(journal):
        await finish(journal, "k", NOON - SECOND)

    async def prune(journal):
        return await journal.prune(before=NOON)

    with_journal(path, write)
    connection = sqlite3.connect(path)
    with connection:
        connection.execute(f"UPDATE entries SET {garbage}")  # noqa: S608
    connection.close()
    assert with_journal(path, prune) == 0


def test_without_a_time_zone_or_a_journal_nothing_is_forgotten(path):
    async def scene(journal):
        await finish(journal, "k", NOON - SECOND)
        with pytest.raises(ConfigurationError, match="time zone"):
            await journal.prune(before=NOON.replace(tzinfo=None))
        with pytest.raises(ConfigurationError, match="before"):
            await journal.prune(before="yesterday")
        assert journal.find("k") is not None

    with_journal(path, scene)
    with pytest.raises(JournalError, match="not open"):
        asyncio.run(SQLiteJournal(path).prune(before=NOON))
