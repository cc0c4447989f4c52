"""Edges that once cut: the same tick, short waits, mistakes of users; virtual time."""

import asyncio
import math
from contextlib import suppress
from types import MappingProxyType

import pytest

from dpa_async import (
    AuthenticationError,
    ConfigurationError,
    DPAClient,
    Limits,
    NotStartedError,
    RunError,
    RunFailedError,
    Runner,
    RunRef,
    RunRequest,
    RunStatus,
    RunTimeoutError,
    RunUnreachableError,
    SubmissionUncertainError,
    WaitPolicy,
    run_and_wait,
    run_many,
)
from dpa_async.events import Submitted, Uncertain
from dpa_async.simulator import Behaviour, Fault, MemorySimulator, SimulatedWorkflow
from dpa_async.simulator.virtual_time import run


@pytest.mark.parametrize("lost", [False, True])
def test_a_deadline_in_the_very_tick_of_the_answer_never_says_not_started(lost):
    async def one(timeout):
        platform = MemorySimulator([SimulatedWorkflow("wf", duration=100)])
        async with DPAClient(platform.settings(), backend=platform) as client:
            runner = client.companion(Runner)
            await client.list_workflows()
            if lost:
                platform.faults.add("execute", Fault.body_code(500, carried_out=True))
            try:
                await runner.start("wf", timeout=timeout)
            except NotStartedError:
                assert not platform.platform.executions("wf")
            except SubmissionUncertainError:
                assert platform.faults.calls["execute"]
            else:
                assert len(runner.open_runs) == 1
            assert platform.faults.calls["execute"] <= 1
        await platform.aclose()

    answer = 0.005
    around = (math.nextafter(answer, 0), answer, math.nextafter(answer, 1))
    near = [answer + step * 1e-10 for step in range(-30, 31)]
    for timeout in (0.001, *around, *near, 0.006):
        run(one(timeout))


def test_waiting_again_and_again_for_a_short_time_does_look(in_memory):
    async def test(platform, client):
        handle = await client.companion(Runner).start("wf")
        for _ in range(3):
            with suppress(RunTimeoutError):
                await handle.result(timeout=0.4)
        assert handle.ended

    in_memory(test, SimulatedWorkflow("wf", duration=0.1))


@pytest.mark.parametrize("has_token", [False, True])
def test_a_deadline_of_zero_sends_nothing(in_memory, has_token):
    async def test(platform, client):
        if has_token:  # then nothing else is waited for before the execute
            await client.list_workflows()
        with pytest.raises(NotStartedError):
            await run_and_wait(client, "wf", timeout=0)
        assert platform.faults.calls["execute"] == 0

    in_memory(test)


def test_an_older_answer_never_undoes_an_end(in_memory):
    async def test(platform, client):
        handle = await client.companion(Runner).start("wf")
        platform.faults.add("getProcessRunStatus", Fault.slow_answer(5), calls={1})
        late = asyncio.create_task(handle.status())
        with pytest.raises(RunFailedError):
            await handle
        assert await late is RunStatus.FAILED
        with pytest.raises(RunFailedError):
            await handle

    in_memory(test, SimulatedWorkflow("wf", duration=1, fails=True))


def test_a_bug_in_a_policy_is_told_with_the_run_that_it_was_for(in_memory):
    def jitter(interval):
        raise LookupError("a bug of the user's")

    async def test(platform, client):
        async with Runner(client, wait=WaitPolicy(jitter=jitter)) as runner:
            for workflow in ("a", "b"):
                with pytest.raises(ConfigurationError, match="user's") as caught:
                    await (await runner.start(workflow))
                assert caught.value.ref in runner.open_runs
            with pytest.raises(
                ConfigurationError, match=r"^the wait policy raised Look"
            ):
                await runner.start("a")  # it runs, and nobody can wait for its end

    in_memory(test)


