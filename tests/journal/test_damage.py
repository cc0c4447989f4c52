"""A damaged file gives a `JournalError` where it is noticed, and nothing else."""

import asyncio
import contextlib
import random
import shutil
import sqlite3

import pytest
from making import PARAMS, bring, result, submission, with_journal

from dpa_async import JournalError
from dpa_async.journal import EntryState, SQLiteJournal

KEYS = [f"key {number}" for number in range(120)]
STATES = list(EntryState)


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A journal of some pages: its one file; and both files of one that was killed."""
    path = tmp_path_factory.mktemp("sound") / "journal"

    async def scene(journal):
        async with asyncio.TaskGroup() as tasks:
            for number, key in enumerate(KEYS):
                tasks.create_task(bring(journal, key, STATES[number % 4]))
        return path.read_bytes(), path.with_name("journal-wal").read_bytes()

    killed = with_journal(path, scene)
    return path.read_bytes(), *killed


async def use(path):
    """Do everything; give how many entries are found and how often it complains."""
    said, found = [], 0
    async with SQLiteJournal(path) as journal:
        for key in KEYS:
            try:
                found += journal.find(key) is not None
            except JournalError as error:
                said.append(str(error))
        try:
            for _ in journal.unfinished():
                pass
        except JournalError as error:
            said.append(str(error))
        for key in (*KEYS[::10], *"abc"):
            with contextlib.suppress(JournalError):
                await journal.intend(submission(key), PARAMS, wants_outputs=True)
            with contextlib.suppress(JournalError):
                await journal.finished(key, result(key))
    return found, len(said)


def damaged(held, chance):
    held = bytearray(held)
    match chance.choice(["bytes", "bits", "page", "zeros", "cut", "swap", "text"]):
        case "bytes":
            for _ in range(chance.choice([1, 10, 300])):
                held[chance.randrange(len(held))] = chance.randrange(256)
        case "bits":
            held[chance.randrange(len(held))] ^= 1 << chance.randrange(8)
        case "page":
            at = chance.randrange(0, len(held), 4096)
            held[at : at + 4096] = chance.randbytes(4096)
        case "zeros":
            at = chance.randrange(0, len(held), 512)
            held[at : at + 512] = bytes(512)
        case "cut":
            del held[chance.randrange(len(held)) :]
        case "swap":
            at, to = (chance.randrange(1, len(held) // 4096) * 4096 for _ in range(2))
            held[at : at + 4096], held[to : to + 4096] = (
                held[to : to + 4096],
                held[at : at + 4096],
            )
        case _:
            at = held.find(b"https", chance.randrange(len(held)))
            held[at : at + 3] = chance.choice([b'"\xff[', b"\0\0\0", b"]]]"])
    return bytes(held)


@pytest.mark.parametrize("where", ["main", "wal"])
def test_whatever_is_damaged_only_journal_errors_come_of_it(sound, quick, where):
    chance = random.Random(where)
    main, early_main, wal = sound
    told, counts = 0, set()
    for number in range(150):
        path = quick / str(number) / "journal"
        path.parent.mkdir()
        if where == "main":
            path.write_bytes(damaged(main, chance))
        else:
            path.write_bytes(early_main)
            path.with_name("journal-wal").write_bytes(damaged(wal, chance))
        try:
            found, complaints = asyncio.run(use(path))
        except JournalError:
            told += 1
        else:
            told += complaints > 0
            counts.add(found)
        shutil.rmtree(path.parent)
    assert {0, len(KEYS)} <= counts
    # Of a -wal that is damaged counts what comes before: it is short, not unsound.
    assert told > 30 if where == "main" else told == 0


@pytest.mark.parametrize(
    "change",
    [
        "state = 'lost'",
        "intent = '[1]'",
        "intent = 'no JSON'",
        "params = 'null] , [1'",
        "params = '[[[' || replace(hex(zeroblob(50000)), '0', '[')",
        "evidence = '[1, 2]'",
        "evidence = '[99999999999999999999, null, []]'",
        "run = '[1]'",
        "submitted_at = 'noon'",
        "submitted_at = 9e18",
        "result = '[\"RUNNING\", 1, 2, [], null]'",
        "result = '[\"FAILED\", null, 2, [], null]'",
        "result = '[[], 1, 2, [], null]'",
        "result = x'ff'",
        "run = CAST(x'ff' AS TEXT)",
    ],
)
def test_a_row_that_is_none_is_told_and_the_others_are_read(path, change):
    async def write(journal):
        for key in KEYS[:8]:
            await bring(journal, key, EntryState.FINISHED)

    with_journal(path, write)
    connection = sqlite3.connect(path)
    with connection:
        connection.execute(f"UPDATE entries SET {change} WHERE key = ?", (KEYS[5],))  # noqa: S608
    connection.close()

    async def read(journal):
        for key in KEYS[:8]:
            if key == KEYS[5]:
                with pytest.raises(JournalError, match=r"damaged|cannot be read"):
                    journal.find(key)
            else:
                assert journal.find(key).result == result(key)

    with_journal(path, read)
