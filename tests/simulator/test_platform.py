"""The platform without a face: pure, driven by whoever says what time it is."""

import itertools
import json
import random

import pytest

from dpa_async.simulator import (
    Behaviour,
    Held,
    Platform,
    Request,
    SimulatedWorkflow,
)

EXECUTE = "/api/dpa/process/execute/"
STATUS = "/api/dpa/process/processrun/getProcessRunStatus"
LIST_ALL = "/api/dpa/process/processModel/listAll"


def token_of(platform, now=0.0):
    app = platform.application
    client_id = app.client_id.replace("+", "%2B")
    target = "/api/dp/auth/oauth/authorize?response_type=code&scope=all"
    answer = platform.handle(Request("GET", f"{target}&client_id={client_id}"), now)
    body = {
        "code": json.loads(answer.body)["data"]["code"],
        "client_id": app.client_id,
        "client_secret": app.client_secret,
        "grant_type": "authorization_code",
    }
    request = Request("POST", "/api/dp/auth/oauth/token", {}, json.dumps(body).encode())
    return json.loads(platform.handle(request, now).body)["data"]["access_token"]


class Driver:
    def __init__(self, **options):
        self.platform = Platform(**options)
        self.headers = {"authorization": f"Bearer {token_of(self.platform)}"}

    def send(self, method, target, body=None, *, now):
        raw = b"" if body is None else json.dumps(body).encode()
        return self.platform.handle(Request(method, target, self.headers, raw), now)

    def data(self, *args, now):
        return json.loads(self.send(*args, now=now).body)["data"]


def test_time_is_what_the_caller_says():
    dpa = Driver(duration=10)
    ids = dpa.data("POST", EXECUTE + "wf", {}, now=100)
    query = f"{STATUS}?modelId=wf&instanceId={ids['instanceId']}"
    assert dpa.data("GET", query, now=105)["status"] == "RUNNING"
    assert dpa.data("GET", query, now=110)["status"] == "FINISH"


def test_a_held_answer_says_until_when():
    dpa = Driver(duration=10)
    body = {"sync": "true", "second": "30"}
    held = dpa.send("POST", EXECUTE + "wf", body, now=100)
    assert isinstance(held, Held)
    assert held.until == 110
    assert json.loads(held.answer.body)["data"]["status"] == "FINISH"
    held = dpa.send("POST", EXECUTE + "other", body | {"second": 3}, now=100)
    assert held.until == 103
    assert json.loads(held.answer.body)["data"]["status"] == "RUNNING"


def test_callbacks_are_handed_out_once_in_the_order_of_the_ends():
    workflows = [
        SimulatedWorkflow("long", duration=9),
        SimulatedWorkflow("short", duration=3, fails=True),
    ]
    dpa = Driver(workflows=workflows)
    assert dpa.platform.next_callback_at() is None
    dpa.send("POST", EXECUTE + "long", {"callbackUrl": "l"}, now=100)
    dpa.send("POST", EXECUTE + "short", {"callbackUrl": "s"}, now=101)
    assert dpa.platform.next_callback_at() == 104
    assert dpa.platform.callbacks_due(103.9) == []
    [short] = dpa.platform.callbacks_due(104)
    assert (short.url, short.status, short.workflow_id) == ("s", "FAIL", "short")
    assert short.payload() == {
        "instanceId": short.run_id,
        "modelId": "short",
        "status": "FAIL",
    }
    [long] = dpa.platform.callbacks_due(1000)
    assert (long.url, long.status) == ("l", "FINISH")
    assert dpa.platform.callbacks_due(1000) == []


def test_one_workflow_never_runs_twice_at_once():
    """Any storm of executes: what is refused was busy, what ran did not overlap."""
    rng = random.Random(5)
    dpa = Driver(duration=(0, 3))
    now, accepted = 0.0, 0
    for _ in range(2_000):
        now += rng.random() * 0.5
        workflow = f"wf{rng.randrange(3)}"
        before = dpa.platform.executions(workflow)
        answer = dpa.send("POST", EXECUTE + workflow, {}, now=now)
        busy = bool(before) and before[-1].ends_at > now
        assert json.loads(answer.body)["code"] == (999 if busy else 200)
        accepted += not busy
    assert 100 < accepted < 1_900
    for n in range(3):
        runs = dpa.platform.executions(f"wf{n}")
        pairs = itertools.pairwise(runs)
        assert all(a.ends_at <= b.submitted_at for a, b in pairs)
    assert len(dpa.platform.runs) == accepted


def test_list_all_agrees_with_the_runs_at_every_moment():
    """Rows are kept once written; no moment may see a row that is out of date."""
    rng = random.Random(11)
    words = {"RUNNING": "running", "DEFAULT": "running", "PENDING": "pending"}
    words |= {"FINISH": "success", "FAIL": "fail"}
    dpa = Driver(
        workflows=[
            SimulatedWorkflow(
                f"wf{n}", duration=(1, 6), fails=0.5, suspended=[(0.5, 1.5), (3, 4)]
            )
            for n in range(5)
        ],
        behaviour=Behaviour(list_all_lag=0.7),
    )
    now = 0.0
    for _ in range(1_500):
        now += rng.random()
        dpa.send("POST", EXECUTE + f"wf{rng.randrange(5)}", {}, now=now)
        now += rng.random() * 0.1
        stale = rng.choice([0.0, 0.0, 5.0])
        request = Request("POST", LIST_ALL, dpa.headers, b"{}")
        answer = dpa.platform.handle(request, now, staleness=stale)
        seen_at = now - max(0.7, stale)
        for row in json.loads(answer.body)["data"]:
            runs = [
                run
                for run in dpa.platform.executions(row["processModelId"])
                if run.submitted_at <= seen_at
            ]
            expected = words[runs[-1].status_at(seen_at)] if runs else "default"
            assert row["status"] == expected


def test_an_empty_platform_lists_nothing():
    dpa = Driver(workflows=[])
    assert dpa.data("POST", LIST_ALL, {}, now=1) == []


def test_a_workflow_is_there_once():
    platform = Platform([SimulatedWorkflow("wf")])
    with pytest.raises(ValueError, match="wf"):
        platform.add_workflow(SimulatedWorkflow("wf"))
    taken = EXECUTE + "wf"
    with pytest.raises(ValueError, match="other"):
        platform.add_workflow(SimulatedWorkflow("other", execute_path=taken))


@pytest.mark.parametrize("body", [b"[1]", b"null", b"{", b"\xff\xfe", b"[" * 100_000])
def test_a_body_that_is_no_object(body):
    dpa = Driver()
    request = Request("POST", EXECUTE + "wf", dpa.headers, body)
    assert json.loads(dpa.platform.handle(request, 1).body)["code"] == 400


@pytest.mark.parametrize("scheme", ["Basic", "", "Token"])
def test_only_a_bearer_token_counts(scheme):
    dpa = Driver()
    token = dpa.headers["authorization"].removeprefix("Bearer ")
    dpa.headers = {"authorization": f"{scheme} {token}"}
    answer = dpa.send("POST", LIST_ALL, {}, now=1)
    assert json.loads(answer.body)["code"] == 403
