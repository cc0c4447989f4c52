"""`run`, `wait`, `status`, `outputs`, `list`, `vars`: data, talk and exit codes."""

import io
import json

import pytest

from dpa_async import RunRef, Submission
from dpa_async.simulator import Fault


def test_a_run_gives_its_outputs_as_a_line_of_json(dpa):
    done = dpa("run", "good", "-p", "day=mon=1", "-p", "n=2")
    assert done.code == 0
    (line,) = done.out.splitlines()
    record = json.loads(line)
    assert record["status"] == "SUCCEEDED"
    assert RunRef.parse(record["ref"]).workflow_id == record["workflow_id"] == "good"
    (node,) = record["outputs"]
    assert node["node"] == "echo"
    assert json.loads(node["result"]) == {"day": "mon=1", "n": "2"}
    assert done.err == f"started {record['ref']}\n"


def test_what_a_run_gave_is_looked_at_later(dpa):
    ref = json.loads(dpa("run", "good", "--no-wait", "-q").out)["ref"]
    waited = dpa("wait", ref, "-o", "json")
    assert (waited.code, waited.err) == (0, "")
    assert json.loads(waited.out)["ref"] == ref
    assert waited.out.count("\n") > 5
    assert json.loads(dpa("status", ref).out)["status"] == "SUCCEEDED"
    assert json.loads(dpa("outputs", ref).out) == {"node": "echo", "result": "{}"}
    assert json.loads(dpa("outputs", ref, "-o", "json").out) == [
        {"node": "echo", "result": "{}"}
    ]


def test_parameters_come_from_a_file_or_standard_input_too(dpa, tmp_path, monkeypatch):
    file = tmp_path / "params.json"
    file.write_text('\ufeff{"n": 1, "day": "mon"}', encoding="utf-8")
    record = json.loads(dpa("run", "good", "--params", str(file), "-p", "day=tue").out)
    assert json.loads(record["outputs"][0]["result"]) == {"n": 1, "day": "tue"}
    monkeypatch.setattr("sys.stdin", io.StringIO('{"n": [1, null]}'))
    record = json.loads(dpa("run", "good", "--params", "-").out)
    assert json.loads(record["outputs"][0]["result"]) == {"n": [1, None]}


def test_no_outputs_are_read_where_none_are_wanted(dpa):
    record = json.loads(dpa("run", "good", "--no-outputs").out)
    assert record["outputs"] == []
    assert "not asked for" in record["outputs_unread"]


def test_a_list_and_a_workflows_parameters(dpa):
    done = dpa("list")
    rows = [json.loads(line) for line in done.out.splitlines()]
    assert {row["id"] for row in rows} == {"good", "bad", "slow", "lost"}
    assert done.err == "4 workflows\n"
    rows = [json.loads(line) for line in dpa("vars", "good").out.splitlines()]
    assert [row["name"] for row in rows] == ["day", "n"]
    done = dpa("vars", "bad")
    assert (done.out, done.err) == ("", "it takes no parameters\n")


def test_tables_are_for_people(dpa):
    lines = dpa("list", "-o", "table").out.splitlines()
    assert lines[0].split() == ["id", "name", "status", "updated_at"]
    assert any(line.split()[:2] == ["good", "good"] for line in lines)
    done = dpa("run", "good", "-p", "n=1", "-o", "table")
    fields = dict(line.split(maxsplit=1) for line in done.out.splitlines())
    assert fields["status"].strip() == "SUCCEEDED"
    assert fields["outputs"] == 'echo: {"n": "1"}'


def test_exit_1_a_run_failed(dpa):
    done = dpa("run", "bad")
    assert done.code == 1
    assert json.loads(done.out)["status"] == "FAILED"
    assert "ended in FAILED" in done.err


def test_exit_1_the_platform_refused(dpa):
    done = dpa("run", "unheard-of")
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("dpa: ")


@pytest.mark.parametrize(
    "words",
    [
        ("run",),
        ("run", "good", "-p", "n"),
        ("run", "good", "--timeout", "-1"),
        ("run", "good", "--timeout", "nan"),
        ("run", "good", "--params", "/nowhere/params.json"),
        ("run", "good", "--params", __file__),
        ("run", "good", "--output", "xml"),
        ("run", "good", "--client-secret", "s3cret"),
        ("status", "no-reference"),
        ("no-command",),
        ("list", "too", "many"),
        (),
    ],
    ids=" ".join,
)
def test_exit_2_usage(dpa, words):
    done = dpa(*words)
    assert (done.code, done.out) == (2, "")
    assert 1 <= len(done.err.splitlines()) <= 2
    assert "s3cret" not in done.err.replace("Unknown", "")


def test_exit_3_deadline_and_the_run_is_named(dpa):
    done = dpa("run", "slow", "--timeout", "2")
    assert done.code == 3
    ref = json.loads(done.out)["ref"]
    assert RunRef.parse(ref).workflow_id == "slow"
    waited = dpa("wait", ref, "--timeout", "0.1")
    assert waited.code == 3
    assert json.loads(waited.out)["ref"] == ref
    # Its workflow is busy with that run: nothing is started, and no run is named.
    queued = dpa("run", "slow", "--timeout", "0.5")
    assert (queued.code, queued.out) == (3, "")
    assert dpa("run", "slow", "--if-busy", "fail").code == 1


def test_exit_4_uncertain_and_the_submission_is_printed(dpa, platform):
    simulator, _ = platform
    simulator.faults.add("execute", Fault.answer_lost(), calls={1})
    done = dpa("run", "lost")
    simulator.faults.clear()
    assert done.code == 4
    submission = Submission.parse(json.loads(done.out)["submission"])
    assert submission.workflow_id == "lost"
    assert submission.sent_at is not None


def test_exit_5_configuration_and_authentication(dpa, environ):
    environ.setenv("DPA_CLIENT_SECRET", "wrong/Secret==")
    done = dpa("list")
    assert (done.code, done.out) == (5, "")
    assert "client id or secret is wrong" in done.err
    assert "wrong/Secret" not in done.err
    environ.delenv("DPA_BASE_URL")
    done = dpa("list")
    assert (done.code, done.out) == (5, "")
    assert "base_url is missing" in done.err
    assert "dpa config init" in done.err
