"""Lanes, attaching, one wait for all, cancelling, deadlines, closing: virtual time."""

import asyncio
from itertools import pairwise

import pytest

from dpa_async import (
    BusinessError,
    ConfigurationError,
    DPAError,
    InvalidParameterError,
    NotStartedError,
    OutputsUnavailableError,
    RunError,
    RunFailedError,
    Runner,
    RunStatus,
    RunSuspendedError,
    RunTimeoutError,
    RunUnreachableError,
    SubmissionError,
    SubmissionUncertainError,
    WaitPolicy,
    WorkflowBusyError,
    run_and_wait,
)
from dpa_async.simulator import Fault, SimulatedWorkflow

HANGING = SimulatedWorkflow("wf", duration=float("inf"))


def no_overlap(platform, workflow_id):
    runs = platform.platform.executions(workflow_id)
    return all(a.ends_at <= b.submitted_at for a, b in pairwise(runs))


def test_runs_of_one_workflow_go_one_after_the_other_in_the_order_of_the_calls(
    in_memory,
):
    async def test(platform, client):
        await asyncio.gather(*(run_and_wait(client, "wf", {"n": n}) for n in range(9)))
        runs = platform.platform.executions("wf")
        assert [run.params["n"] for run in runs] == list(range(9))
        assert no_overlap(platform, "wf")
        assert platform.faults.calls["execute"] == 9  # nobody was refused as busy

    in_memory(test, duration=3.0)


def test_workflows_go_in_parallel(in_memory):
    async def test(platform, client):
        began = asyncio.get_running_loop().time()
        await asyncio.gather(*(run_and_wait(client, f"w{n}") for n in range(50)))
        assert asyncio.get_running_loop().time() - began < 100

    in_memory(test, duration=60.0)


def test_a_workflow_run_by_somebody_else_is_waited_for(in_memory):
    async def test(platform, client):
        platform.platform.execute_as_other_user("wf", platform.now(), 40.0)
        result = await run_and_wait(client, "wf", {"n": 1})
        assert result.outputs.json("echo") == {"n": 1}
        assert no_overlap(platform, "wf")
        assert platform.faults.calls["execute"] == 2
        assert platform.faults.calls["getProcessRunStatus"] < 5

    in_memory(test, SimulatedWorkflow("wf", duration=1.0))


def test_listall_failing_while_a_busy_workflow_is_waited_for_costs_only_time(in_memory):
    async def test(platform, client):
        platform.platform.execute_as_other_user("wf", platform.now(), 40.0)
        platform.faults.add("listAll", Fault.body_code(997), first=5)
        await run_and_wait(client, "wf")
        assert no_overlap(platform, "wf")

    in_memory(test, SimulatedWorkflow("wf", duration=1.0))


def test_listall_failing_for_good_gives_up_after_max_silence(in_memory):
    async def test(platform, client):
        platform.faults.add("execute", Fault.body_code(999))
        platform.faults.add("listAll", Fault.body_code(997))
        async with Runner(client, wait=WaitPolicy(max_silence=30)) as runner:
            with pytest.raises(DPAError, match="997"):
                await runner.start("wf")

    in_memory(test)


def test_if_busy_fail_raises_at_once_whoever_runs_it(in_memory):
    async def test(platform, client):
        runner = client.companion(Runner)
        first = asyncio.create_task(runner.start("wf"))
        await asyncio.sleep(0)
        with pytest.raises(WorkflowBusyError):  # it is just being started
            await runner.start("wf", if_busy="fail")
        await first
        with pytest.raises(WorkflowBusyError) as caught:  # it runs as ours
            await runner.start("wf", if_busy="fail", key="k")
        assert caught.value.submission.key == "k"
        platform.platform.execute_as_other_user("theirs", platform.now(), 40.0)
        with pytest.raises(WorkflowBusyError):
            await runner.start("theirs", if_busy="fail")
        await asyncio.sleep(50)
        assert (await (await runner.start("wf", if_busy="fail"))).status.ended
        with pytest.raises(ConfigurationError, match="if_busy"):
            await runner.start("wf", if_busy="perhaps")

    in_memory(test, duration=40.0)


