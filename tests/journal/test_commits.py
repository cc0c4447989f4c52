"""Many writers, one thread: group commit, cancelled callers, closing, loops."""

import asyncio
import threading

import pytest
from making import PARAMS, THEN, bring, expected, ref, result, submission, with_journal

from dpa_async import ConfigurationError, JournalError
from dpa_async.journal import EntryState, SQLiteJournal
from dpa_async.journal import commits as group_commit
from dpa_async.simulator.virtual_time import run as run_in_virtual_time


def intend(journal, key="k"):
    return journal.intend(submission(key), PARAMS, wants_outputs=True)


def test_thousands_write_at_once(path):
    async def scene(journal):
        async with asyncio.TaskGroup() as tasks:
            for number in range(3_000):
                tasks.create_task(bring(journal, str(number), EntryState.FINISHED))
        for number in range(3_000):
            key = str(number)
            assert journal.find(key) == expected(key, EntryState.FINISHED)

    with_journal(path, scene)


class Counting:
    """Counts the batches, and holds each until it is let go."""

    def __init__(self, monkeypatch):
        self.sizes = []
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()
        self._commit = group_commit.commit
        monkeypatch.setattr(group_commit, "commit", self)

    def __call__(self, path, connection, changes):
        self.sizes.append(len(changes))
        self.entered.set()
        self.gate.wait()
        return self._commit(path, connection, changes)


@pytest.fixture
def counting(monkeypatch):
    return Counting(monkeypatch)


def test_what_comes_while_a_batch_is_written_is_the_next_one(path, counting):
    async def scene(journal):
        async with asyncio.TaskGroup() as tasks:
            for number in range(700):
                tasks.create_task(intend(journal, str(number)))
        assert counting.sizes == [700]
        counting.gate.clear()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(intend(journal, "first"))
            await asyncio.to_thread(counting.entered.wait)
            for number in range(1_500):
                tasks.create_task(journal.withdraw(str(number % 700)))
                if number == 699:
                    break
            await asyncio.sleep(0)
            counting.gate.set()
        return counting.sizes

    assert with_journal(path, scene) == [700, 1, 700]


def test_a_batch_has_an_end(path, counting):
    async def scene(journal):
        async with asyncio.TaskGroup() as tasks:
            for number in range(2_500):
                tasks.create_task(intend(journal, str(number)))

    with_journal(path, scene)
    assert counting.sizes == [1_000, 1_000, 500]


def test_find_shows_nothing_that_is_only_on_its_way(path, counting):
    async def scene(journal):
        counting.gate.clear()
        counting.entered.clear()
        writing = asyncio.create_task(intend(journal))
        await asyncio.to_thread(counting.entered.wait)
        assert journal.find("k") is None
        counting.gate.set()
        await writing
        assert journal.find("k") == expected("k", EntryState.INTENDED)

    with_journal(path, scene)


