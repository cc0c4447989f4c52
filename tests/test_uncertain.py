"""Executes whose answer is lost: callbacks, evidence, a verdict; in virtual time."""

import asyncio

import pytest
from scenes import called_back

from dpa_async import (
    APIError,
    ConfigurationError,
    Runner,
    RunRef,
    RunStatus,
    Submission,
    SubmissionUncertainError,
    run_and_wait,
)
from dpa_async.events import Looked, Uncertain
from dpa_async.simulator import (
    Behaviour,
    Fault,
    SimulatedWorkflow,
    deliver_to,
)


def test_a_callback_wakes_its_run_which_looks_once():
    async def test(platform, runner):
        result = await run_and_wait(runner, "wf", {"n": 1})
        assert result.looks == 1
        assert result.outputs.json("echo") == {"n": 1}
        assert told[-4].why == "callback"
        (execution,) = platform.platform.runs.values()
        assert result.ended_at.timestamp() > 0
        assert [a.reply for a in platform.callback_attempts] == ["SUCCESS"]
        assert platform.now() - execution.ends_at < 0.1

    told = []
    called_back(test, SimulatedWorkflow("wf", duration=3.0), observers=[told.append])


def test_a_hundred_runs_take_a_look_each():
    async def test(platform, runner):
        results = await asyncio.gather(
            *(run_and_wait(runner, f"w{n}") for n in range(100))
        )
        assert {result.looks for result in results} == {1}
        assert {a.reply for a in platform.callback_attempts} == {"SUCCESS"}
        assert len(platform.callback_attempts) == 100

    called_back(test, duration=(2.0, 4.0))


def test_a_callback_that_never_comes_costs_only_time():
    def deaf(_):
        async def deliver(url, payload):
            raise OSError

        return deliver

    async def test(platform, runner):
        result = await run_and_wait(runner, "wf")
        assert result.status is RunStatus.SUCCEEDED
        assert 1 < result.looks < 10
        assert platform.now() - 1_750_000_000 < 100 + 61 + 10

    called_back(test, SimulatedWorkflow("wf", duration=100.0), deliver=deaf)


def test_callbacks_that_lie_repeat_or_come_early_cost_looks_one_a_second():
    async def test(platform, runner):
        run = await runner.start("wf")
        (execution,) = platform.platform.runs.values()
        waiter = asyncio.create_task(run.result())
        send = deliver_to_of(runner)
        for n in range(500):  # over five seconds
            ids = {"instanceId": f"in{n}", "modelId": "wf", "status": "FAIL"}
            assert await send(execution.callback_url, ids) == "SUCCESS"
            await asyncio.sleep(0.01)
        assert 4 <= run.looks <= 6
        result = await waiter
        assert result.status is RunStatus.SUCCEEDED
        assert result.looks <= 12

    called_back(test, SimulatedWorkflow("wf", duration=60.0))


def deliver_to_of(runner):
    return deliver_to(runner._evidence._callbacks.asgi)


def test_an_answer_that_is_lost_is_proven_by_a_callback():
    async def test(platform, runner):
        platform.faults.add("execute", Fault.answer_lost(), calls={1})
        result = await run_and_wait(runner, "wf", {"n": 1})
        assert result.outputs.json("echo") == {"n": 1}
        assert platform.faults.calls["execute"] == 1
        assert [type(e) for e in told].count(Uncertain) == 1

    told = []
    called_back(test, SimulatedWorkflow("wf", duration=30.0), observers=[told.append])


def test_one_that_was_lost_on_the_way_is_reported_after_the_settle_window():
    async def test(platform, runner):
        platform.faults.add("execute", Fault.reset(), calls={1})
        loop = asyncio.get_running_loop()
        began = loop.time()
        with pytest.raises(SubmissionUncertainError) as caught:
            await run_and_wait(runner, "wf", key="k")
        assert 10 <= loop.time() - began < 12
        submission = caught.value.submission
        assert submission.nonce_sha256
        assert Submission.parse(str(submission)) == submission
        # A person looks at the platform: it did not run.
        await runner.settle(submission, ran=None)
        await run_and_wait(runner, "wf", key="k")
        assert len(platform.platform.runs) == 1

    called_back(test, SimulatedWorkflow("wf", duration=5.0))