def test_if_busy_fail_gives_another_refusal_as_it_is(in_memory):
    async def test(platform, client):
        platform.faults.add("execute", Fault.body_code(999))
        with pytest.raises(BusinessError):
            await client.companion(Runner).start("wf", if_busy="fail")

    in_memory(test)


def test_many_awaiters_share_one_wait_and_a_cancelled_one_harms_no_other(in_memory):
    async def test(platform, client):
        run = await client.companion(Runner).start("wf", {"n": 1})
        waiters = [asyncio.create_task(run.result()) for _ in range(100)]
        await asyncio.sleep(20)
        for waiter in waiters[::2]:
            waiter.cancel()
        results = await asyncio.gather(*waiters, return_exceptions=True)
        assert all(isinstance(r, asyncio.CancelledError) for r in results[::2])
        assert {id(r.outputs) for r in results[1::2]} == {id(results[1].outputs)}
        assert platform.faults.calls["getProcessRunStatus"] == results[1].looks < 20
        assert platform.faults.calls["getOutParamByModelId"] == 1

    in_memory(test, duration=60.0)


def test_nobody_waits_nobody_looks_and_waiting_can_begin_again(in_memory):
    async def test(platform, client):
        run = await client.companion(Runner).start("wf")
        await asyncio.sleep(30)
        assert platform.faults.calls["getProcessRunStatus"] == 0
        with pytest.raises(RunTimeoutError):
            await run.result(timeout=5)
        looks = run.looks
        assert looks > 0
        await asyncio.sleep(10)
        assert run.looks == looks
        assert await run.status() is RunStatus.RUNNING
        assert (await run).status is RunStatus.SUCCEEDED
        looks = run.looks
        assert await run.status() is RunStatus.SUCCEEDED
        assert (await run.result()).looks == looks

    in_memory(test, duration=60.0)


def test_a_run_is_attached_to_by_ref_or_text_and_twice_shares_one_wait(in_memory):
    async def test(platform, client):
        runner = client.companion(Runner)
        ref = (await client.execute("wf", {"n": 1})).run
        run = runner.attach(ref)
        assert runner.attach(str(ref)) is run
        assert runner.open_runs == (ref,)
        assert (await run).outputs.json("echo") == {"n": 1}
        assert runner.open_runs == ()
        assert repr(run) == f"<Run {ref} SUCCEEDED>"
        with pytest.raises(ConfigurationError, match="run reference"):
            runner.attach("nonsense")

    in_memory(test)


def test_a_start_waits_for_a_run_that_was_attached_to(in_memory):
    async def test(platform, client):
        runner = client.companion(Runner)
        runner.attach((await client.execute("wf")).run)
        await run_and_wait(client, "wf")
        assert no_overlap(platform, "wf")
        # A reference is anybody's word: that it runs, the platform says by a refusal.
        assert platform.faults.calls["execute"] == 3

    in_memory(test, duration=30.0)


def test_a_caller_cancelled_while_queued_starts_nothing(in_memory):
    async def test(platform, client):
        runner = client.companion(Runner)
        await runner.start("wf")
        queued = asyncio.create_task(runner.start("wf"))
        behind = asyncio.create_task(runner.start("wf", {"behind": 1}))
        await asyncio.sleep(5)
        queued.cancel()
        run = await behind
        assert queued.cancelled()
        assert [r.params for r in platform.platform.executions("wf")] == [
            {},
            {"behind": 1},
        ]
        await run

    in_memory(test, duration=30.0)


def test_a_caller_cancelled_while_the_post_is_out_leaves_an_open_run(in_memory):
    async def test(platform, client):
        platform.faults.add("execute", Fault.slow_answer(2.0))
        runner = client.companion(Runner)
        starting = asyncio.create_task(runner.start("wf"))
        await asyncio.sleep(1)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        assert runner.open_runs == ()
        await asyncio.sleep(2)
        (ref,) = runner.open_runs
        assert (await runner.attach(ref)).status is RunStatus.SUCCEEDED
        assert len(platform.platform.executions("wf")) == 1

    in_memory(test)