def test_a_foreign_exception_in_a_batch_ends_it_at_once(in_memory):
    class Odd(dict):
        def __deepcopy__(self, _):
            raise LookupError("a bug of the user's")

    async def test(platform, client):
        requests = [RunRequest(f"w{n}", {"odd": Odd()}) for n in range(9)]
        with pytest.raises(LookupError, match="user's"):
            await anext(run_many(client, requests, concurrency=1))

    in_memory(test)


def test_a_first_look_of_zero_goes_on_for_hours(in_memory):
    async def test(platform, client):
        async with Runner(client, wait=WaitPolicy(first_look=0)) as runner:
            await run_and_wait(runner, "wf")

    in_memory(test, SimulatedWorkflow("wf", duration=40_000.0))


def test_a_source_that_was_cancelled_inside_ends_the_batch_with_an_error(in_memory):
    async def source():
        yield RunRequest("a")
        task = asyncio.create_task(asyncio.sleep(10))
        task.cancel()
        await task
        yield RunRequest("b")

    async def test(platform, client):
        batch = run_many(client, source())
        await anext(batch)
        with pytest.raises(ConfigurationError, match="source"):
            await anext(batch)

    in_memory(test)


def test_a_source_that_swallows_its_cancel_starts_nothing_more(in_memory):
    async def source():
        yield RunRequest("a")
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            yield RunRequest("late")

    async def test(platform, client):
        batch = run_many(client, source())
        await anext(batch)
        await batch.aclose()
        await asyncio.sleep(100)
        assert platform.faults.calls["execute"] == 1

    in_memory(test)


def test_an_observer_that_raises_cancelled_cancels_nobody(in_memory):
    def observer(event):
        if isinstance(event, Submitted):
            raise asyncio.CancelledError

    async def test(platform, client):
        async with Runner(client, observers=[observer]) as runner:
            await run_and_wait(runner, "wf")

    in_memory(test)


def test_closing_twice_at_once_still_finishes_a_post_that_is_out(in_memory):
    async def test(platform, client):
        runner = Runner(client)
        platform.faults.add("execute", Fault.slow_answer(2))
        starting = asyncio.create_task(runner.start("wf"))
        await asyncio.sleep(1)
        await asyncio.gather(*(client.aclose() for _ in range(3)), runner.aclose())
        (execution,) = platform.platform.executions("wf")
        assert (await starting).ref.run_id == execution.run_id

    in_memory(test, duration=100.0)


def test_closing_the_client_closes_its_runners_first_and_waiters_keep_their_ref():
    async def main():
        platform = MemorySimulator(duration=100.0)
        client = DPAClient(platform.settings(), backend=platform)
        waiting = asyncio.create_task(run_and_wait(Runner(client), "wf"))
        await asyncio.sleep(5)
        await client.aclose()
        with pytest.raises(RunError) as caught:
            await waiting
        assert caught.value.ref.workflow_id == "wf"
        await platform.aclose()

    run(main())


def test_a_task_that_swallowed_a_cancel_is_told_that_the_runner_closed(in_memory):
    async def stubborn(handle):
        try:
            await asyncio.sleep(100)
        except asyncio.CancelledError:
            return await handle

    async def test(platform, client):
        runner = Runner(client)
        task = asyncio.create_task(stubborn(await runner.start("wf")))
        await asyncio.sleep(1)
        task.cancel()
        await asyncio.sleep(1)
        await runner.aclose()
        with pytest.raises(RunError):
            await task

    in_memory(test, duration=1000.0)


def test_nobody_is_left_to_be_told_so_observers_are(in_memory):
    async def test(platform, client):
        told = []
        platform.faults.add("execute", Fault.stall(carried_out=True))
        runner = Runner(client, observers=[told.append])
        starting = asyncio.create_task(runner.start("wf", key="mine"))
        await asyncio.sleep(1)
        starting.cancel()
        await asyncio.sleep(0)
        await runner.aclose()
        assert isinstance(told[-2], Uncertain)
        assert told[-2].submission.key == "mine"
        assert told[-2].submission.sent_at is not None

    in_memory(test)


