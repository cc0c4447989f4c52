"""What is counted: batches, runs alone, and those of earlier processes."""

import asyncio
import gc
import weakref

import pytest
from scenes import journaled, lives

from dpa_async import (
    ConfigurationError,
    Runner,
    RunRequest,
    WaitPolicy,
    run_and_wait,
    run_many,
)
from dpa_async.events import Looked, Submitted
from dpa_async.progress import Progress
from dpa_async.simulator import Fault, SimulatedWorkflow


def counted(snapshot):
    return {
        "queued": snapshot.queued,
        "running": snapshot.running,
        "succeeded": snapshot.succeeded,
        "failed": snapshot.failed,
        "uncertain": snapshot.uncertain,
        "not_started": snapshot.not_started,
        "left_running": snapshot.left_running,
    }


def those_of(snapshot):
    return {name: number for name, number in counted(snapshot).items() if number}


def test_every_request_of_a_batch_is_counted_once_whatever_becomes_of_it(in_memory):
    async def test(platform, client):
        lost, gone = (lambda r, w=w: r.target.endswith(w) for w in ("lost", "gone"))
        platform.faults.add("execute", Fault.answer_lost(), where=lost)
        platform.faults.add("execute", Fault.body_code(404), where=gone)
        requests = [
            *(RunRequest(f"w{n % 5}") for n in range(20)),
            *(RunRequest("bad") for _ in range(3)),
            *(RunRequest("lost") for _ in range(2)),
            RunRequest("gone"),
            RunRequest("endless", timeout=30.0),
            RunRequest("endless", timeout=20.0),  # behind the other: not started
        ]
        progress = Progress(total=len(requests))
        async with (
            Runner(client, observers=[progress]) as runner,
            run_many(runner, requests) as batch,
        ):
            done = 0
            async for outcome in batch:
                progress.add(outcome)
                done += 1
                now = progress.snapshot()
                assert sum(counted(now).values()) == len(requests)
                assert done <= now.done <= len(requests)
        assert those_of(progress.snapshot()) == {
            "succeeded": 20,
            "failed": 3,
            "uncertain": 2,
            "not_started": 2,
            "left_running": 1,
        }

    in_memory(
        test,
        *(SimulatedWorkflow(f"w{n}", duration=2.0) for n in range(5)),
        SimulatedWorkflow("bad", fails=True),
        SimulatedWorkflow("lost"),
        SimulatedWorkflow("gone"),
        SimulatedWorkflow("endless", duration=float("inf")),
    )


def test_what_is_queued_runs_and_is_slowest_is_seen_meanwhile(in_memory):
    async def test(platform, client):
        progress = Progress(total=4)
        async with Runner(client, observers=[progress]) as runner:
            runs = [asyncio.create_task(run_and_wait(runner, "w")) for _ in range(3)]
            await asyncio.sleep(10)
            runs.append(asyncio.create_task(run_and_wait(runner, "other")))
            await asyncio.sleep(10)
            now = progress.snapshot()
            assert those_of(now) == {"queued": 2, "running": 2}
            assert now.elapsed == pytest.approx(20, abs=0.1)
            assert [name for name, _ in now.slowest] == ["w", "other"]
            assert now.slowest[0][1] == pytest.approx(20, abs=0.1)
            await asyncio.gather(*runs)
            now = progress.snapshot()
            assert those_of(now) == {"succeeded": 4}
            assert now.slowest == ()

    in_memory(
        test, *(SimulatedWorkflow(name, duration=60.0) for name in ("w", "other"))
    )


def test_looks_and_requests_are_those_of_the_platform(in_memory):
    async def test(platform, client):
        progress = Progress(total=30)
        requests = (RunRequest(f"w{n}") for n in range(30))
        async with Runner(client, observers=[progress]) as runner:
            async for outcome in run_many(runner, requests):
                progress.add(outcome)
        now = progress.snapshot()
        calls = platform.faults.calls
        assert now.looks_per_run == calls["getProcessRunStatus"] / 30
        told = 60 + calls["getProcessRunStatus"]
        assert now.requests_per_second * now.elapsed == pytest.approx(told)
        assert now.runs_per_second * now.elapsed == pytest.approx(30)

    in_memory(test, duration=(2.0, 9.0))


def test_rates_are_those_of_the_last_quarter_of_a_minute(in_memory):
    async def test(platform, client):
        progress = Progress()
        async with Runner(client, observers=[progress]) as runner:
            async for _ in run_many(runner, (RunRequest(f"w{n}") for n in range(50))):
                progress.snapshot()
            for _ in range(30):
                await asyncio.sleep(1)
                now = progress.snapshot()
            assert now.runs_per_second == now.requests_per_second == 0.0

    in_memory(test, duration=1.0)