def test_a_deadline_in_each_phase_says_what_became_of_it(in_memory):
    async def test(platform, client):
        runner = client.companion(Runner)
        with pytest.raises(RunTimeoutError):
            await run_and_wait(client, "wf", timeout=3)
        with pytest.raises(NotStartedError) as queued:
            await run_and_wait(client, "wf", timeout=3, key="k")
        assert queued.value.submission.key == "k"
        platform.faults.add("execute", Fault.slow_answer(5.0))
        with pytest.raises(SubmissionUncertainError) as out:
            await run_and_wait(client, "other", timeout=3)
        assert out.value.submission.sent_at is not None
        await asyncio.sleep(3)  # the runner goes on, and knows the run by now
        assert {ref.workflow_id for ref in runner.open_runs} == {"wf", "other"}
        for bad in (-1, float("nan"), "3", True):
            with pytest.raises(ConfigurationError, match="timeout"):
                await run_and_wait(client, "wf", timeout=bad)

    in_memory(test, HANGING, SimulatedWorkflow("other", duration=1.0))


def test_a_deadline_while_outputs_are_read_never_says_that_it_still_runs(in_memory):
    async def test(platform, client):
        platform.faults.add("getOutParamByModelId", Fault.stall())
        with pytest.raises(OutputsUnavailableError, match="deadline"):
            await run_and_wait(client, "good", timeout=10)
        with pytest.raises(RunFailedError) as caught:
            await run_and_wait(client, "bad", timeout=10)
        assert "deadline" in caught.value.result.outputs.unread

    good = SimulatedWorkflow("good", duration=1.0)
    in_memory(test, good, SimulatedWorkflow("bad", duration=1.0, fails=True))


def test_a_failed_run_whose_outputs_cannot_be_read_is_still_a_failed_run(in_memory):
    async def test(platform, client):
        platform.faults.add("getOutParamByModelId", Fault.body_code(997))
        with pytest.raises(RunFailedError) as caught:
            await run_and_wait(client, "wf")
        assert "997" in caught.value.result.outputs.unread
        with pytest.raises(KeyError, match="997"):
            caught.value.result.outputs["echo"]

    in_memory(test, SimulatedWorkflow("wf", fails=True))


def test_outputs_are_not_read_where_they_are_not_wanted(in_memory):
    async def test(platform, client):
        result = await run_and_wait(client, "wf", outputs=False)
        assert "not asked for" in result.outputs.unread
        assert platform.faults.calls["getOutParamByModelId"] == 0

    in_memory(test)


def test_no_outputs_are_read_once_and_are_no_error(in_memory):
    async def test(platform, client):
        run = await client.companion(Runner).start("wf")
        assert list((await run).outputs) == []
        assert (await run).outputs.unread is None
        assert platform.faults.calls["getOutParamByModelId"] == 1

    in_memory(test, SimulatedWorkflow("wf", outputs=()))


def test_a_suspended_run_is_waited_for_or_raises(in_memory):
    async def test(platform, client):
        assert (await run_and_wait(client, "wf")).status is RunStatus.SUCCEEDED
        async with Runner(client, wait=WaitPolicy(on_suspended="raise")) as runner:
            with pytest.raises(RunSuspendedError) as caught:
                await run_and_wait(runner, "wf")
            assert (await runner.attach(caught.value.ref).status()).ended is False

    in_memory(test, SimulatedWorkflow("wf", duration=60.0, suspended=[(10.0, 50.0)]))


def test_a_silent_platform_makes_a_run_unreachable_and_it_can_be_attached_to(in_memory):
    async def test(platform, client):
        platform.faults.add("getProcessRunStatus", Fault.reset())
        began = asyncio.get_running_loop().time()
        with pytest.raises(RunUnreachableError, match="300 s") as caught:
            await run_and_wait(client, "wf")
        assert 300 <= asyncio.get_running_loop().time() - began < 350
        platform.faults.clear()
        result = await client.companion(Runner).attach(caught.value.ref)
        assert result.status is RunStatus.SUCCEEDED

    in_memory(test, duration=60.0)


def test_names_of_parameters_are_checked_before_anything_runs(in_memory):
    async def test(platform, client):
        with pytest.raises(ConfigurationError) as caught:
            await run_and_wait(client, "wf", {"B": 1, "C": 2}, validate=True)
        assert "missing: A" in str(caught.value)
        assert "unknown: C" in str(caught.value)
        assert platform.faults.calls["execute"] == 0
        await run_and_wait(client, "wf", {"A": 1, "B": 2}, validate=True)

    in_memory(test, SimulatedWorkflow("wf", variables=["A", "B"]))


