"""Every reader, on recorded bodies and on rubbish."""

import json
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, event, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from dpa_async import (
    AccessToken,
    BusinessError,
    Dialect,
    DPAError,
    Execution,
    InputVariable,
    NodeOutput,
    NodeOutputs,
    RunRef,
    RunStatus,
    Settings,
    UnexpectedResponseError,
)
from dpa_async.wire import json_text, replies, requests
from dpa_async.wire.messages import Reply

BASE = "https://dpa.example.com"
GOOD = {
    "base_url": BASE,
    "client_id": "made+Up/Id==",
    "client_secret": "made+up/Secret==",
    "execute_urls": "/execute/{workflow_id}",
}
SETTINGS = Settings(**GOOD)
RUN = RunRef(BASE, "mddaebe8b163", "in1606749734084")
IDS = {"instanceId": RUN.run_id, "modelId": RUN.workflow_id}
TOKEN = AccessToken("the-token-1234", 60)


@pytest.fixture(scope="module", params=["active", "standard"], autouse=True)
def decoder(request):
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "standard":
            patch.setattr(json_text, "_decode", json_text._standard_decode)
        yield


def ok(*data):
    """An envelope around data, or around none."""
    given = {"data": data[0]} if data else {}
    body = {"code": 200, "message": "success", **given, "unknown": [1]}
    return Reply(200, {}, json.dumps(body).encode())


def authorization_code(reply, settings=SETTINGS):
    return replies.authorization_code(requests.authorize(settings), reply)


def access_token(reply, settings=SETTINGS):
    request = requests.exchange_code(settings, "an-authorization-code")
    return replies.access_token(settings, request, reply)


def variables(reply, settings=SETTINGS):
    request = requests.list_variables(settings, "md1").authorized(TOKEN)
    return replies.variables(settings, request, reply)


def execution(reply, settings=SETTINGS):
    request = requests.execute(settings, RUN.workflow_id, None).authorized(TOKEN)
    return replies.execution(settings, RUN.workflow_id, request, reply)


def run_status(reply, settings=SETTINGS):
    request = requests.run_status(settings, RUN).authorized(TOKEN)
    return replies.run_status(settings, RUN, request, reply)


def workflows(reply, settings=SETTINGS):
    request = requests.list_workflows(settings).authorized(TOKEN)
    return replies.workflows(settings, request, reply)


def outputs(reply, settings=SETTINGS):
    request = requests.outputs(settings, RUN, designated_nodes_only=False)
    return replies.outputs(settings, request.authorized(TOKEN), reply)


READERS = [
    authorization_code,
    access_token,
    variables,
    execution,
    run_status,
    workflows,
    outputs,
]


def unexpected(read, reply, *words, settings=SETTINGS):
    with pytest.raises(UnexpectedResponseError) as caught:
        read(reply, settings)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    for word in words:
        assert word in caught.value.reason
    return caught.value


@pytest.mark.parametrize("read", READERS)
def test_every_reader_tells_a_refusal_and_a_proxy_by_its_operation(read):
    with pytest.raises(BusinessError, match="no such model") as refused:
        read(Reply(200, {}, b'{"code": 999, "message": "no such model"}'))
    error = unexpected(read, Reply(502, {}, b"<html>Bad Gateway"), "not a JSON object")
    assert refused.value.operation == error.operation != ""
    assert error.excerpt == "<html>Bad Gateway"


# 1: OAuth.


def test_a_code_and_a_token_are_read():
    assert authorization_code(ok({"code": "a+code==", "more": 1})) == "a+code=="
    token = access_token(ok({"token_type": "Bearer", "access_token": "opaque"}))
    assert token == AccessToken("opaque", 1800.0)
    usual = Settings(**GOOD, dialect=Dialect(token_lifetime=60))
    assert access_token(ok({"access_token": "opaque"}), usual).expires_in == 60.0


@pytest.mark.parametrize(
    "data",
    [
        *((), ("the-secret",), (["the-secret"],), ({},), ({"Code": "the-secret"},)),
        *(
            ({"code": bad, "access_token": bad, "x": "the-secret"},)
            for bad in (None, "")
        ),
        *(
            ({"code": bad, "access_token": bad, "x": "the-secret"},)
            for bad in (5, ["x"])
        ),
    ],
    ids=repr,
)
def test_no_code_and_no_token_are_told_without_an_excerpt(data):
    for read, what in ((authorization_code, "code"), (access_token, "access_token")):
        error = unexpected(read, ok(*data), f"no {what} in it")
        assert error.excerpt == ""
        assert "secret" not in str(error)


