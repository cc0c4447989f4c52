"""The values that callers hold, and the events that are made of them."""

import copy
import json
import pickle
from datetime import UTC, datetime, timedelta, timezone

import attrs
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dpa_async import events
from dpa_async.models import (
    AccessToken,
    Execution,
    InputVariable,
    NodeOutput,
    NodeOutputs,
    RunRef,
    RunRequest,
    RunResult,
    RunStatus,
    Submission,
    Workflow,
    WorkflowStatus,
)

patiently = settings(deadline=None)

NOW = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
REF = RunRef("https://dpa.example.com", "mddaebe8b163", "in1606749734084")
OUTPUTS = NodeOutputs(
    [NodeOutput("a", "1"), NodeOutput("b", '{"x": [1]}'), NodeOutput("a", None)]
)
SUBMISSION = Submission(
    "https://dpa.example.com",
    "k",
    "md1",
    Submission.digest({"n": 1}),
    NOW,
    "ab",
    ("x",),
)

VALUES = [
    AccessToken("value", 60.0),
    Execution(REF, RunStatus.RUNNING, OUTPUTS),
    InputVariable("n", "running"),
    NodeOutput("a", "1"),
    OUTPUTS,
    REF,
    RunRequest("md1", key="k", timeout=1.0),
    RunResult(REF, RunStatus.FAILED, OUTPUTS, NOW, NOW, 3),
    SUBMISSION,
    Workflow("md1", "name", WorkflowStatus.RUNNING, 3, "me", NOW, NOW),
    events.Queued("k", "md1"),
    events.Submitted("k", REF),
    events.Uncertain(SUBMISSION),
    events.Looked(REF, None, "schedule"),
    events.Dropped(REF, 3),
    events.StatusChanged(REF, RunStatus.DEFAULT, RunStatus.RUNNING),
    events.Ended(REF, RunStatus.SUCCEEDED, NOW),
    events.OutputsRead(REF, OUTPUTS),
    events.Detached(REF),
]
each_value = pytest.mark.parametrize("value", VALUES, ids=lambda v: type(v).__name__)


@each_value
def test_a_value_is_frozen(value):
    name = attrs.fields(type(value))[0].name
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        setattr(value, name, "something else")


@each_value
def test_a_value_compares_and_hashes_by_what_it_holds(value):
    twin = copy.deepcopy(value)
    assert twin is not value
    assert twin == value
    assert hash(twin) == hash(value)
    name = attrs.fields(type(value))[0].name
    other = [] if name == "nodes" else "something else"
    assert attrs.evolve(value, **{name: other}) != value


@each_value
def test_a_value_survives_pickling(value):
    assert pickle.loads(pickle.dumps(value)) == value  # noqa: S301 - our own


def test_a_requests_key_and_timeout_are_named_where_there_are_any():
    assert RunRequest("md1", {"n": 1}) == RunRequest(
        workflow_id="md1", params={"n": 1}, key=None, timeout=None
    )
    with pytest.raises(TypeError):
        RunRequest("md1", None, "k")


@pytest.mark.parametrize("kind", [RunStatus, WorkflowStatus])
def test_statuses_share_their_names(kind):
    names = {"DEFAULT", "RUNNING", "SUSPENDED", "SUCCEEDED", "FAILED", "UNKNOWN"}
    assert {status.name for status in kind} == names
    assert all(status.name == status.value for status in kind)


def test_only_success_and_failure_are_ends():
    ends = {status for status in RunStatus if status.ended}
    assert ends == {RunStatus.SUCCEEDED, RunStatus.FAILED}


def test_a_workflow_that_runs_or_is_suspended_is_busy():
    busy = {status for status in WorkflowStatus if status.busy}
    assert busy == {WorkflowStatus.RUNNING, WorkflowStatus.SUSPENDED}


# Run references.

any_id = st.text(st.characters(), min_size=1)  # surrogates and all
an_origin = st.sampled_from(
    [
        "https://dpa.example.com",
        "http://127.0.0.1:8080/with/prefix",
        "https://[::1]:8443",
        "https://dpa.example.com/a@b:c",
    ]
)