def test_without_callbacks_it_is_uncertain_at_once_and_a_person_can_tell(in_memory):
    async def test(platform, client):
        platform.faults.add("execute", Fault.answer_lost(), calls={1})
        async with Runner(client) as runner:
            with pytest.raises(SubmissionUncertainError) as caught:
                await run_and_wait(runner, "wf", {"n": 1})
            submission = caught.value.submission
            assert await runner.resolve(submission) is None
            (execution,) = platform.platform.runs.values()
            ref = RunRef(submission.origin, "wf", execution.run_id)
            await runner.settle(submission, ran=ref)
            assert runner.open_runs == (ref,)
            assert (await runner.attach(ref)).outputs.json("echo") == {"n": 1}

    in_memory(test, SimulatedWorkflow("wf", duration=5.0))


def test_what_a_person_told_is_known_whenever_it_is_asked_for(in_memory):
    async def test(platform, client):
        platform.faults.add("execute", Fault.answer_lost(), calls={1})
        async with Runner(client) as runner:
            with pytest.raises(SubmissionUncertainError) as caught:
                await run_and_wait(runner, "wf")
            (run_id,) = platform.platform.runs
            ref = RunRef(caught.value.submission.origin, "wf", run_id)
            await runner.settle(caught.value.submission, ran=ref)
            found = await runner.resolve(caught.value.submission)
            assert found is await runner.resolve(caught.value.submission)
            result = await found
            assert result.ref == ref
            again = await runner.resolve(caught.value.submission)
            assert (await again).outputs == result.outputs

    in_memory(test)


def test_a_verdict_is_checked_as_far_as_it_can_be(in_memory):
    async def test(platform, client):
        platform.faults.add("execute", Fault.answer_lost(), calls={1})
        async with Runner(client) as runner:
            with pytest.raises(SubmissionUncertainError) as caught:
                await runner.start("wf")
            submission = caught.value.submission
            origin = submission.origin
            with pytest.raises(APIError):
                await runner.settle(submission, ran=RunRef(origin, "wf", "in-none"))
            with pytest.raises(ConfigurationError, match="other"):
                await runner.settle(submission, ran=RunRef(origin, "other", "in1"))
            foreign = RunRef("https://elsewhere.example.com", "wf", "in1")
            with pytest.raises(ConfigurationError, match="elsewhere"):
                await runner.settle(submission, ran=foreign)
            with pytest.raises(ConfigurationError, match="submission"):
                await runner.settle("nonsense", ran=None)
            elsewhere = Submission("https://elsewhere.example.com", "k", "wf", "0" * 64)
            with pytest.raises(ConfigurationError, match="elsewhere"):
                await runner.resolve(elsewhere)

    in_memory(test)


@pytest.mark.parametrize("ran", [True, False])
def test_whoever_waits_gets_a_persons_verdict(in_memory, ran):
    async def test(platform, client):
        fault = Fault.answer_lost() if ran else Fault.reset()
        platform.faults.add("execute", fault, calls={1})
        told = []
        async with Runner(client, observers=[told.append]) as runner:
            waiting = asyncio.create_task(
                run_and_wait(runner, "wf", {"n": 1}, on_uncertain="wait")
            )
            await asyncio.sleep(1000)
            assert not waiting.done()
            (uncertain,) = (e for e in told if type(e) is Uncertain)
            ref = None
            if ran:
                (execution,) = platform.platform.runs.values()
                ref = RunRef(uncertain.submission.origin, "wf", execution.run_id)
            await runner.settle(uncertain.submission, ran=ref)
            assert (await waiting).outputs.json("echo") == {"n": 1}
        assert len(platform.platform.runs) == 1

    in_memory(test, SimulatedWorkflow("wf", duration=5.0))


def test_waiting_for_a_verdict_ends_at_the_deadline(in_memory):
    async def test(platform, client):
        platform.faults.add("execute", Fault.answer_lost(), calls={1})
        with pytest.raises(SubmissionUncertainError, match="deadline"):
            await run_and_wait(client, "wf", on_uncertain="wait", timeout=100)
        await run_and_wait(client, "wf")  # the lane is free again

    in_memory(test, SimulatedWorkflow("wf", duration=5.0))


def test_rerun_is_for_workflows_that_may_run_twice(in_memory):
    async def test(platform, client):
        platform.faults.add("execute", Fault.answer_lost(), calls={1})
        result = await run_and_wait(client, "wf", {"n": 1}, on_uncertain="rerun")
        assert result.outputs.json("echo") == {"n": 1}
        first, second = platform.platform.executions("wf")
        assert second.submitted_at >= first.ends_at

    in_memory(test, SimulatedWorkflow("wf", duration=20.0))


