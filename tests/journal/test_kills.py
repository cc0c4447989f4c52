"""A process that is killed at any moment leaves what it was told is durable.

`DPA_JOURNAL_KILLS` says how often, `DPA_JOURNAL_SEED` when.
"""

import os
import random
import signal

import pytest
from making import ORIGIN, ref, result, with_journal
from processes import POSIX, begin

from dpa_async.journal import EntryState

pytestmark = pytest.mark.skipif(not POSIX, reason="SIGKILL and fork are POSIX's")

KILLS = int(os.environ.get("DPA_JOURNAL_KILLS", "40"))
SEED = os.environ.get("DPA_JOURNAL_SEED", "dpa")
ORDER = [state.name for state in EntryState]


def killed_at_random(writers, chance, name):
    """Have a process write, kill it at some moment; give what it said was durable."""
    writers.stdin.write(f"{name} {chance.choice([1, 3, 40])}\n")
    writers.stdin.flush()
    patience, told, pid = chance.choice([0, 1, 2, 5, 40, 400]), {}, 0
    for line in writers.stdout:
        word, what = line.split()
        if word == "GONE":
            return told
        if word == "PID":
            pid = int(what)
        else:
            told[what] = word
        if pid and len(told) >= patience:
            os.kill(pid, signal.SIGKILL)
            patience = 10**9
    raise AssertionError


def check_length(journal, life, number):
    """See that how long a run took is there, where its end is, or was pushed out."""
    lengths = journal.remembered(ORIGIN, life)
    assert (float(number), float(number) + 1) in lengths or len(lengths) == 128


def check(journal, told):
    """See that all that was told is there, as far along or farther."""
    latest = set(list(told)[-300:])  # of the lives since the last time
    for key, word in told.items():
        entry = journal.find(key)
        if word == "WITHDRAWN":
            assert entry is None, key
            continue
        if entry is None:  # withdrawn, and killed before it could say so
            assert word == "INTENDED", key
            assert int(key.split("-")[1]) % 5 == 0, key
            continue
        assert ORDER.index(entry.state.name) >= ORDER.index(word), key
        assert entry.submission.origin == ORIGIN
        assert entry.params == {"n": int(key.split("-")[1])}
        if entry.state in {EntryState.STARTED, EntryState.FINISHED}:
            assert entry.ref == ref(key)
        if entry.state is EntryState.FINISHED:
            assert entry.result == result(key)
            if key in latest:
                check_length(journal, *key.split("-"))


def test_what_was_durable_survives_sigkill(path):
    chance = random.Random(SEED)
    told = {}

    async def scene(journal):
        check(journal, told)
        list(journal.unfinished())

    with begin("write_until_killed", path) as writers:
        for kill in range(KILLS):
            # The next one takes over at once; the files are looked at now and then.
            told |= killed_at_random(writers, chance, f"life{kill}")
            if kill % 4 == 3:
                with_journal(path, scene)
        writers.stdin.close()
    with_journal(path, scene)
    assert len(told) > KILLS
    assert set(told.values()) >= {"INTENDED", "WITHDRAWN", "FINISHED"}