def test_a_run_reference_looks_like_this():
    assert str(REF) == "dpa-run:1:mddaebe8b163:in1606749734084@https://dpa.example.com"
    assert RunRef.parse(f"  {REF}\n") == REF
    odd = str(RunRef("http://127.0.0.1:80/p", "a/b:c@d", "e f%"))
    assert odd == "dpa-run:1:a%2Fb%3Ac%40d:e%20f%25@http://127.0.0.1:80/p"


@patiently
@given(an_origin, any_id, any_id)
@example("https://dpa.example.com", "\ud800", "\x00")
def test_a_run_reference_is_read_as_it_was_written(origin, workflow_id, run_id):
    ref = RunRef(origin, workflow_id, run_id)
    text = str(ref)
    assert RunRef.parse(text) == ref
    assert text.isascii()
    assert text.isprintable()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "in1606749734084",
        "mddaebe8b163:in1606749734084@https://dpa.example.com",
        "dpa-run:2:md:in@https://dpa.example.com",
        "dpa-run:1:",
        "dpa-run:1:md:in",
        "dpa-run:1:md:in@",
        "dpa-run:1::in@https://dpa.example.com",
        "dpa-run:1:md:@https://dpa.example.com",
        "dpa-run:1:md@https://dpa.example.com",
        "dpa-run:1:%ff:in@https://dpa.example.com",
        str(SUBMISSION),
    ],
)
def test_what_is_no_run_reference_is_refused_with_an_example(text):
    with pytest.raises(ValueError, match="not a run reference") as caught:
        RunRef.parse(text)
    assert "dpa-run:1:<workflow id>:<run id>@" in str(caught.value)
    assert caught.value.__context__ is None


@patiently
@given(st.text(), st.sampled_from(["", "dpa-run:1:", "dpa-submission:1:"]))
def test_garbage_is_a_value_error_whatever_it_is(text, prefix):
    for kind in (RunRef, Submission):
        try:
            parsed = kind.parse(prefix + text)
        except ValueError as error:
            assert "not a " in str(error)  # noqa: PT017 - either may happen
        else:
            assert kind.parse(str(parsed)) == parsed


# Submissions.


@patiently
@given(
    st.builds(
        Submission,
        origin=an_origin,
        key=st.text(st.characters()),
        workflow_id=any_id,
        params_digest=st.just(Submission.digest(None)),
        sent_at=st.none()
        | st.datetimes(
            datetime(1970, 1, 2),  # noqa: DTZ001 - hypothesis wants it so
            datetime(2200, 1, 1),  # noqa: DTZ001
            timezones=st.sampled_from([UTC, timezone(timedelta(hours=8))]),
        ),
        nonce_sha256=st.none() | st.text(min_size=1),
        seen=st.lists(st.text(st.characters()), max_size=3).map(tuple),
    )
)
def test_a_submission_is_read_as_it_was_written(submission):
    text = str(submission)
    assert text.startswith("dpa-submission:1:")
    assert "\n" not in text
    assert Submission.parse(text) == submission


GOOD = ["o", "k", "w", "d", None, None, []]


@pytest.mark.parametrize(
    "values",
    [
        [],
        GOOD[:-1],
        [*GOOD, "more"],
        {str(n): value for n, value in enumerate(GOOD)},
        [*GOOD[:6], "seen"],
        [*GOOD[:6], [1]],
        [*GOOD[:6], None],
        [1, *GOOD[1:]],
        [*GOOD[:2], None, *GOOD[3:]],
        [*GOOD[:5], 7, []],
        [*GOOD[:4], "yesterday", None, []],
        [*GOOD[:4], 1e300, None, []],
        [*GOOD[:4], float("nan"), None, []],
    ],
    ids=repr,
)
def test_a_submission_of_another_shape_is_refused(values):
    with pytest.raises(ValueError, match="not a submission") as caught:
        Submission.parse("dpa-submission:1:" + json.dumps(values))
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    "text",
    [
        "dpa-submission:2:" + json.dumps(GOOD),
        json.dumps(GOOD),
        "dpa-submission:1:" + "[" * 100_000,
        str(REF),
    ],
    ids=["version", "prefix", "deep", "reference"],
)
def test_what_is_no_submission_is_refused(text):
    assert Submission.parse("dpa-submission:1:" + json.dumps(GOOD)).key == "k"
    with pytest.raises(ValueError, match="not a submission") as caught:
        Submission.parse(text)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1, "b": {"x": 1, "y": 2}}, {"b": {"y": 2, "x": 1}, "a": 1}),
        ({}, None),
        ({"a": (1, 2)}, {"a": [1, 2]}),
    ],
)
def test_the_digest_is_of_the_parameters_alone_and_not_of_their_order(one, other):
    assert Submission.digest(one) == Submission.digest(other)


