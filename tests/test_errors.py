"""The errors: one tree, each with its fields wherever it travels."""

import copy
import inspect
import pickle
import re
from datetime import UTC, datetime

import pytest
from attrs import evolve

import dpa_async
from dpa_async import errors
from dpa_async.errors import (
    API_ERRORS,
    APIError,
    AuthenticationError,
    BusinessError,
    ConfigurationError,
    DPAError,
    EndpointNotFoundError,
    InvalidParameterError,
    JournalError,
    NotStartedError,
    OperationFailedError,
    OutputsUnavailableError,
    RunError,
    RunFailedError,
    RunSuspendedError,
    RunTimeoutError,
    RunUnreachableError,
    ServerError,
    SubmissionError,
    SubmissionUncertainError,
    TransportError,
    UnexpectedResponseError,
    UserNotFoundError,
    WorkflowBusyError,
)
from dpa_async.models import (
    NodeOutput,
    NodeOutputs,
    RunRef,
    RunResult,
    RunStatus,
    Submission,
)
from dpa_async.simulator import Fault

NOW = datetime(2026, 3, 1, tzinfo=UTC)
REF = RunRef("https://dpa.example.com", "md1", "in1")
SUBMISSION = Submission("https://dpa.example.com", "k", "md1", "d", NOW, seen=("x",))
RESULT = RunResult(
    REF, RunStatus.FAILED, NodeOutputs([NodeOutput("n", "1")]), NOW, NOW, 3
)

SAMPLES = [
    DPAError("words"),
    ConfigurationError("words"),
    TransportError("execute", "reset", request_sent=True),
    TransportError("execute", "TLS", request_sent=False, permanent=True),
    UnexpectedResponseError(
        "execute", "why", http_status=502, excerpt="<html>", ref=REF, retry_after=2.5
    ),
    *(kind(123, "words", 200, "listAll") for kind in (APIError, *API_ERRORS.values())),
    *(
        kind(SUBMISSION, "words")
        for kind in (
            SubmissionError,
            WorkflowBusyError,
            NotStartedError,
            SubmissionUncertainError,
        )
    ),
    JournalError("words"),
    *(
        kind(REF, "words")
        for kind in (
            RunError,
            RunTimeoutError,
            RunUnreachableError,
            RunSuspendedError,
            OutputsUnavailableError,
        )
    ),
    RunFailedError(RESULT),
]
each_sample = pytest.mark.parametrize(
    "error", SAMPLES, ids=[f"{n}-{type(e).__name__}" for n, e in enumerate(SAMPLES)]
)


def subclasses(kind):
    """Give those of the package: other tests can have some of their own."""
    return [
        sub for sub in kind.__subclasses__() if sub.__module__.startswith("dpa_async.")
    ]


def real_tree(kind=DPAError):
    """Class to its subclasses' trees, as names."""
    return {sub.__name__: real_tree(sub) for sub in subclasses(kind)}


LINE = re.compile(
    r"^(?P<stem>(?:│   |    )*(?:├── |└── ))(?P<name>\w+)  +(?P<words>\S.*)"
)


def drawn_lines():
    for line in inspect.getdoc(errors).splitlines():
        if match := LINE.match(line.removeprefix("    ")):
            yield len(match["stem"]) // 4, match["name"], match["words"]


def drawn_tree():
    """The same, read off the drawing."""
    tree = {}
    path = [tree]
    for depth, name, _ in drawn_lines():
        del path[depth:]
        path[-1][name] = below = {}
        path.append(below)
    return tree


def test_the_drawing_is_the_tree():
    assert drawn_tree() == real_tree()
    assert list(drawn_tree()) == [*real_tree()]
    assert len([*drawn_lines()]) == 22


def test_the_drawing_has_the_codes():
    drawn = {
        int(code): name
        for _, name, words in drawn_lines()
        for code in re.findall(r"\b\d{3}\b", words)
    }
    assert drawn == {code: kind.__name__ for code, kind in API_ERRORS.items()}


