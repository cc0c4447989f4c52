"""`dpa batch` on a platform: what is run, what is printed, how it ends."""

import json
import time

import pytest
from batch_desk import kept, requests

from dpa_async.simulator import Fault, SimulatedWorkflow

FAILING = SimulatedWorkflow("mdfails", fails=True)
LASTING = SimulatedWorkflow("mdlasts", duration=5.0)
QUICK = [SimulatedWorkflow(f"md{n:04}") for n in range(20)]


def test_each_line_is_run_once_however_often_the_command_is_given(desk):
    here = desk()
    here.write("b.jsonl", requests(60))
    first = here.outcomes("batch", "b.jsonl", "--out", "out.jsonl")
    assert first.keys() == {f"k{n}" for n in range(60)}
    assert {record["status"] for record in first.values()} == {"SUCCEEDED"}
    assert json.loads(first["k7"]["outputs"][0]["result"]) == {"n": 7}
    assert first["k7"]["run_id"] == here.runs[7]
    assert (here.folder / "b.jsonl.journal").is_file()
    looks = {key: record.pop("looks") for key, record in first.items()}
    assert min(looks.values()) >= 1
    again = here.outcomes("batch", "b.jsonl", "--out", "out.jsonl")
    assert {k: {**v, "looks": None} for k, v in again.items()} == {
        k: {**v, "looks": None} for k, v in first.items()
    }
    assert set(here.executed.values()) == {1}
    rows, counts = kept(here.folder / "out.jsonl")
    assert {row["key"]: row for row in rows} == again
    assert set(counts.values()) == {1}


def test_nothing_is_started_while_a_line_is_bad(desk):
    here = desk()
    here.write("b.jsonl", [*requests(5), {"key": "x"}])
    code, out, err = here.dpa("batch", "b.jsonl")
    assert (code, out) == (2, "")
    assert "b.jsonl:6: workflow_id is missing" in err
    assert not here.executed
    assert not (here.folder / "b.jsonl.journal").exists()


def test_the_worst_end_is_the_exit_code(desk):
    here = desk(FAILING, LASTING, *QUICK)
    lines = [*requests(3), {"workflow_id": "mdfails", "key": "f", "params": {"n": 90}}]
    here.write("b.jsonl", lines)
    ended = here.outcomes("batch", "b.jsonl", code=1)
    assert ended["f"]["status"] == "FAILED"
    assert ended["f"]["error_type"] == "RunFailedError"
    assert ended["f"]["outputs"]
    lasting = {"workflow_id": "mdlasts", "key": "l", "params": {"n": 91}}
    here.write("b.jsonl", [*lines, {**lasting, "timeout": 3.0}])
    ended = here.outcomes("batch", "b.jsonl", code=3)
    assert ended["l"]["status"] == "OPEN"
    assert here.runs[91] in ended["l"]["ref"]
    here.platform.faults.add("execute", Fault.answer_lost())
    lost = {"workflow_id": "md0019", "key": "u", "params": {"n": 92}}
    here.write("b.jsonl", [*lines, lasting, lost])
    ended = here.outcomes("batch", "b.jsonl", code=4)
    assert {key: record["status"] for key, record in ended.items()} == {
        **dict.fromkeys(("k0", "k1", "k2", "l"), "SUCCEEDED"),
        "f": "FAILED",
        "u": "UNCERTAIN",
    }
    other = {"workflow_id": "md0018", "key": "k0", "params": {"n": 93}}
    here.write("b.jsonl", [*lines[1:], other, lost])
    ended = here.outcomes("batch", "b.jsonl", code=5)
    assert "journaled for other" in ended["k0"]["error"]
    assert set(here.executed.values()) == {1}


def test_the_time_out_of_the_command_is_for_lines_without(desk):
    here = desk(LASTING)
    line = {"workflow_id": "mdlasts", "key": "a", "params": {"n": 1}}
    here.write("b.jsonl", [line])
    assert here.outcomes("batch", "b.jsonl", "--timeout", "3", code=3)
    here.write("b.jsonl", [{**line, "timeout": 30}])
    ended = here.outcomes("batch", "b.jsonl", "--timeout", "3")
    assert ended["a"]["status"] == "SUCCEEDED"
    assert here.executed == {1: 1}


