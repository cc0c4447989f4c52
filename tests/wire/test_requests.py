"""Every request, byte by byte, as the platform's document has it."""

import json
from functools import partial
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from dpa_async import AccessToken, ConfigurationError, Dialect, RunRef, Settings
from dpa_async.wire import requests
from dpa_async.wire.messages import Reply

patiently = hypothesis_settings(deadline=None)

BASE = "https://dpa.example.com/prefix"
GOOD = {
    "base_url": BASE,
    "client_id": "made+Up/Id==",
    "client_secret": "made+up/Secret==",
    "execute_urls": "/execute/{workflow_id}",
}
SETTINGS = Settings(**GOOD)
JSON_TYPES = Settings(**GOOD, dialect=Dialect(flags="json"))
RUN = RunRef(BASE, "md/1+a", "in=1&x 中")
QUOTED_RUN = "modelId=md%2F1%2Ba&instanceId=in%3D1%26x+%E4%B8%AD"

ACCEPT = {"Accept": "application/json", "Accept-Encoding": "identity"}
JSON = {**ACCEPT, "Content-Type": "application/json"}
FORM = {**ACCEPT, "Content-Type": "application/x-www-form-urlencoded"}

BUILDERS = {
    "authorize": requests.authorize,
    "token": partial(requests.exchange_code, code="a+code"),
    "listVar": partial(requests.list_variables, workflow_id="md1"),
    "execute": partial(requests.execute, workflow_id="md1", params=None),
    "getProcessRunStatus": partial(requests.run_status, run=RUN),
    "listAll": requests.list_workflows,
    "getOutParamByModelId": partial(
        requests.outputs, run=RUN, designated_nodes_only=False
    ),
}
each_builder = pytest.mark.parametrize(
    ("name", "build"), BUILDERS.items(), ids=BUILDERS
)

SHAPES = {
    "authorize": (
        "GET",
        (
            "/api/dp/auth/oauth/authorize?client_id=made%2BUp%2FId%3D%3D"
            "&response_type=code&scope=default"
        ),
        ACCEPT,
        None,
    ),
    "token": (
        "POST",
        "/api/dp/auth/oauth/token",
        JSON,
        (
            '{"code":"a+code","client_id":"made+Up/Id==","client_secret":'
            '"made+up/Secret==","grant_type":"authorization_code"}'
        ),
    ),
    "listVar": (
        "POST",
        "/api/dpa/process/variable/listVar",
        JSON,
        '{"processModelId":"md1","type":"running"}',
    ),
    "execute": (
        "POST",
        "/execute/md1",
        JSON,
        '{"sync":"false","paramFlag":"false"}',
    ),
    "getProcessRunStatus": (
        "GET",
        f"/api/dpa/process/processrun/getProcessRunStatus?{QUOTED_RUN}",
        FORM,
        None,
    ),
    "listAll": ("POST", "/api/dpa/process/processModel/listAll", JSON, "{}"),
    "getOutParamByModelId": (
        "POST",
        "/api/dpa/process/processModel/getOutParamByModelId",
        JSON,
        '{"modelId":"md/1+a","instanceId":"in=1&x 中","paramFlag":"false"}',
    ),
}


@each_builder
def test_a_request_has_the_documented_shape(name, build):
    method, path, headers, body = SHAPES[name]
    made = build(SETTINGS)
    assert made.operation == name
    assert made.method == method
    assert made.url == BASE + path
    assert dict(made.headers) == headers
    assert made.body == (None if body is None else body.encode("utf-8"))


@each_builder
def test_only_what_harms_nobody_is_repeated_or_shares_a_connection(name, build):
    made = build(Settings(**GOOD, max_body_bytes=5, max_outputs_bytes=7))
    budgets = {"authorize": "tokens", "token": "tokens", "execute": "submissions"}
    assert made.own_connection == (name in budgets)
    assert made.budget == budgets.get(name, "reads")
    assert made.repeatable == (name not in {"token", "execute"})
    assert made.max_body_bytes == (7 if name == "getOutParamByModelId" else 5)
    assert made.secret_answer == (name in {"authorize", "token"})


@each_builder
def test_further_headers_go_along_and_replace_none_that_matters(name, build):
    made = build(Settings(**GOOD, headers={"X-Gateway": "key", "Accept": "*/*"}))
    assert made.headers["X-Gateway"] == "key"
    assert made.headers["Accept"] == "*/*"
    assert made.headers["Accept-Encoding"] == "identity"
    assert made.headers.get("Content-Type") == SHAPES[name][2].get("Content-Type")