def test_a_callback_after_the_report_is_found_by_asking_again():
    held = []

    def late(to_receiver):
        async def deliver(url, payload):
            await asyncio.sleep(100)
            held.append(payload)
            return await to_receiver(url, payload)

        return deliver

    async def test(platform, runner):
        platform.faults.add("execute", Fault.answer_lost(), calls={1})
        with pytest.raises(SubmissionUncertainError) as caught:
            await run_and_wait(runner, "wf", {"n": 1})
        assert await runner.resolve(caught.value.submission) is None
        await asyncio.sleep(100)
        assert held
        for _ in range(3):
            found = await runner.resolve(caught.value.submission)
            assert (await found).outputs.json("echo") == {"n": 1}

    called_back(
        test,
        SimulatedWorkflow("wf", duration=5.0),
        deliver=late,
        behaviour=Behaviour(callback_timeout=200.0),
    )


@pytest.mark.parametrize("claimed", ["unknown", "of-another-workflow", "bound", "old"])
def test_a_claim_is_believed_only_for_an_unbound_run_that_the_platform_knows(claimed):
    async def test(platform, runner):
        old = await run_and_wait(runner, "wf")
        other = await runner.start("other")
        platform.faults.add("execute", Fault.reset(), first=1)
        starting = asyncio.create_task(runner.start("wf"))
        await asyncio.sleep(1)
        workflow, run_id = {
            "unknown": ("wf", "in-nowhere"),
            "of-another-workflow": ("other", other.ref.run_id),
            "bound": ("wf", other.ref.run_id),
            "old": ("wf", old.ref.run_id),
        }[claimed]
        (tracked,) = runner._evidence._in_doubt.values()
        ids = {"instanceId": run_id, "modelId": workflow, "status": "FINISH"}
        reply = await deliver_to_of(runner)(tracked.callback_url, ids)
        assert reply == "SUCCESS"
        with pytest.raises(SubmissionUncertainError, match="callback"):
            await starting

    called_back(
        test,
        SimulatedWorkflow("wf", duration=5.0),
        SimulatedWorkflow("other", duration=500.0),
    )


def test_the_nonce_is_a_secret(caplog):
    async def test(platform, runner):
        platform.faults.add("execute", Fault.answer_lost(), calls={1})
        platform.faults.add("execute", Fault.reset(), calls={2})
        result = await run_and_wait(runner, "wf")
        with pytest.raises(SubmissionUncertainError) as caught:
            await run_and_wait(runner, "wf")
        urls = [r.callback_url for r in platform.platform.runs.values()]
        nonce = urls[0].rpartition("/")[2]
        shown = [repr(caught.value), str(caught.value), repr(result), repr(told)]
        shown += [repr(runner), caplog.text, str(caught.value.submission)]
        assert len(nonce) >= 22
        assert not any(nonce in text for text in shown)

    told = []
    with caplog.at_level(0):
        called_back(
            test, SimulatedWorkflow("wf", duration=5.0), observers=[told.append]
        )
    assert any(type(e) is Looked for e in told)


def test_what_was_expected_is_forgotten_at_the_end():
    async def test(platform, runner):
        await asyncio.gather(*(run_and_wait(runner, f"w{n}") for n in range(20)))
        platform.faults.add("execute", Fault.body_code(400), first=1)
        with pytest.raises(APIError):
            await runner.start("refused")
        expectations = runner._evidence._callbacks._expectations
        assert len(expectations) == 0

    called_back(test, duration=3.0)


def test_what_was_found_and_attached_to_before_the_verdict_is_one_run(in_memory):
    async def test(platform, client):
        told = []
        platform.faults.add("execute", Fault.answer_lost(), calls={1})
        async with Runner(client, observers=[told.append]) as runner:
            starting = asyncio.create_task(
                runner.start("wf", key="k", on_uncertain="wait")
            )
            await asyncio.sleep(3)
            (doubt,) = (e.submission for e in told if isinstance(e, Uncertain))
            (execution,) = platform.platform.executions("wf")
            found = runner.attach(RunRef(platform.url, "wf", execution.run_id))
            waiting = asyncio.create_task(found.result())
            await asyncio.sleep(1)
            await runner.settle(doubt, ran=found.ref)
            assert await starting is found
            assert found.key == "k"
            await waiting
        kinds = [type(event).__name__ for event in told]
        assert kinds.count("Submitted") == kinds.count("Ended") == 1

    in_memory(test, SimulatedWorkflow("wf", duration=60.0))