def test_a_cancelled_caller_takes_nothing_back_and_harms_nobody(path, counting):
    async def scene(journal):
        counting.gate.clear()
        counting.entered.clear()
        writing = [asyncio.create_task(intend(journal, str(n))) for n in range(20)]
        await asyncio.to_thread(counting.entered.wait)
        later = [asyncio.create_task(intend(journal, str(n))) for n in range(20, 40)]
        await asyncio.sleep(0)
        for task in (*writing[::2], *later[::2]):
            task.cancel()
        counting.gate.set()
        outcomes = await asyncio.gather(*writing, *later, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [
            asyncio.CancelledError,
            type(None),
        ] * 20
        return [entry.submission.key for entry in journal.unfinished()]

    keys = with_journal(path, scene)
    assert set(keys) == {str(number) for number in range(40)}


def test_of_two_that_intend_one_key_at_once_one_is_refused(path):
    async def scene(journal):
        outcomes = await asyncio.gather(
            intend(journal), intend(journal), intend(journal, "b"),
            return_exceptions=True,
        )  # fmt: skip
        assert [type(outcome) for outcome in outcomes] == [
            type(None),
            JournalError,
            type(None),
        ]

    with_journal(path, scene)


def test_a_life_in_one_batch_is_made_in_the_order_of_the_calls(path):
    async def scene(journal):
        await asyncio.gather(
            intend(journal),
            journal.withdraw("k"),
            intend(journal),
            journal.started("k", ref(), THEN),
            journal.finished("k", result()),
        )
        assert journal.find("k") == expected("k", EntryState.FINISHED)

    with_journal(path, scene)


def test_closing_writes_what_is_on_its_way(path, counting):
    async def scene():
        async with SQLiteJournal(path) as journal:
            counting.gate.clear()
            writing = [asyncio.create_task(intend(journal, str(n))) for n in range(9)]
            await asyncio.sleep(0)
            closing = [asyncio.create_task(journal.aclose()) for _ in range(3)]
            await asyncio.sleep(0)
            with pytest.raises(JournalError, match="not open"):
                await intend(journal, "late")
            closing[0].cancel()
            counting.gate.set()
            await asyncio.gather(*writing, *closing[1:])
            assert all(task.done() for task in writing)
        await journal.aclose()
        with pytest.raises(JournalError, match="not open"):
            journal.find("0")

    asyncio.run(scene())

    async def read(journal):
        return len(list(journal.unfinished()))

    assert with_journal(path, read) == 9


def test_it_can_be_opened_again_once_it_is_closed(path):
    async def scene():
        journal = SQLiteJournal(path)
        for number in range(3):
            async with journal:
                await intend(journal, str(number))
                with pytest.raises(ConfigurationError, match="open already"):
                    await journal.__aenter__()
        async with journal:
            return [entry.submission.key for entry in journal.unfinished()]

    assert asyncio.run(scene()) == ["0", "1", "2"]


def test_opening_can_be_cancelled_and_leaves_it_free(path):
    async def scene():
        for turns in range(6):
            journal = SQLiteJournal(path)
            opening = asyncio.create_task(journal.__aenter__())
            for _ in range(turns):
                await asyncio.sleep(0)
            if not opening.cancel():  # it was faster
                await journal.aclose()
                continue
            with pytest.raises(asyncio.CancelledError):
                await opening
            async with asyncio.timeout(30):
                while True:
                    try:
                        async with journal:
                            break
                    except JournalError:
                        await asyncio.sleep(0.01)

    asyncio.run(scene())


def test_it_is_not_used_before_it_is_open(path):
    async def scene():
        journal = SQLiteJournal(path)
        await journal.aclose()
        with pytest.raises(JournalError, match="not open"):
            journal.find("k")
        with pytest.raises(JournalError, match="not open"):
            journal.unfinished()
        with pytest.raises(JournalError, match="not open"):
            await intend(journal)

    asyncio.run(scene())


def test_an_iterator_of_a_closed_journal_ends_in_an_error(path):
    async def scene():
        async with SQLiteJournal(path) as journal:
            for number in range(150):
                await intend(journal, str(number))
            unfinished = journal.unfinished()
            next(unfinished)
        with pytest.raises(JournalError, match="not open"):
            list(unfinished)

    asyncio.run(scene())


def test_it_belongs_to_one_event_loop(path):
    journal = SQLiteJournal(path)
    asyncio.run(journal.__aenter__())

    async def elsewhere():
        with pytest.raises(ConfigurationError, match="another event loop"):
            journal.find("k")
        with pytest.raises(ConfigurationError, match="another event loop"):
            await intend(journal)
        await journal.aclose()

    asyncio.run(elsewhere())
    with_journal(path, intend)


def test_virtual_time_stands_still_while_it_writes(path):
    async def scene():
        loop = asyncio.get_running_loop()
        async with SQLiteJournal(path) as journal:
            before = loop.time()
            async with asyncio.timeout(1):
                await bring(journal, "k", EntryState.FINISHED)
            assert loop.time() == before

    run_in_virtual_time(scene())


@pytest.mark.parametrize("given", ["", "a\0b"])
def test_a_path_that_can_be_none_is_refused(given):
    with pytest.raises(ConfigurationError, match="path"):
        SQLiteJournal(given)
    with pytest.raises(ConfigurationError, match="path"):
        SQLiteJournal(3)