@pytest.mark.parametrize(
    "body",
    [
        b'{"access_token": "the-secret", "token_type": "Bearer"}',
        b'{"code": "the-secret"}',
        b'{"code": 200, "data": {"code": "the-secret", "access_token": "the-secret"},}',
    ],
)
@pytest.mark.parametrize("read", [authorization_code, access_token])
def test_a_code_or_token_in_another_shape_is_not_shown(read, body):
    assert "secret" not in str(unexpected(read, Reply(200, {}, body)))


# 2: variables.


def test_variables_are_read():
    rows = [{"name": "DPA_MODEL_WORKDIR", "type": "running"}, {"name": "n", "x": 1}]
    assert variables(ok(rows)) == [
        InputVariable("DPA_MODEL_WORKDIR", "running"),
        InputVariable("n", None),
    ]


@pytest.mark.parametrize("read", [variables, workflows, outputs])
def test_a_list_that_is_null_absent_or_empty_is_empty(read):
    for reply in (ok(None), ok(), ok([])):
        assert len(read(reply)) == 0


ROW = {"name": "n", "processModelId": "md1", "nodeName": "n"}


@pytest.mark.parametrize(
    "data",
    [
        *({}, {"rows": [ROW]}, "rows", "", 0, False, 5),
        *([[]], ["row"], [None], [5], [ROW, {}], [ROW, {"Name": "n"}]),
        *([dict.fromkeys(ROW, bad)] for bad in (None, "", " ", [], {}, True)),
    ],
    ids=repr,
)
@pytest.mark.parametrize("read", [variables, workflows, outputs])
def test_what_is_not_the_list_of_rows_is_unexpected(read, data):
    assert len(read(ok([ROW]))) == 1
    unexpected(read, ok(data), "not the list of rows that is documented")


# 3: execute.

OUT = [{"nodeName": "n", "result": "1"}]
OUTPUTS = NodeOutputs([NodeOutput("n", "1")])
STARTED = Execution(RUN)


@pytest.mark.parametrize(
    ("data", "started"),
    [
        (IDS, STARTED),
        ({"instanceId": RUN.run_id}, STARTED),
        *(({**IDS, "modelId": none}, STARTED) for none in (None, "", False, {})),
        (RUN.run_id, STARTED),
        ({"run": IDS, "other": {"x": 1}}, STARTED),
        ({"first": 1, "second": None, "data": IDS}, STARTED),
        ({**IDS, "status": "RUNNING"}, Execution(RUN, RunStatus.RUNNING)),
        ({**IDS, "status": None}, Execution(RUN, RunStatus.UNKNOWN)),
        (
            {**IDS, "status": "finish", "outs": OUT},
            Execution(RUN, RunStatus.SUCCEEDED, OUTPUTS),
        ),
        ({"x": {**IDS, "o": OUT}}, Execution(RUN, None, OUTPUTS)),
        ({**IDS, "outs": []}, STARTED),
        ({**IDS, "outs": [{"x": 1}]}, STARTED),
        ({**IDS, "outs": [{"nodeName": 5}]}, STARTED),
        ({**IDS, "outs": [*OUT, "text"]}, STARTED),
        # outputs that cannot be read do not lose the run
        ({**IDS, "outs": [{"nodeName": ""}]}, STARTED),
        ({**IDS, "outs": [*OUT, {"nodeName": " "}]}, STARTED),
    ],
    ids=repr,
)
def test_an_execute_answers_in_any_of_these_shapes(data, started):
    assert execution(ok(data)) == started


@pytest.mark.parametrize("number", [5, 10**18, 1.5])
def test_ids_that_are_numbers_are_text(number):
    by_number = {"instanceId": number, "modelId": RUN.workflow_id}
    assert execution(ok(by_number)).run.run_id == str(number)


@pytest.mark.parametrize(
    "data",
    [
        *((), (None,), ("",), (" \n",), (5,), (True,), ([],), ([IDS],), ({},)),
        *(
            ({**IDS, "instanceId": bad},)
            for bad in (None, "", " ", True, [], {}, ["i"])
        ),
        *(({**IDS, "modelId": bad},) for bad in (" ", True, [1], {"id": "md1"})),
        ({"modelId": RUN.workflow_id},),
        ({"a": {"b": IDS}},),
    ],
    ids=repr,
)
def test_an_execute_without_a_run_id_is_not_known_to_have_failed(data):
    error = unexpected(
        execution, ok(*data), "no instanceId; a run may have been started"
    )
    assert error.ref is None


