"""Outcomes as text: what comes back is what went in, and nothing else ever does."""

import json
import pickle
from datetime import UTC, datetime

import pytest

from dpa_async import (
    BusinessError,
    ConfigurationError,
    DPAError,
    NodeOutput,
    NodeOutputs,
    NotStartedError,
    RunFailedError,
    RunRef,
    RunResult,
    RunStatus,
    RunTimeoutError,
    Submission,
    SubmissionUncertainError,
    TransportError,
    UnexpectedResponseError,
)
from dpa_async.integrations.outcome_text import read_outcome, write_outcome

REF = RunRef("https://dpa.example.com/p", "md 1", "r:1")
SENT = Submission(
    REF.origin, "a", "md 1", "0" * 64, datetime.now(UTC), "1" * 64, ("seen", "窗")
)
RESULTS = [
    RunResult(REF, RunStatus.SUCCEEDED, NodeOutputs(), None, datetime.now(UTC), 3),
    RunResult(
        REF,
        RunStatus.FAILED,
        NodeOutputs([NodeOutput("节点", '{"a": 1}'), NodeOutput("n")], "half read"),
        datetime.now(UTC),
        datetime.now(UTC),
        1,
    ),
]


class OwnError(BusinessError):
    """Somebody's own kind."""


def noted():
    error = RunTimeoutError(REF, "late")
    error.add_note("nor could it be written down")
    return error.about(submission=SENT)


ERRORS = [
    ConfigurationError("wrong"),
    TransportError("execute", "no route", request_sent=False, permanent=True),
    UnexpectedResponseError("execute", "odd", http_status=502, excerpt="<", ref=REF),
    BusinessError(999, "忙", 200, "execute").about(submission=SENT),
    NotStartedError(SENT, "late"),
    SubmissionUncertainError(SENT, "lost"),
    RunFailedError(RESULTS[1]),
    noted(),
]


@pytest.mark.parametrize("result", RESULTS)
def test_a_result_comes_back_as_it_was(result):
    assert read_outcome(write_outcome(result)) == result


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_an_error_comes_back_as_it_was(error):
    back = read_outcome(write_outcome(error))
    assert type(back) is type(error)
    assert vars(back) == vars(error)
    assert back.args == error.args
    assert (back.ref, back.submission) == (error.ref, error.submission)
    assert vars(pickle.loads(pickle.dumps(back))) == vars(error)  # noqa: S301 - our own


def test_an_error_of_somebody_else_s_kind_comes_back_as_the_nearest_of_ours():
    back = read_outcome(write_outcome(OwnError(999, "busy", 200, "execute")))
    assert type(back) is BusinessError
    assert back.code == 999


@pytest.mark.parametrize(
    "value",
    [
        None,
        {},
        [],
        "text",
        {"ref": str(REF)},
        {"ref": 5},
        {"result": []},
        {"result": None},
        {"error": ["DPAError", [], {}], "result": []},
        {"error": ["Mapping", [], {}]},
        {"error": ["os.system", ["true"], {}]},
        {"error": ["DPAError", [{"module": "os"}], {}]},
    ],
    ids=json.dumps,
)
def test_what_is_no_outcome_is_refused(value):
    with pytest.raises(ValueError, match="not the outcome of a run"):
        read_outcome(json.dumps(value))


def test_what_is_no_json_is_refused():
    for text in ("", "{", "[" * 100_000):
        with pytest.raises(ValueError, match="not the outcome of a run"):
            read_outcome(text)


def test_every_error_of_the_library_is_known():
    def below(kind):
        return {kind}.union(*map(below, kind.__subclasses__()))

    ours = {kind for kind in below(DPAError) if kind.__module__ == "dpa_async.errors"}
    assert len(ours) > 15
    for kind in ours:
        error = kind.__new__(kind)
        error._meant = SENT
        error._run = REF
        assert type(read_outcome(write_outcome(error))) is kind
