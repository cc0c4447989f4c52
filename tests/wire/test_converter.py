"""Words, times and columns of the platform, read tolerantly."""

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest

from dpa_async import Dialect, RunRef, RunStatus, Settings, Workflow, WorkflowStatus
from dpa_async.wire import json_text, replies, requests
from dpa_async.wire.messages import Reply

BASE = "https://dpa.example.com"
RUN = RunRef(BASE, "mddaebe8b163", "in1606749734084")
IDS = {"instanceId": RUN.run_id, "modelId": RUN.workflow_id}


@pytest.fixture(scope="module", params=["active", "standard"], autouse=True)
def decoder(request):
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "standard":
            patch.setattr(json_text, "_decode", json_text._standard_decode)
        yield


def with_zone(timezone):
    dialect = Dialect(timezone=timezone)
    return Settings(base_url=BASE, client_id="id", client_secret="s", dialect=dialect)


def ok(data):
    return Reply(200, {}, json.dumps({"code": 200, "data": data}).encode())


def run_status(data):
    settings = with_zone(UTC)
    request = requests.run_status(settings, RUN)
    return replies.run_status(settings, RUN, request, ok(data))


def workflows(rows, timezone=UTC):
    settings = with_zone(timezone)
    return replies.workflows(settings, requests.list_workflows(settings), ok(rows))


def outputs(rows):
    settings = with_zone(UTC)
    request = requests.outputs(settings, RUN, designated_nodes_only=False)
    return replies.outputs(settings, request, ok(rows))


# Statuses.

WORDS = [
    ("DEFAULT", "DEFAULT"),
    ("RUNNING", "RUNNING"),
    ("PENDING", "SUSPENDED"),
    ("FINISH", "SUCCEEDED"),
    ("success", "SUCCEEDED"),
    ("FAIL", "FAILED"),
    *((word, "UNKNOWN") for word in ("", "FINISHED", "DONE", "SUCCEEDED", "执行中")),
    *((word, "UNKNOWN") for word in (None, 5, True, ["FAIL"], {"FINISH": 1})),
]


@pytest.mark.parametrize(("word", "name"), WORDS, ids=repr)
def test_both_vocabularies_are_read_in_any_case_and_an_unknown_word_is_no_end(
    word, name
):
    cases = [word]
    if isinstance(word, str):
        cases = [word, word.lower(), word.upper(), word.title(), f" {word}\n"]
    for written in cases:
        status = run_status({**IDS, "status": written})
        assert status is RunStatus[name]
        assert status.ended == (name in {"SUCCEEDED", "FAILED"})
        (row,) = workflows([{"processModelId": "md1", "status": written}])
        assert row.status is WorkflowStatus[name]


def test_a_word_that_is_known_only_in_capitals_is_not_known():
    word = "\N{LATIN SMALL LIGATURE FI}nish"
    assert word.upper() == "FINISH"
    assert run_status({**IDS, "status": word}) is RunStatus.UNKNOWN


def test_a_status_that_is_not_there_is_unknown():
    assert run_status({**IDS, "more": 1}) is RunStatus.UNKNOWN


# Workflows.

CREATED = datetime(2020, 11, 30, 15, 22, 14, 84_000, tzinfo=UTC)
SAMPLE = {
    "processModelId": "md1606743910508",
    "modelName": " 测试 流程",
    "stepNums": 3,
    "status": "RUNNING",
    "createUser": "am10080",
    "createTime": 1606749734084,
    "updateTime": None,
}


def test_a_workflow_is_read():
    assert workflows([SAMPLE, {"processModelId": 5}]) == [
        Workflow(
            "md1606743910508",
            "测试 流程",
            WorkflowStatus.RUNNING,
            3,
            "am10080",
            CREATED,
            None,
        ),
        Workflow("5"),
    ]


@pytest.mark.parametrize(
    ("column", "value", "field", "read"),
    [
        ("modelName", None, "name", ""),
        ("modelName", 5, "name", "5"),
        ("stepNums", "3", "step_count", None),
        ("stepNums", 3.9, "step_count", 3),
        ("stepNums", True, "step_count", None),
        ("createUser", None, "created_by", None),
        ("createUser", {"id": "é"}, "created_by", '{"id": "é"}'),
    ],
)
def test_columns_of_other_types_are_taken_as_they_come(column, value, field, read):
    (row,) = workflows([{**SAMPLE, column: value}])
    assert getattr(row, field) == read


EAST = timezone(timedelta(hours=8))


@pytest.mark.parametrize(
    ("value", "time"),
    [
        (1606749734084, CREATED),
        (1606749734, CREATED.replace(microsecond=0)),
        (1606749734.084, CREATED),
        (0, datetime(1970, 1, 1, tzinfo=UTC)),
        (-1606749734084, datetime(1919, 2, 1, 8, 37, 45, 916_000, tzinfo=UTC)),
        (99_999_999_999, datetime(5138, 11, 16, 9, 46, 39, tzinfo=UTC)),
        (100_000_000_000, datetime(1973, 3, 3, 9, 46, 40, tzinfo=UTC)),
        ("2020-11-30T15:22:14.084Z", CREATED),
        ("2020-11-30T23:22:14.084+08:00", CREATED),
        (" 2020-11-30 23:22:14.084\n", CREATED),
        ("2020-11-30", datetime(2020, 11, 30, tzinfo=EAST)),
        *((absurd, None) for absurd in (10**30, -(10**30), 10**300, 1e300, 10**17)),
        *(
            (rubbish, None)
            for rubbish in ("", "yesterday", "1606749734084", "2020-13-01")
        ),
        *((other, None) for other in (None, True, [], {}, [2020, 11, 30])),
    ],
    ids=repr,
)
def test_times_come_as_numbers_or_text_or_not_at_all(value, time):
    row = {"processModelId": "md1", "createTime": value, "updateTime": value}
    (read,) = workflows([row], EAST)
    assert (read.created_at, read.updated_at) == (time, time)
    assert time is None or read.created_at.tzinfo is not None


def test_text_without_a_zone_is_of_the_dialects():
    (row,) = workflows([{"processModelId": "md1", "createTime": "2020-11-30 15:22"}])
    assert row.created_at == datetime(2020, 11, 30, 15, 22, tzinfo=UTC)


# Outputs.


def test_outputs_are_read_in_their_order():
    rows = [
        {"nodeName": "a", "result": '{"x": 1}', "more": 1},
        {"nodeName": " b ", "result": None},
        {"nodeName": "a"},
        {"nodeName": 5, "result": {"x": ["é"]}},
        {"nodeName": "c", "result": 1.5},
        {"nodeName": "d", "result": ""},
    ]
    read = outputs(rows)
    assert [(node.node_name, node.result) for node in read] == [
        ("a", '{"x": 1}'),
        (" b ", None),
        ("a", None),
        ("5", '{"x": ["é"]}'),
        ("c", "1.5"),
        ("d", ""),
    ]
    assert read.unread is None
