"""How long runs take is kept beside them, and never at their cost."""

import asyncio
import sqlite3

import pytest
from making import ORIGIN, PARAMS, bring, result, submission, with_journal

from dpa_async import ConfigurationError, JournalError
from dpa_async.journal import EntryState, History, SQLiteJournal
from dpa_async.journal import commits as group_commit

RUNS = [(0.0, 0.5), (12.25, 13.0), (0.333333, 1e6)]


async def remembering(journal, runs, workflow="wf1", origin=ORIGIN):
    for after, by in runs:
        journal.remember(origin, workflow, after, by)


async def read(journal):
    return journal.remembered(ORIGIN, "wf1")


def change(path, sql, *values):
    connection = sqlite3.connect(path)
    with connection:
        connection.execute(sql, values)
    connection.close()


def test_it_comes_back_in_its_order(path):
    assert isinstance(SQLiteJournal(path), History)
    with_journal(path, lambda j: remembering(j, RUNS))
    with_journal(path, lambda j: remembering(j, [(7.0, 8.0)]))
    assert with_journal(path, read) == [*RUNS, (7.0, 8.0)]


def test_each_platform_and_workflow_has_its_own(path):
    async def write(journal):
        await remembering(journal, RUNS)
        await remembering(journal, [(1.0, 2.0)], workflow="wf2")
        await remembering(journal, [(3.0, 4.0)], origin="https://other.example.com")

    async def read_all(journal):
        assert journal.remembered(ORIGIN, "wf1") == RUNS
        assert journal.remembered(ORIGIN, "wf2") == [(1.0, 2.0)]
        assert journal.remembered("https://other.example.com", "wf1") == [(3.0, 4.0)]
        assert journal.remembered("https://other.example.com", "wf2") == []

    with_journal(path, write)
    with_journal(path, read_all)


def test_the_latest_128_runs_of_a_workflow_are_kept(path):
    runs = [(float(n), n + 1.0) for n in range(300)]
    with_journal(path, lambda j: remembering(j, runs))
    assert with_journal(path, read) == runs[-128:]


def test_the_thousand_workflows_whose_runs_ended_last_are_kept(path):
    async def write(journal):
        for n in range(1_000):
            await remembering(journal, [(1.0, 2.0)], workflow=f"w{n}")
        await remembering(journal, [(3.0, 4.0)], workflow="w0")
        for n in range(1_000, 1_010):
            await remembering(journal, [(1.0, 2.0)], workflow=f"w{n}")

    async def known(journal):
        return {n for n in range(1_010) if journal.remembered(ORIGIN, f"w{n}")}

    with_journal(path, write)
    assert with_journal(path, known) == {0, *range(11, 1_010)}


@pytest.fixture
def batches(monkeypatch):
    sizes = []
    commit = group_commit.commit

    def counting(path, connection, changes):
        sizes.append(len(changes))
        return commit(path, connection, changes)

    monkeypatch.setattr(group_commit, "commit", counting)
    return sizes


def test_it_makes_no_transaction_of_its_own(path, batches):
    async def scene(journal):
        await bring(journal, "k", EntryState.STARTED)
        journal.remember(ORIGIN, "wf1", 1.0, 2.0)
        await asyncio.sleep(0.05)
        assert batches == [1, 1]
        await journal.finished("k", result())
        assert batches == [1, 1, 2]
        assert journal.remembered(ORIGIN, "wf1") == [(1.0, 2.0)]
        finishing = asyncio.create_task(journal.finished("k", result()))
        await asyncio.sleep(0)
        await asyncio.sleep(0)  # that one has left
        journal.remember(ORIGIN, "wf1", 3.0, 4.0)
        await finishing
        await asyncio.sleep(0.05)
        assert batches == [1, 1, 2, 1]
        assert journal.remembered(ORIGIN, "wf1") == [(1.0, 2.0)]

    with_journal(path, scene)
    assert batches == [1, 1, 2, 1, 1]
    assert with_journal(path, read) == [(1.0, 2.0), (3.0, 4.0)]


def test_what_is_under_way_when_it_is_closed_takes_the_last_ones_along(path):
    async def scene(journal):
        intents = [
            asyncio.create_task(
                journal.intend(submission(str(n)), PARAMS, wants_outputs=True)
            )
            for n in range(5)
        ]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await remembering(journal, RUNS)
        await journal.aclose()
        await asyncio.gather(*intents)

    with_journal(path, scene)
    assert with_journal(path, read) == RUNS


@pytest.mark.parametrize(
    ("garbage", "left"),
    [
        ("'1:2 nonsense 3 :4 5: 6:7'", [(1.0, 2.0), (6.0, 7.0)]),
        ("''", []),
        ("x'ff00fe'", []),
        ("CAST(x'ff3a31' AS TEXT)", []),
        ("7", []),
        ("9e99", []),
        ("zeroblob(100000)", []),
    ],
)
def test_garbage_is_left_out_and_harms_no_write(path, garbage, left, batches):
    with_journal(path, lambda j: remembering(j, RUNS))
    change(path, f"UPDATE durations SET runs = {garbage}")  # noqa: S608
    batches.clear()

    async def scene(journal):
        assert journal.remembered(ORIGIN, "wf1") == left
        await bring(journal, "k", EntryState.STARTED)
        journal.remember(ORIGIN, "wf1", 8.0, 9.0)
        await journal.finished("k", result())
        assert batches == [1, 1, 2]
        assert journal.remembered(ORIGIN, "wf1") == [*left, (8.0, 9.0)]

    with_journal(path, scene)


def test_a_write_is_made_though_nothing_can_be_remembered(path):
    with_journal(path, lambda j: remembering(j, RUNS))
    change(path, "DROP TABLE durations")

    async def scene(journal):
        with pytest.raises(JournalError, match="damaged"):
            journal.remembered(ORIGIN, "wf1")
        journal.remember(ORIGIN, "wf1", 8.0, 9.0)
        await bring(journal, "k", EntryState.FINISHED)
        assert journal.find("k").result == result()
        journal.remember(ORIGIN, "wf1", 8.0, 9.0)

    with_journal(path, scene)


def test_what_cannot_be_noted_is_told(path):
    async def scene(journal):
        for origin, workflow in ((ORIGIN, "\ud800"), ("\ud800", "wf1")):
            with pytest.raises(ConfigurationError, match="surrogate"):
                journal.remember(origin, workflow, 1.0, 2.0)
            with pytest.raises(ConfigurationError, match="surrogate"):
                journal.remembered(origin, workflow)
        await journal.aclose()
        with pytest.raises(JournalError, match="not open"):
            journal.remember(ORIGIN, "wf1", 1.0, 2.0)
        with pytest.raises(JournalError, match="not open"):
            journal.remembered(ORIGIN, "wf1")

    with_journal(path, scene)
