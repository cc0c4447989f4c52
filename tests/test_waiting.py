"""Schedules, and the one wait loop as it shows through a runner; in virtual time."""

import functools
import itertools
import json

import backoff
import pytest

from dpa_async import ConfigurationError, Runner, RunStatus, WaitPolicy, run_and_wait
from dpa_async.simulator import Fault, SimulatedWorkflow
from dpa_async.waiting import schedule

ANOTHER_RUNS_END = (
    b'{"code":200,"data":{"status":"FAIL","instanceId":"x","modelId":"y"}}'
)


def exact(interval):
    return interval


def first(policy, count):
    return list(itertools.islice(schedule(policy), count))


def test_the_schedule_is_backoffs_expo_up_to_the_maximum():
    policy = WaitPolicy(jitter=exact)
    assert first(policy, 3) == [0.5, 0.75, 1.125]
    assert first(policy, 20)[-1] == 15.0


def test_jitter_keeps_within_ten_percent_and_is_not_always_the_same():
    intervals = first(WaitPolicy(first_look=10, multiplier=1, maximum=10), 200)
    assert all(9.0 <= interval <= 11.0 for interval in intervals)
    assert len(set(intervals)) > 100


@pytest.mark.parametrize(
    "policy",
    [
        WaitPolicy(first_look=0),
        WaitPolicy(jitter=lambda _: 0.0),
        WaitPolicy(wait_gen=functools.partial(backoff.constant, interval=0)),
        WaitPolicy(wait_gen=functools.partial(backoff.expo, factor=0)),
        WaitPolicy(jitter=lambda _: -5.0),
        WaitPolicy(jitter=lambda _: float("nan")),
    ],
)
def test_no_interval_is_under_the_minimum(policy):
    assert min(first(policy, 3000)) >= policy.minimum


def test_any_of_backoffs_generators_and_jitters_will_do():
    fibo = WaitPolicy(wait_gen=backoff.fibo, jitter=exact)
    assert first(fibo, 6) == [1, 1, 2, 3, 5, 8]
    constant = functools.partial(backoff.constant, interval=[1, 2])
    assert first(WaitPolicy(wait_gen=constant, jitter=exact), 5) == [1, 2, 2, 2, 2]
    full = first(WaitPolicy(jitter=backoff.full_jitter, first_look=100), 50)
    assert all(0.05 <= interval <= 15 for interval in full)


def test_a_generator_without_an_interval_falls_back_to_the_maximum():
    def nothing():
        yield from ()

    assert first(WaitPolicy(wait_gen=nothing, jitter=exact), 2) == [15.0, 15.0]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("first_look", -1),
        ("first_look", float("inf")),
        ("multiplier", 0.5),
        ("maximum", 0),
        ("minimum", 0),
        ("max_silence", float("nan")),
        ("max_silence", "300"),
        ("on_suspended", "shrug"),
    ],
)
def test_a_policy_out_of_its_range_is_told_of(field, value):
    with pytest.raises(ConfigurationError, match=field):
        WaitPolicy(**{field: value})


def test_a_look_that_fails_is_not_a_run_that_fails(in_memory):
    async def test(platform, client):
        for fault in (
            Fault.reset(),
            Fault.html(),
            Fault.empty(),
            Fault.body_code(500),
            Fault.body_code(400),
            Fault.garbage(b'{"code": 200, "data": {"status": "FAIL"}}'),
            Fault.garbage(ANOTHER_RUNS_END),
        ):
            platform.faults.add("getProcessRunStatus", fault, probability=0.1)
        result = await run_and_wait(client, "wf")
        assert result.status is RunStatus.SUCCEEDED

    in_memory(test, duration=600.0)


def test_words_that_are_not_known_are_no_end(in_memory):
    async def test(platform, client):
        run = await client.companion(Runner).start("wf")
        for text in ("DEFAULT", "PENDING", "SLEEPING", "success!", ""):
            data = {"instanceId": run.ref.run_id, "modelId": "wf", "status": text}
            body = json.dumps({"code": 200, "data": data}).encode()
            platform.faults.add("getProcessRunStatus", Fault.garbage(body), calls={1})
            assert not (await run.status()).ended
            platform.faults.clear()
        assert (await run).status is RunStatus.SUCCEEDED

    in_memory(test, SimulatedWorkflow("wf", duration=30.0))


def test_looks_follow_the_schedule(in_memory):
    async def test(platform, client):
        policy = WaitPolicy(first_look=10, multiplier=1, maximum=10, jitter=exact)
        async with Runner(client, wait=policy) as runner:
            result = await run_and_wait(runner, "wf")
        assert result.looks == 6

    in_memory(test, SimulatedWorkflow("wf", duration=59.0))