def test_a_token_that_expires_while_its_request_queues_is_not_used(in_memory):
    async def main():
        platform = MemorySimulator(behaviour=Behaviour(token_lifetime=60), duration=1)
        settings = platform.settings(limits=Limits(requests_per_second=1))
        async with DPAClient(settings, backend=platform) as client:
            requests = [RunRequest(f"w{n}") for n in range(100)]
            async with run_many(client, requests) as batch:
                errors = [outcome.error async for outcome in batch]
        assert errors == [None] * 100
        assert platform.faults.calls["execute"] == 100
        await platform.aclose()

    run(main())


def test_params_are_those_of_the_moment_of_the_call(in_memory):
    async def test(platform, client):
        runner = client.companion(Runner)
        params = {"days": ["1"]}
        await runner.start("wf")
        queued = asyncio.create_task(runner.start("wf", params))
        await asyncio.sleep(1)
        params["days"].append("2")
        await queued
        assert platform.platform.executions("wf")[-1].params == {"days": ["1"]}

    in_memory(test, duration=10.0)


def test_a_stale_list_does_not_make_a_busy_workflow_an_error(in_memory):
    async def test(platform, client):
        await client.list_workflows()
        platform.platform.execute_as_other_user("wf", platform.now(), 60.0)
        await run_and_wait(client, "wf")

    in_memory(test, SimulatedWorkflow("wf"), behaviour=Behaviour(list_all_lag=2.0))


def test_a_look_that_stalls_does_not_outlast_max_silence(in_memory):
    async def test(platform, client):
        platform.faults.add("getProcessRunStatus", Fault.stall())
        began = asyncio.get_running_loop().time()
        async with Runner(client, wait=WaitPolicy(max_silence=10)) as runner:
            with pytest.raises(RunUnreachableError):
                await run_and_wait(runner, "wf")
        # Ten seconds, and the look that was out when they had passed.
        assert asyncio.get_running_loop().time() - began < 10 + 2 * 30

    in_memory(test, duration=10_000.0)


def test_a_refused_connection_is_tried_again_until_the_deadline(in_memory):
    async def test(platform, client):
        await client.list_workflows()
        platform.faults.add("execute", Fault.refused(), first=200)
        starts = (run_and_wait(client, f"w{n}", timeout=600) for n in range(50))
        await asyncio.gather(*starts)
        assert len(platform.platform.runs) == 50

    in_memory(test)


def test_every_error_of_a_start_and_of_a_look_says_what_it_is_about(in_memory):
    async def test(platform, client):
        runner = client.companion(Runner)
        platform.faults.add("listVar", Fault.body_code(500))
        with pytest.raises(Exception, match="listVar") as caught:
            await run_and_wait(client, "wf", key="k", validate=True)
        assert caught.value.submission.key == "k"
        ref = RunRef(client.settings.base_url, "wf", "unknown")
        with pytest.raises(Exception, match="getProcessRunStatus") as caught:
            await runner.attach(ref).status()
        assert caught.value.ref == ref

    in_memory(test)


def test_arguments_of_the_wrong_type_are_told_of(in_memory):
    async def test(platform, client):
        runner = client.companion(Runner)
        handle = await runner.start("wf")
        for call in (
            lambda: runner.attach(5),
            lambda: runner.attach(handle),
            lambda: run_many(client, 5),
            lambda: Runner(client, wait=5),
            lambda: Runner(None),
            lambda: DPAClient(None),
            lambda: WaitPolicy(jitter="x"),
            lambda: WaitPolicy(wait_gen=5),
        ):
            with pytest.raises(ConfigurationError):
                call()
        for call in (
            client.get_run_status(str(handle.ref)),
            client.get_outputs(None),
            client.execute("wf", callback_url=5),
            client.execute("wf", sync_wait="x"),
            handle.result(timeout="5"),
            handle.result(timeout=float("nan")),
            runner.start("wf", key=5),
            runner.start("wf", timeout=10**400),
            runner.start("wf", [1]),
            runner.start(5),
            run_and_wait(client, "wf", {1: "x"}, validate=True),
        ):
            with pytest.raises(ConfigurationError):
                await call

    in_memory(test)


