"""A batch at a terminal: Ctrl-C, the same command again, a report."""

import json
import sqlite3

from batch_desk import kept, requests
from terminal_session import CTRL_C

from dpa_async.simulator import Fault


def test_two_thousand_runs_interrupted_and_gone_on_with_are_each_run_once(desk, sit_at):
    here = desk(duration=(0.02, 0.3))
    here.write("b.jsonl", requests(2000, workflows=1000))
    command = ("batch", "b.jsonl", "--out", "out.jsonl", "--concurrency", "400")
    first = sit_at(*command, "--report", "b.html")
    first.watch(lambda: "/2000" in first.shown)  # live progress
    first.watch(lambda: len(here.executed) >= 300)
    first.press(CTRL_C)
    assert first.end() == 130
    assert "interrupted: nothing more is started" in first.shown
    assert "interrupted; the same command goes on from here" in first.shown
    assert not (here.folder / "b.html").exists()
    before = len(here.executed)
    assert 300 <= before < 2000

    second = sit_at(*command, "--report", "b.html")
    assert second.end() == 0, (first.shown[-3000:], second.shown[-6000:])
    assert "2,000 runs: 2,000 SUCCEEDED" in second.shown
    assert here.executed == dict.fromkeys(range(2000), 1)
    rows, counts = kept(here.folder / "out.jsonl")
    assert counts == dict.fromkeys((f"k{n}" for n in range(2000)), 1)
    runs = here.runs
    assert all(row["run_id"] == runs[int(row["key"][1:])] for row in rows)
    assert "k1999" in (here.folder / "b.html").read_text()

    third = sit_at("report", "b.jsonl.journal", "-o", "json")
    assert third.end() == 0
    assert json.loads(third.shown) == {"report": "b.jsonl.journal.html"}
    assert len(here.executed) == 2000


def test_ctrl_c_twice_leaves_at_once_and_the_same_command_goes_on(desk, sit_at):
    here = desk()
    here.platform.faults.add("execute", Fault.stall(carried_out=True), calls={6})
    here.write("b.jsonl", requests(12))
    command = ("batch", "b.jsonl", "--out", "out.csv")
    first = sit_at(*command)
    first.watch(lambda: len(here.executed) == 12)
    first.press(CTRL_C)
    first.watch(lambda: "Ctrl-C again leaves at once" in first.shown)
    assert first.process.poll() is None, "an execute is out: that is waited for"
    first.press(CTRL_C)
    assert first.end() == 130
    assert "left at once; the same command goes on from here" in first.shown
    ended = here.outcomes(*command, code=4)
    doubts = [key for key, row in ended.items() if row["status"] == "UNCERTAIN"]
    assert doubts  # others whose answers were just coming can be among them
    for key in doubts:
        run = here.runs[int(key[1:])]
        ref = f"dpa-run:1:md{int(key[1:]):04}:{run}@{here.platform.url}"
        assert here.dpa("settle", "b.jsonl.journal", key, "--ran", ref)[0] == 0
    assert len(here.outcomes(*command)) == 12
    assert here.executed == dict.fromkeys(range(12), 1)
    assert kept(here.folder / "out.csv")[1] == dict.fromkeys(ended, 1)


def test_ctrl_c_while_the_file_is_checked_or_typed_starts_nothing(desk, sit_at):
    here = desk()
    here.write("b.jsonl", requests(100_000))
    first = sit_at("batch", "b.jsonl", "--check")
    typing = sit_at("batch", "-", "--journal", "j")
    typing.press(b'{"workflow_id": "md1"}\n')
    first.watch(lambda: first.has_open("b.jsonl"))
    typing.watch(lambda: typing.has_open("(deleted)"))  # where it is kept
    for session in (first, typing):
        session.press(CTRL_C)
        assert session.end() == 130
        assert "dpa: interrupted" in session.shown
        assert "Traceback" not in session.shown
    assert not here.executed


def test_the_journal_of_an_interrupted_batch_is_whole(desk, sit_at):
    here = desk(duration=(0.1, 0.5))
    here.write("b.jsonl", requests(300))
    session = sit_at("batch", "b.jsonl", "--concurrency", "40")
    session.watch(lambda: len(here.executed) >= 30)
    session.press(CTRL_C)
    assert session.end() == 130
    journal = sqlite3.connect(here.folder / "b.jsonl.journal")
    states = dict(journal.execute("SELECT key, state FROM entries"))
    journal.close()
    assert {f"k{n}" for n in here.executed} == states.keys()
    assert set(states.values()) <= {"started", "finished"}
