"""What a test has done by a process of its own, one scene: `… <scene> <path> …`."""

import asyncio
import os
import resource
import signal
import sys
from pathlib import Path

from making import ORIGIN, bring, expected, ref, result, submission

from dpa_async import JournalError, NodeOutput, NodeOutputs
from dpa_async.journal import EntryState, SQLiteJournal


def say(*words):
    os.write(1, " ".join(map(str, words)).encode() + b"\n")


async def live(journal, key, number):
    """One life of a key, each step told when it is durable."""
    await journal.intend(submission(key), {"n": number}, wants_outputs=True)
    say("INTENDED", key)
    if number % 5 == 0:
        await journal.withdraw(key)
        say("WITHDRAWN", key)
        return
    if number % 3 == 0:
        await journal.uncertain(submission(key, seen=("lost",)))
        say("UNCERTAIN", key)
    await journal.started(key, ref(key), result(key).submitted_at)
    say("STARTED", key)
    if number % 4:
        journal.remember(ORIGIN, key.split("-")[0], float(number), number + 1.0)
        await journal.finished(key, result(key))
        say("FINISHED", key)


async def lives(path, name, at_once):
    async with SQLiteJournal(path) as journal:
        numbers = iter(range(10**9))

        async def worker():
            for number in numbers:
                await live(journal, f"{name}-{number}", number)

        async with asyncio.TaskGroup() as tasks:
            for _ in range(at_once):
                tasks.create_task(worker())


def write_until_killed(path):
    """For each line of stdin (a name, how many at once): a process that writes.

    They are forked from here, because importing takes longer than their lives do.
    """
    for line in sys.stdin:
        name, at_once = line.split()
        child = os.fork()
        if not child:
            asyncio.run(lives(path, name, int(at_once)))
        say("PID", child)
        os.waitpid(child, 0)
        say("GONE", child)


async def hold(path):
    """Have the journal, and a forked child that outlives its parent."""
    async with SQLiteJournal(path) as journal:
        await journal.intend(submission(), None, wants_outputs=True)
        child = os.fork()
        if not child:
            try:
                say("CHILD", journal.find("k"))
            except JournalError as error:
                say("CHILD", error)
            sys.stdin.read()
            os._exit(0)
        say("OWNER", os.getpid())
        signal.pause()


def size_of(path):
    return Path(path).stat().st_size


async def without_room(path):
    """Write until the disk is full, go on when there is room."""
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    async with SQLiteJournal(path) as journal:
        for number in range(5):
            await bring(journal, f"before {number}", EntryState.FINISHED)
        room = size_of(f"{path}-wal") + 30_000
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, most))
        told = []
        for number in range(50):
            try:
                await journal.intend(submission(f"n{number}"), None, wants_outputs=True)
            except JournalError as error:
                told.append((f"n{number}", str(error)))
        say("TOLD", told[0][1])
        assert 5 < len(told) < 50
        assert all(journal.find(key) is None for key, _ in told)
        for number in range(5):
            key = f"before {number}"
            assert journal.find(key) == expected(key, EntryState.FINISHED)
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
        for key, _ in told:
            await journal.intend(submission(key), None, wants_outputs=True)
        keys = {entry.submission.key for entry in journal.unfinished()}
        assert keys == {f"n{number}" for number in range(50)}
    say("DONE")


async def closing_without_room(path):
    """What cannot be moved into the one file on closing stays in the other."""
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    async with SQLiteJournal(path) as journal:
        large = NodeOutputs([NodeOutput("n", "x" * 100_000)])
        await bring(journal, "k", EntryState.STARTED)
        await journal.finished("k", result(outputs=large))
        resource.setrlimit(resource.RLIMIT_FSIZE, (size_of(path), most))
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    async with SQLiteJournal(path) as journal:
        assert journal.find("k").result.outputs == large
    say("DONE")


async def not_writable(path):
    """A file and a directory that this user may not write; root may write all."""
    directory = Path(path).parent
    if not os.getuid():
        os.chown(directory, 65_534, 65_534)
        os.setresgid(65_534, 65_534, 65_534)
        os.setresuid(65_534, 65_534, 65_534)
    async with SQLiteJournal(path) as journal:
        await bring(journal, "k", EntryState.FINISHED)
    for what, mode, asked in (
        (Path(path), 0o400, path),
        (directory, 0o500, f"{path}2"),
    ):
        before = what.stat().st_mode
        what.chmod(mode)
        try:
            async with SQLiteJournal(asked):
                say("OPENED", what)
        except JournalError as error:
            say("TOLD", error)
        what.chmod(before)
    async with SQLiteJournal(path) as journal:
        assert journal.find("k") == expected("k", EntryState.FINISHED)
    say("DONE")


def main(scene, path):
    if scene == "write_until_killed":
        write_until_killed(path)
        return
    scenes = (hold, without_room, closing_without_room, not_writable)
    asyncio.run({one.__name__: one for one in scenes}[scene](path))


if __name__ == "__main__":
    main(*sys.argv[1:])