def test_after_the_first_that_goes_wrong_nothing_more_is_started(desk):
    here = desk(FAILING, *QUICK)
    fails = {"workflow_id": "mdfails", "key": "f", "params": {"n": 90}}
    here.write("b.jsonl", [fails, *requests(40, workflows=1)])
    words = ("batch", "b.jsonl", "--fail-fast", "--concurrency", "2")
    ended = here.outcomes(*words, code=1)
    statuses = {record["status"] for record in ended.values()}
    assert ended.keys() == {"f", *(f"k{n}" for n in range(40))}
    assert "NOT_STARTED" in statuses
    assert len(here.executed) < 20


def test_what_failed_is_run_again_when_that_is_asked_for(desk):
    fails = [True]
    here = desk(SimulatedWorkflow("mdfails", fails=lambda _: fails[0]), *QUICK)
    again = {"workflow_id": "mdfails", "key": "f", "params": {"n": 90}}
    here.write("b.jsonl", [again, *requests(5)])
    words = ("batch", "b.jsonl", "--out", "out.csv")
    assert here.outcomes(*words, code=1)["f"]["status"] == "FAILED"
    assert here.outcomes(*words, code=1)["f"]["status"] == "FAILED"
    assert here.executed[90] == 1
    fails[0] = False
    assert here.outcomes(*words, "--retry-failed")["f"]["status"] == "SUCCEEDED"
    assert here.executed == {90: 2, **dict.fromkeys(range(5), 1)}
    rows, counts = kept(here.folder / "out.csv")
    assert {row["status"] for row in rows} == {"SUCCEEDED"}
    assert counts == dict.fromkeys(("f", *(f"k{n}" for n in range(5))), 1)


def test_ordered_outcomes_come_in_the_order_of_the_file(desk):
    here = desk(duration=(0.01, 0.3))
    here.write("b.jsonl", requests(30))
    _, out, _ = here.dpa("batch", "b.jsonl", "--ordered")
    keys = [json.loads(line)["key"] for line in out.splitlines()]
    assert keys == [f"k{n}" for n in range(30)]


def test_a_wrong_secret_is_told_once(desk, monkeypatch):
    here = desk()
    here.write("b.jsonl", requests(20))
    monkeypatch.setenv("DPA_CLIENT_SECRET", "wrong")
    code, out, err = here.dpa("batch", "b.jsonl")
    assert (code, out) == (5, "")
    assert len(err.splitlines()) == 1
    assert not (here.folder / "b.jsonl.journal").exists()


def test_as_a_document_and_as_a_table(desk):
    here = desk(FAILING, *QUICK)
    fails = {"workflow_id": "mdfails", "key": "f", "params": {"n": 90}}
    here.write("b.jsonl", [fails, *requests(3)])
    code, out, err = here.dpa("batch", "b.jsonl", "-o", "json")
    assert code == 1
    assert {record["key"] for record in json.loads(out)} == {"f", "k0", "k1", "k2"}
    assert "f: run dpa-run:1:mdfails:" in err
    assert "4 runs: 3 SUCCEEDED, 1 FAILED" in err
    code, out, _ = here.dpa("batch", "b.jsonl", "-o", "table")
    rows = [line.split() for line in out.splitlines()]
    assert rows.index(["SUCCEEDED", "3"]) < rows.index(["FAILED", "1"])
    code, out, err = here.dpa("batch", "b.jsonl", "--quiet")
    assert (code, err) == (1, "")
    assert len(out.splitlines()) == 4


def test_a_picture_of_it(desk):
    here = desk()
    here.write("b.jsonl", requests(5))
    assert here.dpa("batch", "b.jsonl", "--report", "b.html")[0] == 0
    assert "k4" in (here.folder / "b.html").read_text()
    code, out, _ = here.dpa("report", "b.jsonl.journal", "--title", "Night")
    assert code == 0
    page = here.folder / json.loads(out)["report"]
    assert page.name == "b.jsonl.journal.html"
    assert "<title>Night" in page.read_text()
    code, _, err = here.dpa("batch", "b.jsonl", "--report", "b.jsonl")
    assert code == 2
    assert "end its name in .html" in err