@pytest.mark.parametrize(
    "data", [{**IDS, "modelId": "md2"}, {"x": {**IDS, "modelId": 5}}]
)
def test_an_execute_of_another_workflow_carries_its_run(data):
    error = unexpected(execution, ok(data), "started workflow", "'mddaebe8b163'")
    other = data.get("modelId", "5")
    assert error.ref == RunRef(BASE, other, RUN.run_id)
    assert error.http_status == 200


def with_reader(reader):
    return Settings(**GOOD, dialect=Dialect(execute_reader=reader))


def test_a_foreign_execute_answer_is_translated_by_the_dialect():
    def reader(data):
        return {"instanceId": data["run"][0], "status": data["state"]}

    settings = with_reader(reader)
    answer = execution(ok({"run": [RUN.run_id], "state": "FAIL"}), settings)
    assert answer == Execution(RUN, RunStatus.FAILED)
    assert execution(ok(), with_reader(lambda _: RUN.run_id)) == STARTED
    with pytest.raises(BusinessError):
        execution(Reply(200, {}, b'{"code": 999}'), settings)


@pytest.mark.parametrize("error", [KeyError, ZeroDivisionError, RecursionError])
def test_a_translation_that_raises_does_not_hide_that_a_run_may_be_there(error):
    def reader(data):
        raise error(data)

    words = f"execute_reader raised {error.__name__}"
    shown = unexpected(execution, ok(IDS), words, settings=with_reader(reader))
    assert RUN.run_id in shown.excerpt
    unexpected(execution, ok(IDS), "no instanceId", settings=with_reader(lambda _: 5))


# 4: status.


@pytest.mark.parametrize(
    "data",
    [
        *(None, {}, [IDS], "RUNNING", 5, {"status": "FINISH"}),
        *({**IDS, name: bad} for name in IDS for bad in (None, "", [], True)),
        *({name: IDS[name], "status": "FINISH"} for name in IDS),
    ],
    ids=repr,
)
def test_a_status_without_its_ids_is_unexpected(data):
    unexpected(run_status, ok(data), "no instanceId and modelId")


@pytest.mark.parametrize("changed", [{"instanceId": "in2"}, {"modelId": "md2"}])
def test_a_status_of_another_run_is_unexpected(changed):
    answer = ok({**IDS, **changed, "status": "FINISH"})
    unexpected(run_status, answer, "about another run")


# Rubbish.

DEEP = b"[" * 1000 + b"]" * 1000


@pytest.mark.parametrize(
    "body",
    [
        b'{"code":200,"data":{"instanceId":%s}}',
        b'{"code":200,"data":[{"nodeName":"n","name":"n","result":%s,"type":%s}]}',
        b'{"code":200,"data":{"instanceId":"i","modelId":%s,"o":[{"nodeName":%s}]}}',
        b'{"code":999,"message":%s}',
        b'{"code":%s}',
    ],
)
@pytest.mark.parametrize("read", READERS)
def test_what_is_nested_deep_is_an_error_of_ours_at_worst(read, body):
    with suppress(DPAError):
        assert read(Reply(200, {}, body.replace(b"%s", DEEP))) is not None


columns = [
    *("code", "message", "data", "access_token", "instanceId", "modelId", "status"),
    *("nodeName", "result", "name", "type", "processModelId", "modelName"),
    *("stepNums", "createUser", "createTime", "updateTime"),
]
names = st.sampled_from(columns)
leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters())
    | st.sampled_from([RUN.run_id, RUN.workflow_id, "FINISH", "2020-11-30", 200, "200"])
)
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner) | st.dictionaries(names | st.text(), inner),
    max_leaves=12,
)
bodies = st.one_of(
    st.binary(),
    values.map(lambda value: json.dumps(value).encode()),
    st.builds(lambda d: json.dumps({"code": 200, "data": d}).encode(), values),
    st.builds(lambda c, d: json.dumps({"code": c, "data": d}).encode(), leaves, values),
)
headers = st.dictionaries(
    st.sampled_from(["content-encoding", "date", "retry-after"]), st.text()
)


@hypothesis_settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(bodies, st.sampled_from([200, 200, 200, 401, 302, 404, 500, 502]), headers)
@example(b'{"code":200,"data":[{"name":"n","stepNums":1e999}]}', 200, {})
@example(b'{"code":200,"data":"\\ud800"}', 200, {})
def test_only_errors_of_ours_come_out_of_rubbish(body, status, headers):
    for read in READERS:
        try:
            read(Reply(status, headers, body))
        except DPAError as error:
            event(type(error).__name__)
            assert error.__context__ is None  # noqa: PT017 - either may happen
        else:
            event(f"{read.__name__} read it")
