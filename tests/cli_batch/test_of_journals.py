"""`dpa resume` and `dpa settle`: going on with a journal, and a person's verdict."""

import json

from batch_desk import kept, requests

from dpa_async.simulator import Fault, SimulatedWorkflow

LASTING = SimulatedWorkflow("mdlasts", duration=7.0)
LINE = {"workflow_id": "mdlasts", "key": "l", "params": {"n": 91}}


def uncertain(desk):
    """Run a batch of two: the answer of one of the executes is lost."""
    here = desk()
    here.write("b.jsonl", requests(2))
    here.platform.faults.add("execute", Fault.answer_lost(), calls={1})
    ended = here.outcomes("batch", "b.jsonl", "--out", "out.jsonl", code=4)
    (key,) = (key for key, row in ended.items() if row["status"] == "UNCERTAIN")
    return here, key, int(key[1:])


def test_resume_waits_for_what_runs_and_completes_the_outcome_file(desk):
    here = desk(LASTING, *(SimulatedWorkflow(f"md{n:04}") for n in range(5)))
    here.write("b.jsonl", [LINE, *requests(5)])
    here.outcomes("batch", "b.jsonl", "--timeout", "5", code=3)
    resume = ("resume", "b.jsonl.journal", "--out", "out.jsonl")
    ended = here.outcomes(*resume, "--report", "b.html")
    assert ended.keys() == {"l"}
    assert ended["l"]["run_id"] == here.runs[91]
    rows, counts = kept(here.folder / "out.jsonl")
    assert counts == dict.fromkeys(("l", *(f"k{n}" for n in range(5))), 1)
    assert {row["status"] for row in rows} == {"SUCCEEDED"}
    assert "mdlasts" in (here.folder / "b.html").read_text()
    assert here.outcomes(*resume) == {}
    assert set(here.executed.values()) == {1}


def test_a_journal_that_is_not_there_is_not_made(desk):
    here = desk()
    for words in (["resume"], ["report"], ["settle", "k", "--did-not-run"]):
        words.insert(1, "nothing.journal")
        code, _, err = here.dpa(*words)
        assert code == 2
        assert "nothing.journal is no file" in err
    assert not (here.folder / "nothing.journal").exists()


def test_an_uncertain_start_that_ran_is_settled_and_gone_on_with(desk):
    here, key, n = uncertain(desk)
    assert here.outcomes("resume", "b.jsonl.journal", code=4).keys() == {key}
    ref = f"dpa-run:1:md{n:04}:{here.runs[n]}@{here.platform.url}"
    code, out, _ = here.dpa("settle", "b.jsonl.journal", key, "--ran", ref)
    assert code == 0
    assert json.loads(out)["run_id"] == here.runs[n]
    ended = here.outcomes("batch", "b.jsonl", "--out", "out.jsonl")
    assert ended[key]["ref"] == ref
    assert kept(here.folder / "out.jsonl")[1] == {"k0": 1, "k1": 1}
    assert set(here.executed.values()) == {1}


def test_an_uncertain_start_that_did_not_run_is_started_by_the_same_batch(desk):
    here, key, n = uncertain(desk)
    code, out, err = here.dpa("settle", "b.jsonl.journal", key, "--did-not-run")
    assert (code, json.loads(out)) == (0, {"key": key, "ran": False})
    assert "the same batch goes on with it" in err
    here.outcomes("batch", "b.jsonl", "--out", "out.jsonl")
    assert here.executed == {n: 2, 1 - n: 1}  # it had run: the verdict was wrong
    assert kept(here.folder / "out.jsonl")[1] == {"k0": 1, "k1": 1}


def test_a_verdict_that_cannot_be_right_is_refused(desk):
    here, key, n = uncertain(desk)
    other, ran = f"k{1 - n}", "dpa-run:1:md0000:in1@https://dpa.example.com"
    settle = ("settle", "b.jsonl.journal")
    assert here.dpa(*settle, key)[0] == 2
    assert here.dpa(*settle, key, "--ran", ran, "--did-not-run")[0] == 2
    assert here.dpa(*settle, key, "--ran", "rubbish")[0] == 2
    assert here.dpa(*settle, key, "--ran", ran)[0] == 5  # another platform's
    assert here.dpa(*settle, "nobody", "--did-not-run")[0] == 2
    code, _, err = here.dpa(*settle, other, "--did-not-run")
    assert code == 1
    assert "has a run" in err
    unknown = f"dpa-run:1:md{n:04}:in1@{here.platform.url}"
    assert here.dpa(*settle, key, "--ran", unknown)[0] == 1