def test_an_option_that_is_not_known_is_no_file(desk):
    here = desk()
    for words in (["--chek"], ["b.jsonl", "--chek"], []):
        code, _, err = here.dpa("batch", *words)
        assert code == 2
        assert "usage: dpa batch --help" in err


def test_standard_input_is_kept_until_it_is_checked(desk):
    here = desk()
    text = here.write("b.jsonl", requests(5)).read_text()
    code, _, err = here.dpa("batch", "-")
    assert code == 2
    assert "give --journal" in err
    for _ in range(2):
        process = here.process("batch", "-", "--journal", "b.journal", stdin=-1)
        out, err = process.communicate(text)
        assert process.returncode == 0, err
        assert len(out.splitlines()) == 5
    assert set(here.executed.values()) == {1}
    process = here.process("batch", "-", "--check", stdin=-1)
    assert "stdin:1: is not JSON" in process.communicate("?")[1]


@pytest.mark.parametrize("grows", [True, False])
def test_a_file_that_changes_while_it_is_run_is_not_read_any_further(desk, grows):
    here = desk(duration=0.05)
    path = here.write("b.jsonl", requests(500, workflows=100))
    process = here.process("batch", "b.jsonl", "--concurrency", "20")
    process.stdout.readline()
    if grows:
        with path.open("a") as file:
            file.write('{"workflow_id": "md0001", "params": {"n": 9999}}\n')
    else:
        path.write_text("?\n")
    _, err = process.communicate()
    assert process.returncode == 2, err
    assert "b.jsonl changed after it was checked" in err
    assert len(here.executed) < 500
    assert set(here.executed.values()) == {1}


def test_a_file_that_is_replaced_while_it_is_run_is_run_as_it_was(desk):
    here = desk(duration=0.05)
    path = here.write("b.jsonl", requests(150, workflows=50))
    process = here.process("batch", "b.jsonl", "--concurrency", "50")
    process.stdout.readline()
    here.write("new.jsonl", requests(1)).replace(path)
    _, err = process.communicate()
    assert process.returncode == 0, err
    assert here.executed == dict.fromkeys(range(150), 1)


def test_an_outcome_file_of_something_else_is_left_as_it_is(desk):
    here = desk()
    here.write("b.jsonl", requests(3))
    for name, text in (
        ("notes.jsonl", "my notes\n"),
        ("list.jsonl", "[1]\n"),
        ("table.csv", "a,b\n1,2\n"),
        ("b.jsonl", (here.folder / "b.jsonl").read_text()),
    ):
        (here.folder / name).write_text(text)
        code, _, err = here.dpa("batch", "b.jsonl", "--out", name)
        assert code == 2, name
        assert "is no outcome file: line 1" in err
        assert (here.folder / name).read_text() == text
    assert here.dpa("batch", "b.jsonl", "--out", "out.txt")[0] == 2
    assert here.dpa("batch", "b.jsonl", "--out", "b.jsonl.journal")[0] == 2
    assert not here.executed


def test_outcomes_of_another_journal_are_not_thrown_away(desk):
    here = desk()
    here.write("b.jsonl", requests(3))
    here.outcomes("batch", "b.jsonl", "--out", "out.jsonl")
    before = (here.folder / "out.jsonl").read_bytes()
    words = ("batch", "b.jsonl", "--out", "out.jsonl", "--journal", "other")
    code, _, err = here.dpa(*words)
    assert code == 2
    assert "has outcomes of another journal (line 1" in err
    assert (here.folder / "out.jsonl").read_bytes() == before
    assert set(here.executed.values()) == {1}


def test_the_outcome_file_grows_while_the_batch_goes_on(desk):
    here = desk(LASTING, *QUICK)
    lasting = {"workflow_id": "mdlasts", "key": "l", "params": {"n": 91}}
    here.write("b.jsonl", [lasting, *requests(5)])
    process = here.process("batch", "b.jsonl", "--out", "out.jsonl")
    out = here.folder / "out.jsonl"
    for _ in range(3_000):
        if out.exists() and len(out.read_bytes().splitlines()) == 5:
            break
        time.sleep(0.01)  # noqa: TID251 - no loop runs here
    assert process.poll() is None, "the lasting run is over, too"
    process.communicate()
    assert process.returncode == 0
    assert len(kept(out)[0]) == 6
