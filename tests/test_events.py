"""What observers are told, in order; in virtual time."""

import asyncio
import logging

import pytest
from scenes import called_back, journaled, lives

from dpa_async import (
    NotStartedError,
    RunError,
    Runner,
    RunRequest,
    SubmissionError,
    SubmissionUncertainError,
    WaitPolicy,
    run_and_wait,
    run_many,
)
from dpa_async.events import (
    Attached,
    Detached,
    Ended,
    Looked,
    OutputsRead,
    Queued,
    StatusChanged,
    Submitted,
    Uncertain,
    Unqueued,
)
from dpa_async.simulator import Fault, SimulatedWorkflow


def test_the_events_of_a_run_come_in_order(in_memory):
    async def test(platform, client):
        told = []
        platform.faults.add("getProcessRunStatus", Fault.body_code(997), calls={1})
        async with Runner(client, observers=[told.append]) as runner:
            result = await run_and_wait(runner, "wf", key="k")
        kinds = [type(event) for event in told]
        assert kinds[:3] == [Queued, Submitted, Looked]
        assert kinds[-3:] == [StatusChanged, Ended, OutputsRead]
        assert told[0].key == told[1].key == "k"
        assert told[2].status is None  # the look that failed
        assert kinds.count(Looked) == result.looks
        assert told[-2].at == result.ended_at
        assert told[-1].outputs == result.outputs
        assert Detached not in kinds

    in_memory(test, SimulatedWorkflow("wf", duration=5.0))


def test_an_uncertain_start_and_a_detached_run_are_told(in_memory):
    async def test(platform, client):
        told = []
        async with Runner(client, observers=[told.append]) as runner:
            with pytest.raises(TimeoutError):
                await run_and_wait(runner, "wf", timeout=3)
            assert isinstance(told[-1], Detached)
            platform.faults.add("execute", Fault.answer_lost())
            with pytest.raises(SubmissionUncertainError) as caught:
                await run_and_wait(runner, "other", key="lost")
            assert told[-2:] == [
                Uncertain(caught.value.submission),
                Unqueued("lost", "other", "SubmissionUncertainError"),
            ]

    in_memory(test, SimulatedWorkflow("wf", duration=60.0), SimulatedWorkflow("other"))


def test_an_observer_that_raises_harms_nobody_and_is_reported_once(in_memory, caplog):
    def broken(event):
        raise LookupError("broken")

    async def test(platform, client):
        told = []
        async with Runner(client, observers=[broken, told.append]) as runner:
            await run_and_wait(runner, "wf")
        assert len(told) > 3

    with caplog.at_level(logging.DEBUG, logger="dpa_async"):
        in_memory(test)
    (record,) = caplog.records
    assert "observer" in record.message


def key_events(told, key):
    return [event for event in told if getattr(event, "key", None) == key]


def test_whatever_is_queued_is_submitted_or_leaves_its_lane(in_memory):
    async def test(platform, client):
        told = []
        async with Runner(client, observers=[told.append]) as runner:
            platform.faults.add("execute", Fault.body_code(997), calls={1})
            outcomes = [
                "submitted" if event.error is None else type(event.error).__name__
                async for event in run_many(
                    runner,
                    [
                        RunRequest("first", key="doubted"),
                        RunRequest("no such workflow", key="refused"),
                        RunRequest("wf", key="in time"),
                        RunRequest("wf", key="late", timeout=1),
                    ],
                    ordered=True,
                )
            ]
            cancelled = asyncio.create_task(runner.start("wf", key="cancelled"))
            running = await runner.start("wf", key="before")
            await asyncio.sleep(1)
            cancelled.cancel()
            await asyncio.sleep(1)
        assert running.ref.workflow_id == "wf"
        assert outcomes[0] == "SubmissionUncertainError"
        assert outcomes[2:] == ["submitted", "NotStartedError"]
        for key, outcome in zip(
            ("doubted", "refused", "in time", "late"), outcomes, strict=True
        ):
            *_, first, last = key_events(told, key)
            assert isinstance(first, Queued)
            if outcome == "submitted":
                assert isinstance(last, Submitted)
            else:
                assert last.problem == outcome
        assert key_events(told, "cancelled")[-1].problem == "CancelledError"

    in_memory(test, SimulatedWorkflow("wf", duration=5.0), SimulatedWorkflow("first"))