def test_a_refusal_names_the_submission_and_keeps_no_foreign_exception(in_memory):
    async def test(platform, client):
        platform.faults.add("execute", Fault.body_code(400, "no such name"))
        with pytest.raises(InvalidParameterError) as caught:
            await run_and_wait(client, "wf", key="k")
        assert caught.value.submission.key == "k"
        assert caught.value.code == 400
        assert caught.value.message == "no such name"

    in_memory(test)


def test_closing_a_runner_tells_every_waiter_and_is_idempotent(in_memory):
    async def test(platform, client):
        runner = Runner(client)
        running = asyncio.create_task(run_and_wait(runner, "wf"))
        queued = asyncio.create_task(run_and_wait(runner, "wf"))
        await asyncio.sleep(5)
        await runner.aclose()
        await runner.aclose()
        with pytest.raises(RunError) as open_run:
            await running
        with pytest.raises(SubmissionError, match="nothing was started"):
            await queued
        with pytest.raises(ConfigurationError, match="closed"):
            await runner.start("wf")
        with pytest.raises(ConfigurationError, match="closed"):
            runner.attach(open_run.value.ref)
        assert len(platform.platform.executions("wf")) == 1
        async with Runner(client) as later:
            assert (await later.attach(open_run.value.ref)).status.ended

    in_memory(test, duration=60.0)


def test_closing_finishes_a_post_that_is_out(in_memory):
    async def test(platform, client):
        platform.faults.add("execute", Fault.slow_answer(2.0))
        runner = Runner(client)
        starting = asyncio.create_task(runner.start("wf"))
        await asyncio.sleep(1)
        await runner.aclose()
        run = await starting
        (execution,) = platform.platform.executions("wf")
        assert run.ref.run_id == execution.run_id
        with pytest.raises(RunError):
            await run

    in_memory(test, duration=60.0)


def test_closing_gives_up_on_a_post_after_five_seconds_and_says_so(in_memory):
    async def test(platform, client):
        platform.faults.add("execute", Fault.stall(carried_out=True))
        runner = Runner(client)
        starting = asyncio.create_task(runner.start("wf"))
        await asyncio.sleep(1)
        began = asyncio.get_running_loop().time()
        await runner.aclose()
        assert asyncio.get_running_loop().time() - began == pytest.approx(5, abs=0.1)
        with pytest.raises(SubmissionUncertainError, match="closed"):
            await starting

    in_memory(test)


def test_a_target_that_is_neither_client_nor_runner_is_told_of(in_memory):
    async def test(platform, client):
        with pytest.raises(ConfigurationError, match="target"):
            await run_and_wait(platform, "wf")
        with pytest.raises(ConfigurationError, match="on_uncertain"):
            await run_and_wait(client, "wf", on_uncertain="shrug")

    in_memory(test)


def test_separate_calls_with_one_client_share_its_default_runner(in_memory):
    async def test(platform, client):
        assert client.companion(Runner) is client.companion(Runner)
        await asyncio.gather(*(run_and_wait(client, "wf") for _ in range(5)))
        assert no_overlap(platform, "wf")

    in_memory(test, duration=3.0)


@pytest.mark.parametrize(
    "turned_away",
    [
        Fault.http_status(429, retry_after=3),
        Fault.body_code(403),
        Fault.body_code(999),
    ],
)
def test_a_post_that_was_turned_away_is_not_sent_again_for_nobody(
    in_memory, turned_away
):
    async def test(platform, client):
        await client.list_workflows()
        platform.faults.add("execute", turned_away, Fault.slow_answer(2.0), calls={1})
        runner = client.companion(Runner)
        starting = asyncio.create_task(runner.start("wf"))
        await asyncio.sleep(1)
        starting.cancel()
        await asyncio.sleep(100)
        assert starting.cancelled()
        assert platform.faults.calls["execute"] == 1
        assert platform.platform.executions("wf") == ()
        assert runner.open_runs == ()

    in_memory(test)