@each_builder
def test_a_repr_shows_what_is_asked_and_none_of_it(name, build):
    made = build(SETTINGS).authorized(AccessToken("the-token", 60))
    assert name in repr(made)
    for hidden in ("made", "the-token", "a+code", "in=1", "http", "md1"):
        assert hidden not in repr(made)


@each_builder
def test_a_token_goes_into_the_header_and_among_the_secrets(name, build):
    plain = build(SETTINGS)
    assert "made+up/Secret==" in plain.secrets
    made = plain.authorized(AccessToken("the-token", 60))
    assert made.headers == {**plain.headers, "Authorization": "Bearer the-token"}
    assert made.secrets == (*plain.secrets, "the-token")
    assert "Authorization" not in plain.headers
    kept = ("operation", "method", "url", "body", "budget")
    assert [getattr(made, name) for name in kept] == [
        getattr(plain, name) for name in kept
    ]


# 1: OAuth.


def test_the_oauth_interfaces_can_live_elsewhere():
    settings = Settings(**GOOD, auth_base_url="https://auth.example.com", scope="all")
    asked = requests.authorize(settings).url
    assert asked.startswith("https://auth.example.com/api/dp/auth/oauth/authorize?")
    assert asked.endswith("&scope=all")
    token = requests.exchange_code(settings, "c").url
    assert token == "https://auth.example.com/api/dp/auth/oauth/token"
    assert requests.list_workflows(settings).url.startswith(BASE)


def test_the_token_request_names_a_user_where_there_is_one():
    body = requests.exchange_code(Settings(**GOOD, user_id="u 1"), "c0de").body
    assert json.loads(body)["user_id"] == "u 1"


def test_the_token_request_can_be_a_form():
    settings = Settings(**GOOD, user_id="u 1", dialect=Dialect(token_body="form"))
    made = requests.exchange_code(settings, "a+code")
    assert dict(made.headers) == FORM
    assert made.body == (
        b"code=a%2Bcode&client_id=made%2BUp%2FId%3D%3D&client_secret="
        b"made%2Bup%2FSecret%3D%3D&grant_type=authorization_code&user_id=u+1"
    )


def test_a_repr_of_a_reply_shows_its_status_alone():
    assert repr(Reply(200, {"x": "hidden"}, b"hidden")) == "Reply(status=200)"


def test_what_is_secret_in_a_request_is_known_to_be():
    assert requests.authorize(SETTINGS).secrets == ("made+up/Secret==", "made+Up/Id==")
    secrets = ("made+up/Secret==", "made+Up/Id==", "a+code")
    assert requests.exchange_code(SETTINGS, "a+code").secrets == secrets
    url = "https://me.example.com/nonce"
    assert url in requests.execute(SETTINGS, "md1", None, callback_url=url).secrets
    ours = ("made+up/Secret==",)
    assert requests.execute(SETTINGS, "md1", None).secrets == ours


# 3: execute.


def executed(settings=SETTINGS, params=None, **options):
    return json.loads(requests.execute(settings, "md1", params, **options).body)


QUIET = {"sync": "false", "paramFlag": "false"}


@pytest.mark.parametrize(
    ("params", "options", "body"),
    [
        (None, {}, QUIET),
        ({}, {}, QUIET),
        ({"n": "1"}, {}, {"mapParam": {"n": "1"}, **QUIET}),
        (
            {"n": 1, "list": [None, True, {"a": 1.5}]},
            {},
            {"mapParam": {"n": 1, "list": [None, True, {"a": 1.5}]}, **QUIET},
        ),
        (
            None,
            {"callback_url": "https://me/cb"},
            {"callbackUrl": "https://me/cb", **QUIET},
        ),
        (None, {"designated_nodes_only": True}, QUIET | {"paramFlag": "true"}),
        (None, {"sync_wait": 30}, QUIET | {"sync": "true", "second": "30"}),
    ],
    ids=str,
)
def test_an_execute_says_what_is_asked_and_leaves_out_the_rest(params, options, body):
    assert executed(SETTINGS, params, **options) == body
    flags = {"sync": body["sync"] == "true", "paramFlag": body["paramFlag"] == "true"}
    seconds = {"second": int(body["second"])} if "second" in body else {}
    as_json = {**body, **flags, **seconds}
    sent = executed(JSON_TYPES, params, **options)
    assert sent == as_json
    assert [type(sent[name]) for name in flags] == [bool, bool]


@pytest.mark.parametrize(
    ("sync_wait", "seconds"),
    [
        (0, 1),
        (0.1, 1),
        (1, 1),
        (1.0, 1),
        (1.2, 2),
        (2.5, 3),
        (59.999, 60),
        (3600, 3600),
    ],
)
def test_seconds_are_whole_and_at_least_one(sync_wait, seconds):
    assert executed(sync_wait=sync_wait)["second"] == str(seconds)
    assert executed(JSON_TYPES, sync_wait=sync_wait)["second"] == seconds