def test_every_code_that_is_documented_has_its_class():
    assert dict(API_ERRORS) == {
        400: InvalidParameterError,
        403: AuthenticationError,
        404: EndpointNotFoundError,
        500: ServerError,
        503: ServerError,
        997: OperationFailedError,
        998: UserNotFoundError,
        999: BusinessError,
    }


def every_class(kind=DPAError):
    return [kind, *(each for sub in subclasses(kind) for each in every_class(sub))]


@pytest.mark.parametrize("kind", every_class())
def test_every_class_is_public_and_says_more_than_its_name(kind):
    assert getattr(dpa_async, kind.__name__) is kind
    assert "__doc__" in vars(kind)
    assert len(kind.__doc__.split()) > 7


def test_there_is_a_sample_of_every_class():
    assert {type(error) for error in SAMPLES} == {*every_class()}


# Wherever it travels.


def fields_of(error):
    return {name: text for name, text in vars(error).items() if name != "__notes__"}


def assert_same(twin, error):
    assert twin is not error
    assert type(twin) is type(error)
    assert twin.args == error.args
    assert str(twin) == str(error)
    assert fields_of(twin) == fields_of(error)
    assert twin.ref == error.ref
    assert twin.submission == error.submission
    assert twin.__notes__ == error.__notes__


@each_sample
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_an_error_survives_pickling(error, protocol):
    error = copy.copy(error)
    error.add_note("seen twice")
    twin = pickle.loads(pickle.dumps(error, protocol))  # noqa: S301 - our own
    assert_same(twin, error)


@each_sample
@pytest.mark.parametrize("make", [copy.copy, copy.deepcopy])
def test_a_copy_is_the_same_error_with_notes_of_its_own(error, make):
    error = copy.copy(error)
    error.add_note("seen twice")
    twin = make(error)
    assert_same(twin, error)
    twin.add_note("and once more")
    assert error.__notes__ == ["seen twice"]


@each_sample
def test_an_error_can_be_raised_again_from_its_copy(error):
    with pytest.raises(type(error)) as caught:
        raise copy.copy(error)
    assert str(caught.value) == str(error)


@pytest.mark.parametrize("kind", [NotStartedError, RunTimeoutError])
def test_a_deadline_is_a_timeout_error(kind):
    assert issubclass(kind, TimeoutError)
    others = {each for each in every_class() if issubclass(each, TimeoutError)}
    assert others == {NotStartedError, RunTimeoutError}


# What an error carries.


@each_sample
def test_an_error_names_the_run_and_the_submission_that_exist(error):
    has_run = isinstance(error, RunError | UnexpectedResponseError)
    assert error.ref == (REF if has_run else None)
    meant = isinstance(error, SubmissionError)
    assert error.submission == (SUBMISSION if meant else None)


@each_sample
def test_an_error_can_be_told_what_it_is_about_unless_it_knows(error):
    ref, submission = error.ref, error.submission
    error = copy.copy(error)
    other_ref = evolve(REF, run_id="another")
    other = evolve(SUBMISSION, key="another")
    assert error.about(ref=other_ref, submission=other) is error
    assert error.about() is error
    assert error.about(ref=REF, submission=SUBMISSION) is error
    assert error.ref == (ref or other_ref)
    assert error.submission == (submission or other)
    twin = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
    assert (twin.ref, twin.submission) == (error.ref, error.submission)