def test_a_key_that_has_a_run_by_its_turn_leaves_its_lane_too(tmp_path):
    async def test(platform):
        told = []
        async with journaled(platform, tmp_path / "j", observers=[told.append]) as (
            runner,
            _,
        ):
            twins = [
                asyncio.create_task(run_and_wait(runner, "wf", key="twin"))
                for _ in range(2)
            ]
            one, other = await asyncio.gather(*twins)
        assert one.ref == other.ref
        told = key_events(told, "twin")
        assert [type(event) for event in told[:3]] == [Queued, Queued, Submitted]
        assert told[3] == Unqueued("twin", "wf", None)

    lives(test, SimulatedWorkflow("wf", duration=0.2))


def test_attached_and_detached_stand_for_who_waits(in_memory):
    async def test(platform, client):
        told = []

        def of_waiting():
            return [type(e) for e in told if isinstance(e, Attached | Detached)]

        started = await client.companion(Runner).start("wf")
        async with Runner(client, observers=[told.append]) as runner:
            run = runner.attach(started.ref)
            await run.status()  # looks, and waits for nothing
            assert of_waiting() == []
            for _ in range(2):
                waiting = (run.result(timeout=1), run.result(timeout=2))
                await asyncio.gather(*waiting, return_exceptions=True)
            assert of_waiting() == [Attached, Detached] * 2
            waiting = asyncio.create_task(run.result())
            await asyncio.sleep(1)
        with pytest.raises(RunError):
            await waiting
        assert of_waiting() == [Attached, Detached] * 3

    in_memory(test, SimulatedWorkflow("wf", duration=60.0))


def test_what_nobody_waited_for_is_let_go_of_when_the_runner_is_closed(in_memory):
    async def test(platform, client):
        told = []
        async with Runner(client, observers=[told.append]) as runner:
            seen = await runner.start("wf")
            await asyncio.sleep(10)
            await seen.status()
            unseen = await runner.start("wf")
            assert not [e for e in told if isinstance(e, Detached)]
        assert [e for e in told if isinstance(e, Detached)] == [Detached(unseen.ref)]

    in_memory(test, SimulatedWorkflow("wf", duration=5.0))


def test_the_lag_is_at_most_what_lies_since_the_last_sign(in_memory):
    async def test(platform, client):
        told = []
        policy = WaitPolicy(first_look=2, multiplier=1, jitter=lambda s: s)
        async with Runner(client, wait=policy, observers=[told.append]) as runner:
            await run_and_wait(runner, "wf")
            (ended,) = (e for e in told if isinstance(e, Ended))
            assert ended.lag == pytest.approx(2.0, abs=0.3)
            run = await client.companion(Runner).start("wf")
            await asyncio.sleep(60)
            await runner.attach(run.ref)  # over for long: nobody knows for how long
            assert [e for e in told if isinstance(e, Ended)][-1].lag is None

    in_memory(test, SimulatedWorkflow("wf", duration=5.0))


def test_the_lag_of_a_run_that_calls_back_counts_from_then(in_memory):
    told = []

    async def test(platform, runner):
        await run_and_wait(runner, "wf")
        (ended,) = (e for e in told if isinstance(e, Ended))
        assert 0 <= ended.lag < 0.5

    called_back(test, SimulatedWorkflow("wf", duration=30.0), observers=[told.append])


def test_a_callback_whose_look_fails_is_not_forgotten():
    told = []

    async def test(platform, runner):
        platform.faults.add("callback", Fault.answer_lost())  # so it comes four times
        platform.faults.add("getProcessRunStatus", Fault.http_status(503), first=8)
        await run_and_wait(runner, "wf")
        (run,) = platform.platform.executions("wf")
        (ended,) = (e for e in told if isinstance(e, Ended))
        late = platform.now() - run.ends_at
        assert 1 < late < 60  # it was not left to the safety's look
        assert ended.lag == pytest.approx(late, abs=0.5)  # since the first callback
        assert [e.why for e in told if isinstance(e, Looked)][-1] == "callback"

    called_back(test, SimulatedWorkflow("wf", duration=30.0), observers=[told.append])


async def a_deadline_while_somebody_else_runs_it(platform, runner):
    platform.platform.execute_as_other_user("wf", platform.now())
    await runner.start("wf", key="k", timeout=5)