@pytest.mark.parametrize("sync_wait", [-1, float("nan"), float("inf"), "3", True])
def test_what_is_no_number_of_seconds_is_refused(sync_wait):
    with pytest.raises(ConfigurationError, match=r"^sync_wait is"):
        executed(sync_wait=sync_wait)


def test_parameters_can_travel_as_json_in_text():
    settings = Settings(**GOOD, dialect=Dialect(params="strings"))
    params = {"text": "as it is", "n": 1, "none": None, "list": ["é", {"a": True}]}
    assert executed(settings, params)["mapParam"] == {
        "text": "as it is",
        "n": "1",
        "none": "null",
        "list": '["é",{"a":true}]',
    }


def holding_itself():
    loop = []
    loop.append(loop)
    return loop


def deep():
    value = []
    for _ in range(100_000):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value",
    [float("nan"), float("inf"), "\ud800", b"x", {1}, holding_itself(), deep()],
    ids=["NaN", "inf", "surrogate", "bytes", "set", "loop", "deep"],
)
@pytest.mark.parametrize("dialect", ["json", "strings"])
def test_parameters_that_are_no_json_are_refused(value, dialect):
    settings = Settings(**GOOD, dialect=Dialect(params=dialect))
    with pytest.raises(ConfigurationError, match=r"^params cannot be sent") as caught:
        executed(settings, {"n": [value], "m": value})
    assert caught.value.__context__ is None


@pytest.mark.parametrize("params", [[1], ["ab"], "text", 5, {1}])
def test_parameters_that_are_no_mapping_are_refused(params):
    with pytest.raises(ConfigurationError, match=r"^params is \w+: give a mapping"):
        executed(params=params)


def test_an_execute_goes_where_the_card_says():
    urls = {"md1": "https://other.example.com/e?k=1", "md2": "/card/2"}
    settings = Settings(
        **{**GOOD, "execute_urls": urls}, extra_origins=["https://other.example.com"]
    )
    assert requests.execute(settings, "md1", None).url == urls["md1"]
    assert requests.execute(settings, "md2", None).url == BASE + "/card/2"
    with pytest.raises(ConfigurationError, match="API按钮"):
        requests.execute(settings, "md3", None)


# 4, 6 and 7: reads.


@patiently
@given(st.text(min_size=1), st.text(min_size=1))
def test_any_ids_arrive_as_they_are(workflow_id, run_id):
    run = RunRef(BASE, workflow_id, run_id)
    query = urlsplit(requests.run_status(SETTINGS, run).url).query
    ids = {"modelId": workflow_id, "instanceId": run_id}
    assert dict(parse_qsl(query, keep_blank_values=True, errors="strict")) == ids
    asked = json.loads(requests.outputs(SETTINGS, run, designated_nodes_only=True).body)
    assert asked == {**ids, "paramFlag": "true"}
    asked = json.loads(requests.list_variables(SETTINGS, workflow_id).body)
    assert asked == {"processModelId": workflow_id, "type": "running"}


@pytest.mark.parametrize("bad", ["", "\ud800", "a\udfff", None, 5, b"in1"])
@pytest.mark.parametrize(
    "build",
    [
        requests.list_variables,
        lambda s, bad: requests.run_status(s, RunRef(BASE, "md1", bad)),
        lambda s, bad: requests.run_status(s, RunRef(BASE, bad, "in1")),
        lambda s, bad: requests.outputs(
            s, RunRef(BASE, "md1", bad), designated_nodes_only=False
        ),
    ],
    ids=["listVar", "status of run", "status of workflow", "outputs"],
)
def test_what_is_no_id_is_refused(build, bad):
    with pytest.raises(ConfigurationError, match="an id is"):
        build(SETTINGS, bad)


@pytest.mark.parametrize(("dialect", "flag"), [(SETTINGS, "true"), (JSON_TYPES, True)])
def test_outputs_of_designated_nodes_are_asked_for(dialect, flag):
    made = requests.outputs(dialect, RUN, designated_nodes_only=True)
    assert repr(json.loads(made.body)["paramFlag"]) == repr(flag)


def test_the_body_of_list_all_is_a_setting():
    settings = Settings(**GOOD, dialect=Dialect(list_all_body={"page": 1}))
    assert requests.list_workflows(settings).body == b'{"page":1}'


def test_a_body_of_list_all_that_is_no_json_is_refused():
    settings = Settings(**GOOD, dialect=Dialect(list_all_body={"page": {1}}))
    with pytest.raises(ConfigurationError, match="listAll cannot be sent as JSON"):
        requests.list_workflows(settings)