def test_the_fields_are_those_that_were_given():
    lost = TransportError("token", "reset", request_sent=True, permanent=True)
    assert (lost.operation, lost.reason) == ("token", "reset")
    assert (lost.request_sent, lost.permanent) == (True, True)
    assert not TransportError("token", "reset", request_sent=False).permanent
    odd = UnexpectedResponseError(
        "execute", "why", http_status=502, excerpt="<p>", ref=REF, retry_after=2.5
    )
    assert (odd.operation, odd.reason, odd.http_status) == ("execute", "why", 502)
    assert (odd.excerpt, odd.ref, odd.retry_after) == ("<p>", REF, 2.5)
    said = BusinessError(999, "words", 200, "execute")
    assert (said.code, said.message) == (999, "words")
    assert (said.http_status, said.operation) == (200, "execute")
    assert RunFailedError(RESULT).result is RESULT


# What a message says.


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            TransportError("execute", "reset", request_sent=True),
            (
                "execute: reset; it may have been carried out: look before you send it "
                "again"
            ),
        ),
        (
            TransportError("execute", "refused", request_sent=False),
            "execute: refused; it was not sent: it can be sent again",
        ),
        (
            TransportError("execute", "TLS", request_sent=False, permanent=True),
            "execute: TLS; it was not sent: mend that first",
        ),
        (
            UnexpectedResponseError("listAll", "a redirect", http_status=302),
            (
                "listAll: HTTP 302, a redirect; see who answers there, and check the "
                "settings' URLs"
            ),
        ),
        (
            UnexpectedResponseError("a", "b", http_status=502, excerpt="<p>"),
            (
                "a: HTTP 502, b; see who answers there, and check the settings' URLs: "
                "'<p>'"
            ),
        ),
        (
            UnexpectedResponseError(
                "a", "asks for 2 s", http_status=429, retry_after=0.0
            ),
            "a: HTTP 429, asks for 2 s; try again after that",
        ),
        (
            BusinessError(999, "no such model", 200, "execute"),
            (
                "execute: code 999 'no such model' (HTTP 200); a rule of the platform "
                "forbids it; its message says which"
            ),
        ),
        (
            UserNotFoundError(998, "", 200, "token"),
            "token: code 998 (HTTP 200); check user_id",
        ),
        (SubmissionError(SUBMISSION, "words"), "workflow 'md1': words"),
        (RunError(REF, "words"), f"run {REF}: words"),
        (
            RunFailedError(RESULT),
            f"run {REF}: it ended in FAILED; see .result.outputs (nodes 'n')",
        ),
        (
            RunFailedError(evolve(RESULT, outputs=NodeOutputs())),
            f"run {REF}: it ended in FAILED; see .result.outputs",
        ),
    ],
    ids=str,
)
def test_a_message_says_what_happened_and_what_to_do(error, words):
    assert str(error) == words


@pytest.mark.parametrize("kind", [APIError, *sorted(set(API_ERRORS.values()), key=str)])
def test_every_answer_of_no_has_advice_of_its_own(kind):
    assert kind.advice in str(kind(1, "m", 200, "op"))
    assert "advice" in vars(kind)


def test_a_message_names_a_handful_of_nodes_and_not_all():
    many = NodeOutputs([NodeOutput(f"n{n}", "x") for n in range(6)])
    words = str(RunFailedError(evolve(RESULT, outputs=many)))
    assert words.endswith("(nodes 'n0', 'n1', 'n2', 'n3', 'n4')")


# What hangs on: nothing foreign, since that could hold headers.


@pytest.mark.parametrize(
    "fault",
    [
        Fault.refused(),
        Fault.reset(),
        Fault.stall(),
        Fault.html(502),
        Fault.empty(),
        Fault.garbage(b'{"code": 200, "data": [{}]}'),
        Fault.body_cut(20),
        Fault.body_code(403),
        Fault.body_code(999),
        Fault.redirect("https://elsewhere.example"),
    ],
    ids=repr,
)
def test_nothing_hangs_on_to_an_error_of_the_client(in_memory, fault):
    async def test(platform, client):
        platform.faults.add("listAll", fault)
        with pytest.raises(DPAError) as caught:
            await client.list_workflows()
        assert caught.value.__cause__ is None
        assert caught.value.__context__ is None

    in_memory(test)