def test_waiting_for_a_turn_is_no_silence_of_the_platform():
    async def main():
        platform = MemorySimulator(duration=3000)
        settings = platform.settings(limits=Limits(requests_per_second=2))
        async with DPAClient(settings, backend=platform) as client:
            requests = [RunRequest(f"w{n}") for n in range(700)]
            async with run_many(client, requests, concurrency=700) as batch:
                assert [o.error async for o in batch] == [None] * 700
        await platform.aclose()

    run(main())


def test_a_run_that_may_not_be_read_spoils_no_neighbours_token(in_memory):
    async def test(platform, client):
        platform.faults.add(
            "getProcessRunStatus",
            Fault.body_code(403),
            where=lambda request: "modelId=bad" in request.target,
        )
        bad = client.companion(Runner).attach((await client.execute("bad")).run)
        for n in range(20):
            with pytest.raises(AuthenticationError):
                await bad.status()
            platform.faults.add("execute", Fault.token_revoked(), calls={1})
            await run_and_wait(client, f"w{n}")

    in_memory(test)


def test_where_no_run_may_be_read_tokens_are_not_fetched_for_each(in_memory):
    async def test(platform, client):
        platform.faults.add("getProcessRunStatus", Fault.body_code(403))
        async with Runner(client, wait=WaitPolicy(max_silence=60)) as runner:
            waits = (run_and_wait(runner, f"w{n}") for n in range(200))
            ended = await asyncio.gather(*waits, return_exceptions=True)
        assert {type(each) for each in ended} == {RunUnreachableError}
        assert platform.faults.calls["token"] <= 20

    in_memory(test, duration=600.0)


def test_any_mapping_will_do_for_params(in_memory):
    async def test(platform, client):
        result = await run_and_wait(client, "wf", MappingProxyType({"n": 1}))
        assert result.outputs.json("echo") == {"n": 1}

    in_memory(test)


def test_closing_that_was_cancelled_is_finished_by_the_next(in_memory):
    async def test(platform, client):
        runner = Runner(client)
        platform.faults.add("execute", Fault.slow_answer(2))
        starting = asyncio.create_task(runner.start("wf"))
        await asyncio.sleep(1)
        closing = asyncio.create_task(client.aclose())
        await asyncio.sleep(0.5)
        closing.cancel()
        await client.aclose()
        assert (await starting).ref in runner.open_runs

    in_memory(test, duration=100.0)


@pytest.mark.parametrize("mistake", ["text", "raises"])
def test_a_token_provider_that_makes_mistakes_is_told_of(mistake):
    class Provider:
        async def get(self):
            if mistake == "raises":
                raise RuntimeError("the vault is down")
            return "text"

        renew = get

    async def main():
        platform = MemorySimulator()
        settings = platform.settings()
        async with DPAClient(settings, backend=platform, tokens=Provider()) as client:
            with pytest.raises(ConfigurationError, match="token provider"):
                await run_and_wait(client, "wf")

    run(main())


def test_a_key_is_unique_in_a_batch(in_memory):
    async def test(platform, client):
        requests = [RunRequest(f"w{n}", key="same") for n in range(3)]
        async with run_many(client, requests) as batch:
            errors = [outcome.error async for outcome in batch]
        assert errors.count(None) == 1
        assert [type(e) for e in errors if e] == [ConfigurationError] * 2
        assert platform.faults.calls["execute"] == 1

    in_memory(test)
