"""Power loss: what was written after the last fsync is cut, torn or overwritten.

The files are copied at every moment at which something was said to be durable. Between
two such moments lies one transaction, maybe with a checkpoint behind it. SQLite writes
its -wal and waits for the disk; a checkpoint then writes the main file and waits again.
So what the disk can hold after a power loss in between is any mixture of the -wal of
both moments with the old main file, or the new -wal with any mixture of the main files.

`DPA_JOURNAL_CUTS` says how many power losses, `DPA_JOURNAL_SEED` where.
"""

import asyncio
import functools
import os
import random
import shutil
from itertools import pairwise
from pathlib import Path

from attrs import frozen
from making import LATER, THEN, ref, result, submission, with_journal

from dpa_async import NodeOutput, NodeOutputs
from dpa_async.journal import Entry, EntryState, SQLiteJournal

CUTS = int(os.environ.get("DPA_JOURNAL_CUTS", "1000"))
SEED = os.environ.get("DPA_JOURNAL_SEED", "dpa")
SECTOR = 512


@frozen
class Moment:
    """What the files were when all of `entries` was durable."""

    main: bytes
    wal: bytes
    entries: dict[str, Entry]


async def history(path: Path) -> list[Moment]:
    """Live some lives, and keep each moment at which something became durable."""
    chance = random.Random(SEED)
    moments = []
    async with SQLiteJournal(path) as journal:
        # Checkpoints after every few commits instead of after a thousand pages.
        journal._opened.file.writer.execute("PRAGMA wal_autocheckpoint = 12")
        for number in range(70):
            keys = [f"{number}-{n}" for n in range(chance.choice([1, 1, 3, 9]))]
            for step in steps(journal, chance.choice([100, 100, 9_000]), number):
                await asyncio.gather(*[step(key) for key in keys])
                main = path.read_bytes()  # noqa: ASYNC240 - nothing else runs here
                wal = path.with_name(path.name + "-wal").read_bytes()
                known = moments[-1].entries if moments else {}
                now = {key: journal.find(key) for key in keys}
                moments.append(Moment(main, wal, known | now))
    return moments


def steps(journal, size, number):
    outputs = NodeOutputs([NodeOutput("n", "x" * size)])
    yield lambda key: journal.intend(submission(key), {"n": number}, wants_outputs=True)
    if number % 6 == 0:
        yield journal.withdraw
        return
    if number % 4 == 0:
        yield lambda key: journal.uncertain(submission(key, sent_at=LATER))
    yield lambda key: journal.started(key, ref(key), THEN)
    if number % 5:
        yield lambda key: journal.finished(key, result(key, outputs=outputs))


def mixed(before: bytes, after: bytes, chance: random.Random) -> bytes:
    """Give what the disk may hold of a file that was being written."""
    least, most = sorted((len(before), len(after)))
    before, after = before.ljust(most, b"\0"), after.ljust(most, b"\0")
    written = [
        at
        for at in range(0, most, SECTOR)
        if before[at : at + SECTOR] != after[at : at + SECTOR]
    ]
    if not written:
        return after
    cut = chance.choice(written)
    fate = chance.choice(["cut", "torn", "lost sectors", "rubbish", "short"])
    if fate in {"cut", "torn"}:  # up to here it was written, to a sector or a byte
        cut += chance.randrange(SECTOR) if fate == "torn" else 0
        return after[:cut] + before[cut:]
    if fate == "short":
        return after[: max(cut + chance.randrange(SECTOR), least)]
    held = bytearray(before)
    for at in written:
        if chance.random() < 0.5:
            held[at : at + SECTOR] = after[at : at + SECTOR]
        elif fate == "rubbish":
            held[at : at + SECTOR] = rubbish(before, after, at, chance)
    return bytes(held)


def rubbish(before: bytes, after: bytes, at: int, chance: random.Random) -> bytes:
    """Give a sector with anything in the bytes that were written, and only there."""
    noise = chance.randbytes(SECTOR)
    old, new = before[at : at + SECTOR], after[at : at + SECTOR]
    return bytes(
        was if was == becomes else any_
        for was, becomes, any_ in zip(old, new, noise, strict=False)
    )


def lose_power(
    before: Moment, after: Moment, chance: random.Random, path: Path
) -> None:
    """Leave files as a power loss between two moments can leave them."""
    main, wal = before.main, after.wal
    if before.main != after.main and chance.random() < 0.5:
        main = mixed(before.main, after.main, chance)
    else:
        wal = mixed(before.wal, after.wal, chance)
    path.write_bytes(main)
    path.with_name(path.name + "-wal").write_bytes(wal)


def test_no_power_loss_takes_what_was_durable(quick):
    moments = asyncio.run(history(quick / "first"))
    pairs = list(pairwise(moments))
    checkpoints = [pair for pair in pairs if pair[0].main != pair[1].main]
    assert len(checkpoints) > 10
    chance = random.Random(SEED)
    outcomes = {"all of it": 0, "nothing of it": 0}
    for _ in range(CUTS):
        before, after = chance.choice(chance.choice([pairs, checkpoints]))
        here = quick / "cut"
        here.mkdir()
        lose_power(before, after, chance, here / "journal")
        found = with_journal(here / "journal", functools.partial(read, after))
        # One transaction is there as a whole or not at all, and what was durable is.
        if found == after.entries:
            outcomes["all of it"] += 1
        else:
            outcomes["nothing of it"] += 1
            assert {key: found[key] for key in before.entries} == before.entries
            assert not any(found[key] for key in found.keys() - before.entries.keys())
        shutil.rmtree(here)
    assert all(outcomes.values())


async def read(moment, journal):
    unfinished = {entry.submission.key: entry for entry in journal.unfinished()}
    found = {key: journal.find(key) for key in moment.entries}
    assert unfinished == {
        key: entry
        for key, entry in found.items()
        if entry and entry.state is not EntryState.FINISHED
    }
    return found


def test_the_wal_is_waited_for_before_a_write_returns(path):
    async def scene(journal):
        asked = journal._opened.file.writer.execute
        return [
            asked(f"PRAGMA {name}").fetchone()[0]
            for name in ("journal_mode", "synchronous", "fullfsync")
        ]

    assert with_journal(path, scene) == ["wal", 2, 1]