def test_a_lane_tells_how_long_it_takes(in_memory):
    """30 runs of one workflow are no sooner over for 300 others that go fast."""

    async def test(platform, client):
        requests = [RunRequest("hot") for _ in range(30)]
        requests += [RunRequest(f"w{n}") for n in range(300)]
        progress = Progress(total=len(requests))
        clock = asyncio.get_running_loop().time
        told = []
        async with Runner(client, observers=[progress]) as runner:
            async for outcome in run_many(runner, requests, concurrency=100):
                progress.add(outcome)
                told.append((clock(), progress.snapshot().seconds_left))
        end = clock()
        told = [(end - then, left) for then, left in told if end - then > 60]
        assert len(told) > 200
        assert all(left == pytest.approx(real, rel=0.4) for real, left in told[250:])

    in_memory(
        test,
        SimulatedWorkflow("hot", duration=20.0),
        *(SimulatedWorkflow(f"w{n}", duration=20.0) for n in range(300)),
    )


def test_what_is_not_read_yet_is_work_too(in_memory):
    async def test(platform, client):
        requests = (RunRequest(f"w{n}") for n in range(300))
        progress = Progress(total=300)
        clock = asyncio.get_running_loop().time
        async with Runner(client, observers=[progress]) as runner:
            told = []
            async for outcome in run_many(runner, requests, concurrency=20):
                progress.add(outcome)
                told.append((clock(), progress.snapshot().seconds_left))
        end = clock()
        for then, left in told[60:220:20]:
            assert left == pytest.approx(end - then, rel=0.5)  # chance plays, too

    in_memory(test, duration=(20.0, 40.0))


def test_no_estimate_where_there_is_nothing_to_estimate_from(in_memory):
    async def test(platform, client):
        unknown, known = Progress(), Progress(total=2)
        async with Runner(client, observers=[unknown, known]) as runner:
            run = await runner.start("w")
            assert known.snapshot().seconds_left is None  # nothing has ended
            await run
            await asyncio.sleep(2)
            assert known.snapshot().seconds_left is None  # nothing runs
            await runner.start("other")
            await asyncio.sleep(1)
            # 5 s and the lag of the look that saw the first end, less 1 s
            assert 4.0 <= known.snapshot().seconds_left <= 6.5
            assert unknown.snapshot().seconds_left is None

    in_memory(test, duration=5.0)


def test_a_look_that_comes_late_makes_no_run_go_on_again(in_memory):
    async def test(platform, client):
        platform.faults.add("getProcessRunStatus", Fault.latency(5.0))
        progress = Progress()
        request = RunRequest("w", timeout=4.0)
        wait = WaitPolicy(first_look=3.0)
        async with Runner(client, wait=wait, observers=[progress]) as runner:
            async for outcome in run_many(runner, [request]):
                progress.add(outcome)
                assert those_of(progress.snapshot()) == {"left_running": 1}
            await asyncio.sleep(30)
            assert progress.snapshot().looks_per_run == 1
            assert those_of(progress.snapshot()) == {"left_running": 1}
            await runner.attach(outcome.error.ref)
            assert those_of(progress.snapshot()) == {"succeeded": 1}

    in_memory(test, SimulatedWorkflow("w", duration=60.0))


def test_what_a_journal_has_finished_is_counted_and_what_it_has_open_runs(tmp_path):
    requests = [RunRequest(f"w{n}", key=f"k{n}") for n in range(12)]

    async def test(platform):
        async with journaled(platform, tmp_path / "j") as (runner, _):
            async for _ in run_many(runner, requests[:8]):
                pass
            await runner.start("endless", key="open")
        progress = Progress(total=13)
        looked = asyncio.Event()

        def on_look(event):
            if isinstance(event, Looked) and event.ref.workflow_id == "endless":
                looked.set()

        observers = [progress, on_look]
        every = [*requests, RunRequest("endless", key="open")]
        async with (
            journaled(platform, tmp_path / "j", observers=observers) as (runner, _),
            run_many(runner, every) as batch,
        ):
            for _ in requests:
                progress.add(await anext(batch))
            await looked.wait()
            assert those_of(progress.snapshot()) == {"succeeded": 12, "running": 1}
        assert those_of(progress.snapshot()) == {"succeeded": 12, "left_running": 1}

    endless = SimulatedWorkflow("endless", duration=float("inf"))
    lives(test, endless, *(SimulatedWorkflow(f"w{n}") for n in range(12)))


def test_runs_that_are_over_are_forgotten(in_memory):
    async def test(platform, client):
        seen = []

        def keep(event):
            if isinstance(event, Submitted):
                seen.append(weakref.ref(event.ref))

        progress = Progress(total=500)
        requests = (RunRequest(f"w{n}") for n in range(500))
        async with Runner(client, observers=[progress, keep]) as runner:
            done = 0
            async for outcome in run_many(runner, requests, concurrency=10):
                del outcome  # nor is it given to `add`
                done += 1
                if done % 100 == 0:
                    gc.collect()
                    assert sum(ref() is not None for ref in seen) < 60
        assert those_of(progress.snapshot()) == {"succeeded": 500}

    in_memory(test, duration=1.0)


@pytest.mark.parametrize(
    "wrong",
    [{"total": -1}, {"total": "10"}, {"interval": 0}, {"interval": float("inf")}],
)
def test_numbers_that_cannot_be_right_are_refused(wrong):
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        Progress(**wrong)