async def a_deadline_while_the_connection_is_refused(platform, runner):
    platform.faults.add("execute", Fault.refused())
    await runner.start("wf", key="k", timeout=5)


async def a_deadline_while_proof_is_waited_for(platform, runner):
    platform.faults.add("execute", Fault.answer_lost())
    await runner.start("wf", key="k", timeout=5, on_uncertain="wait")


async def the_runner_is_closed_while_the_post_is_out(platform, runner):
    platform.faults.add("execute", Fault.slow_answer(20.0))
    starting = asyncio.create_task(runner.start("wf", key="k"))
    await asyncio.sleep(1)
    await runner.aclose()
    await starting


async def the_runner_is_closed_while_somebody_else_runs_it(platform, runner):
    platform.platform.execute_as_other_user("wf", platform.now())
    starting = asyncio.create_task(runner.start("wf", key="k"))
    await asyncio.sleep(1)
    await runner.aclose()
    await starting


@pytest.mark.parametrize(
    ("scene", "raised"),
    [
        (a_deadline_while_somebody_else_runs_it, NotStartedError),
        (a_deadline_while_the_connection_is_refused, NotStartedError),
        (a_deadline_while_proof_is_waited_for, SubmissionUncertainError),
        (the_runner_is_closed_while_the_post_is_out, SubmissionUncertainError),
        (the_runner_is_closed_while_somebody_else_runs_it, SubmissionError),
    ],
)
def test_what_leaves_its_lane_is_told_with_what_is_raised(in_memory, scene, raised):
    async def test(platform, client):
        told = []
        async with Runner(client, observers=[told.append]) as runner:
            with pytest.raises(raised):
                await scene(platform, runner)
        (problem,) = (e.problem for e in told if isinstance(e, Unqueued))
        assert problem == raised.__name__

    in_memory(test, SimulatedWorkflow("wf", duration=60.0))


def test_a_waiter_that_leaves_while_its_post_is_out_leaves_a_doubt(in_memory):
    async def test(platform, client):
        told = []
        platform.faults.add("execute", Fault.slow_answer(20.0))
        async with Runner(client, observers=[told.append]) as runner:
            starting = asyncio.create_task(runner.start("wf", key="k"))
            await asyncio.sleep(1)
            starting.cancel()
        assert told[-1] == Unqueued("k", "wf", "SubmissionUncertainError")

    in_memory(test, SimulatedWorkflow("wf", duration=60.0))


def test_an_older_look_that_fails_tells_nothing_of_a_run_that_is_over(in_memory):
    async def test(platform, client):
        told = []
        async with Runner(client, observers=[told.append]) as runner:
            run = await runner.start("wf")
            await asyncio.sleep(10)
            platform.faults.add("getProcessRunStatus", Fault.stall(), calls={1})
            hanging = asyncio.create_task(run.status())
            await asyncio.sleep(1)
            result = await run
            assert await hanging is result.status
        assert all(event.status for event in told if isinstance(event, Looked))

    in_memory(test, SimulatedWorkflow("wf", duration=5.0))


def test_an_observer_that_raises_within_another_event_harms_nobody(in_memory):
    async def test(platform, client):
        waiting = []

        def broken(event):
            if isinstance(event, Looked) and waiting:
                waiting.pop().cancel()  # whereupon the run is let go of
            assert not isinstance(event, Looked | Detached)

        async with Runner(client, observers=[broken]) as runner:
            run = await runner.start("wf")
            waiting.append(run.end())
            assert not (await run.status()).ended
            assert (await run).status.ended

    in_memory(test, SimulatedWorkflow("wf", duration=5.0))


def test_of_observers_that_are_equal_only_the_one_that_raises_is_left_out(in_memory):
    class Observer:
        def __init__(self, *, works):
            self.works = works
            self.told = []

        def __eq__(self, other):
            return isinstance(other, Observer)

        __hash__ = None

        def __call__(self, event):
            self.told.append(event)
            assert self.works

    async def test(platform, client):
        good, bad = Observer(works=True), Observer(works=False)
        async with Runner(client, observers=[good, bad]) as runner:
            await run_and_wait(runner, "wf")
        assert len(bad.told) == 1
        assert len(good.told) > 3

    in_memory(test)
