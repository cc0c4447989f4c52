"""A journal is read without being taken: while it is open, and when its owner died."""

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from making import bring, expected, with_journal

from dpa_async import ConfigurationError, JournalError
from dpa_async.journal import EntryState, read_entries, schema

HERE = Path(__file__).parent
ALL = list(EntryState)

OWNER = """
import asyncio, os, sys
sys.path.insert(0, sys.argv[1])
from making import bring
from dpa_async.journal import EntryState, SQLiteJournal

async def main():
    async with SQLiteJournal(sys.argv[2]) as journal:
        for state in EntryState:
            await bring(journal, state.value, state)
        print("ready", flush=True)
        sys.stdin.readline()
        await bring(journal, "later", EntryState.FINISHED)

asyncio.run(main())
"""


@contextlib.contextmanager
def owner(path):
    """Have another process keep a journal open, with a key in each state."""
    words = [sys.executable, "-c", OWNER, str(HERE), str(path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(words, **pipes) as process:
        try:
            assert process.stdout.readline() == b"ready\n"
            yield process
        finally:
            process.kill()


def of_all_states():
    return [expected(state.value, state) for state in ALL]


async def bring_all(journal):
    for state in ALL:
        await bring(journal, state.value, state)


def test_a_closed_journal_is_read_in_the_order_of_its_intents(path):
    with_journal(path, bring_all)
    assert list(read_entries(path)) == of_all_states()
    assert list(read_entries(str(path))) == of_all_states()


def test_an_open_journal_is_read_and_goes_on(path):
    with owner(path) as process:
        assert list(read_entries(path)) == of_all_states()
        process.communicate(b"\n", timeout=60)
        assert process.returncode == 0
    assert [entry.submission.key for entry in read_entries(path)][-1] == "later"


def test_one_that_was_killed_is_read_and_can_be_opened_again(path):
    with owner(path) as process:
        os.kill(process.pid, signal.SIGKILL)
        process.wait(timeout=60)
        assert list(read_entries(path)) == of_all_states()

    async def scene(journal):
        await bring(journal, "new", EntryState.FINISHED)

    with_journal(path, scene)
    assert len(list(read_entries(path))) == len(ALL) + 1


def test_its_own_process_reads_it_while_it_writes(path):
    async def scene(journal):
        await bring(journal, "before", EntryState.STARTED)
        entries = read_entries(path)
        assert next(entries) == expected("before", EntryState.STARTED)
        await bring(journal, "after", EntryState.FINISHED)
        assert list(entries) == [], "all are as they were at the first one"
        assert len(list(read_entries(path))) == 2

    with_journal(path, scene)


def test_an_older_version_is_read_and_left(path, monkeypatch):
    with_journal(path, bring_all)
    newer = ("ALTER TABLE entries ADD COLUMN colour TEXT",)
    was = len(schema.MIGRATIONS)
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, newer))
    assert list(read_entries(path)) == of_all_states()
    with contextlib.closing(sqlite3.connect(path)) as file:
        assert file.execute("PRAGMA user_version").fetchone() == (was,)


def refusal(path):
    with pytest.raises(JournalError) as caught:
        list(read_entries(path))
    assert str(path) in str(caught.value)
    assert caught.value.__context__ is None
    return str(caught.value)


def test_what_is_no_journal_is_told(path, tmp_path):
    assert "there is no such file" in refusal(path)
    assert not path.exists()
    assert "there is no such file" in refusal(tmp_path)
    path.touch()
    assert "it is empty" in refusal(path)
    path.write_bytes(b"words of any kind, and no database" * 100)
    assert "it is no journal" in refusal(path)
    path.unlink()
    with contextlib.closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE cats (name TEXT)")
        other.commit()
    assert "a database of something else" in refusal(path)


def test_a_newer_version_is_told(path):
    with_journal(path, bring_all)
    with contextlib.closing(sqlite3.connect(path)) as file:
        file.execute("PRAGMA user_version = 99")
    assert "it is of version 99" in refusal(path)


@pytest.mark.parametrize("column", ["intent", "result", "state"])
def test_a_row_that_is_none_is_told(path, column):
    with_journal(path, bring_all)
    with contextlib.closing(sqlite3.connect(path)) as file:
        file.execute(f"UPDATE entries SET {column} = '{{' WHERE key = 'finished'")  # noqa: S608
        file.commit()
    assert "it is damaged" in refusal(path)


def test_a_path_is_one(path):
    with pytest.raises(ConfigurationError):
        list(read_entries(7))


def test_a_path_is_no_uri_of_its_own(tmp_path):
    path = tmp_path / "a?mode=rw#100%.journal"
    with_journal(path, bring_all)
    assert len(list(read_entries(path))) == len(ALL)