def test_the_digest_is_the_sha256_of_canonical_json():
    # printf '{"a":"é","b":1}' | sha256sum
    written = "aa58fba8483623bed37c1b02edfccbdd9a53123837c20bfa4cb4049993a2872e"
    assert Submission.digest({"b": 1, "a": "é"}) == written


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1}, {"a": 2}),
        ({"a": 1}, {"b": 1}),
        ({"a": 1}, {"a": "1"}),
        ({"a": 1}, {}),
    ],
)
def test_other_parameters_have_another_digest(one, other):
    assert Submission.digest(one) != Submission.digest(other)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (float("nan"), ValueError),
        (float("inf"), ValueError),
        ("\ud800", ValueError),
        (NOW, TypeError),
        ({1}, TypeError),
    ],
    ids=repr,
)
def test_what_is_not_json_has_no_digest(value, kind):
    with pytest.raises(kind):
        Submission.digest({"a": value})


# Outputs.


def test_outputs_are_a_sequence_in_the_platforms_order():
    assert len(OUTPUTS) == 3
    assert list(OUTPUTS) == [*OUTPUTS.nodes]
    assert OUTPUTS[0] == NodeOutput("a", "1")
    assert OUTPUTS[-1] == NodeOutput("a", None)
    assert OUTPUTS[1:] == OUTPUTS.nodes[1:]
    assert OUTPUTS.index(NodeOutput("a", None)) == 2
    assert not NodeOutputs()
    with pytest.raises(IndexError):
        OUTPUTS[3]


def test_a_name_gives_the_first_result_and_all_gives_each():
    assert OUTPUTS["a"] == "1"
    assert OUTPUTS.all("a") == ["1", None]
    assert OUTPUTS.all("b") == ['{"x": [1]}']


def test_in_asks_for_a_name_or_an_output():
    assert "a" in OUTPUTS
    assert NodeOutput("a", "1") in OUTPUTS
    assert "c" not in OUTPUTS
    assert NodeOutput("a", "2") not in OUTPUTS


@pytest.mark.parametrize("ask", [NodeOutputs.all, NodeOutputs.json, lambda o, n: o[n]])
def test_a_name_that_is_not_there_is_answered_with_those_that_are(ask):
    with pytest.raises(KeyError) as caught:
        ask(OUTPUTS, "c")
    words = "no output of node 'c'; nodes with outputs: 'a', 'b'"
    assert caught.value.args == (words,)


def test_a_name_among_no_outputs_is_answered_with_none():
    with pytest.raises(KeyError, match="nodes with outputs: none"):
        NodeOutputs()["c"]


def test_a_name_among_unread_outputs_is_answered_with_why():
    with pytest.raises(KeyError, match="no output of node 'c': it was late"):
        NodeOutputs(unread="it was late")["c"]


def test_a_result_that_is_json_in_text_is_decoded():
    assert OUTPUTS.json("a") == 1
    assert OUTPUTS.json("b") == {"x": [1]}
    assert NodeOutputs([NodeOutput("n")]).json("n") is None


@pytest.mark.parametrize(
    "result",
    ["", "plain text", "{", "[" * 100_000, "1" * 5000],
    ids=["empty", "text", "cut", "deep", "long"],
)
def test_a_result_that_is_not_json_is_a_value_error(result):
    outputs = NodeOutputs([NodeOutput("n", result)])
    with pytest.raises(ValueError, match=r"."):
        outputs.json("n")


def test_a_token_is_in_no_repr():
    token = AccessToken("eyJ.secret.token", 60.0)
    for shown in (repr(token), str(token), f"{token}", repr([token])):
        assert "secret" not in shown
        assert "60" in shown


def test_no_event_is_made_where_nobody_listens():
    def kind():
        pytest.fail("made for nobody")

    events.Announcer()(kind)
