"""A journal is one process's at a time, and who died has left it free."""

import asyncio
import json
import os
import signal
import socket
from datetime import UTC, datetime, timedelta

import pytest
from making import bring, expected, with_journal
from processes import POSIX, begin

from dpa_async import JournalError
from dpa_async.journal import EntryState, SQLiteJournal

posix = pytest.mark.skipif(not POSIX, reason="fork and SIGKILL are POSIX's")


async def opened(journal):
    return journal


def test_this_process_cannot_open_it_twice(path):
    async def scene(journal):
        await bring(journal, "k", EntryState.STARTED)
        for _ in range(2):  # the refused one takes nothing away from the owner
            with pytest.raises(JournalError, match="in use by this process"):
                async with SQLiteJournal(path):
                    pass
        assert journal.find("k") == expected("k", EntryState.STARTED)

    with_journal(path, scene)
    with_journal(path, opened)


@posix
def test_another_process_is_refused_and_told_whose_it_is(path):
    with begin("hold", path) as process:
        try:
            child = process.stdout.readline()
            owner = process.stdout.readline()
            if child.startswith("OWNER"):
                child, owner = owner, child
            # A child that was forked has no part in it.
            assert child.startswith("CHILD")
            assert "in the process that uses it" in child
            pid = int(owner.split()[1])
            with pytest.raises(JournalError) as told:
                with_journal(path, opened)
            words = str(told.value)
            assert f"process {pid} on host {socket.gethostname()}, since " in words
            since = words.partition("since ")[2].partition(": end")[0]
            age = datetime.now(UTC) - datetime.fromisoformat(since)
            assert timedelta(seconds=-1) <= age < timedelta(minutes=5)

            # Its child lives on, and keeps nobody off.
            os.kill(pid, signal.SIGKILL)
            process.wait()
            with_journal(path, lambda j: bring(j, "next", EntryState.STARTED))
        finally:
            process.kill()
            process.stdin.close()


@posix
def test_of_many_that_open_it_at_once_one_has_it(path):
    async def main():
        journals = [SQLiteJournal(path) for _ in range(20)]
        outcomes = await asyncio.gather(
            *(journal.__aenter__() for journal in journals), return_exceptions=True
        )
        had = [one for one in outcomes if isinstance(one, SQLiteJournal)]
        assert len(had) == 1
        assert sum(isinstance(one, JournalError) for one in outcomes) == 19
        await had[0].aclose()

    asyncio.run(main())


@pytest.mark.parametrize(
    "held", [b"", b"rubbish", b"[1]", b'{"pid": 1}', b"\xff", b"\0" * 9_000]
)
def test_what_a_dead_owner_left_is_no_hindrance(path, held):
    lock = path.with_name(path.name + "-lock")
    lock.write_bytes(held)

    async def scene(_):
        assert json.loads(lock.read_bytes())["pid"] == os.getpid()

    with_journal(path, scene)
    assert lock.read_bytes() == b""


@posix
def test_an_owner_that_cannot_be_read_is_still_an_owner(path):
    async def scene(_):
        path.with_name(path.name + "-lock").write_bytes(b"rubbish")
        with pytest.raises(JournalError, match="in use by another process"):
            async with SQLiteJournal(path):
                pass

    with_journal(path, scene)
