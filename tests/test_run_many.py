"""`run_many`: fan-out, back-pressure, sources, closing; in virtual time."""

import asyncio

import pytest

from dpa_async import (
    ConfigurationError,
    NotStartedError,
    RunFailedError,
    Runner,
    RunRequest,
    run_and_wait,
    run_many,
)
from dpa_async.simulator import Fault, SimulatedWorkflow


def numbered(count, workflows=None):
    for n in range(count):
        yield RunRequest(f"w{n % (workflows or count)}", {"n": n}, key=f"k{n}")


async def collect(batch):
    async with batch:
        return [outcome async for outcome in batch]


def test_outcomes_come_as_runs_end_and_failures_are_yielded_not_raised(in_memory):
    async def test(platform, client):
        requests = [RunRequest(name) for name in ("slow", "bad", "quick")]
        outcomes = await collect(run_many(client, requests))
        assert [o.request.workflow_id for o in outcomes] == ["quick", "bad", "slow"]
        failed = outcomes[1]
        assert failed.result is None
        assert isinstance(failed.error, RunFailedError)
        assert failed.error.result.outputs["echo"] == "{}"
        assert outcomes[0].error is None

    in_memory(
        test,
        SimulatedWorkflow("slow", duration=60.0),
        SimulatedWorkflow("bad", duration=20.0, fails=True),
        SimulatedWorkflow("quick", duration=1.0),
    )


def test_concurrency_counts_runs_on_the_platform(in_memory):
    async def test(platform, client):
        outcomes = await collect(run_many(client, numbered(60), concurrency=7))
        assert len(outcomes) == 60
        runs = platform.platform.runs.values()
        busiest = max(
            sum(r.submitted_at <= run.submitted_at < r.ends_at for r in runs)
            for run in runs
        )
        assert busiest == 7

    in_memory(test, duration=(5.0, 15.0))


def test_one_hot_workflow_at_the_head_does_not_block_the_others(in_memory):
    async def test(platform, client):
        requests = [*(RunRequest("hot") for _ in range(8)), *numbered(4)]
        outcomes = await collect(run_many(client, requests, concurrency=3))
        order = [outcome.request.workflow_id for outcome in outcomes]
        assert set(order[:4]) == {f"w{n}" for n in range(4)}

    in_memory(test, SimulatedWorkflow("hot", duration=60.0), *quick(4))


def quick(count):
    return [SimulatedWorkflow(f"w{n}", duration=5.0) for n in range(count)]


def test_a_workflow_run_by_somebody_else_holds_no_place(in_memory):
    async def test(platform, client):
        platform.platform.execute_as_other_user("hot", platform.now(), 500.0)
        requests = [RunRequest("hot"), *numbered(20)]
        outcomes = await collect(run_many(client, requests, concurrency=1))
        assert outcomes[-1].request.workflow_id == "hot"
        assert outcomes[-2].result.ended_at < outcomes[-1].result.ended_at

    in_memory(test, SimulatedWorkflow("hot", duration=5.0), *quick(20))


@pytest.mark.parametrize("kind", ["plain", "async"])
def test_a_source_is_read_only_as_needed(in_memory, kind):
    async def test(platform, client):
        read = 0
        most = 0
        yielded = 0

        def plain():
            nonlocal read, most
            for request in numbered(500):
                read += 1
                most = max(most, read - yielded)
                yield request

        async def awaited():
            for request in plain():
                await asyncio.sleep(0)
                yield request

        source = plain() if kind == "plain" else awaited()
        async with run_many(client, source, concurrency=10) as batch:
            async for _ in batch:
                yielded += 1
        assert read == yielded == 500
        assert 10 <= most <= 4 * 10 + 1

    in_memory(test)


def test_a_slow_reader_holds_the_source_back(in_memory):
    async def test(platform, client):
        source = numbered(1000)
        async with run_many(client, source, concurrency=5) as batch:
            await anext(batch)
            await asyncio.sleep(3600)
            assert platform.platform.requests["execute"] <= 4 * 5 + 1

    in_memory(test)


def test_a_source_that_raises_ends_the_batch_after_what_was_started(in_memory):
    async def test(platform, client):
        def source():
            yield from numbered(5)
            raise LookupError("no more")

        outcomes = []

        async def consume():
            async with run_many(client, source()) as batch:
                async for outcome in batch:
                    outcomes.append(outcome)  # noqa: PERF401 - what came before counts

        with pytest.raises(LookupError, match="no more"):
            await consume()
        assert len(outcomes) == 5
        assert all(outcome.error is None for outcome in outcomes)

    in_memory(test)


def test_bad_arguments_are_told_of(in_memory):
    async def test(platform, client):
        for bad in (0, -1, 1.5, True, "3"):
            with pytest.raises(ConfigurationError, match="concurrency"):
                run_many(client, [], concurrency=bad)
        with pytest.raises(ConfigurationError, match="RunRequest"):
            await collect(run_many(client, ["wf"]))
        with pytest.raises(ConfigurationError, match="target"):
            await collect(run_many(platform, []))
        assert await collect(run_many(client, [])) == []
        (outcome,) = await collect(run_many(client, [RunRequest("..")]))
        assert isinstance(outcome.error, ConfigurationError)

    in_memory(test)


def test_a_request_has_its_own_timeout(in_memory):
    async def test(platform, client):
        requests = [RunRequest("wf"), RunRequest("wf", timeout=10.0, key="late")]
        late, first = await collect(run_many(client, requests))
        assert isinstance(late.error, NotStartedError)
        assert late.error.submission.key == "late"
        assert first.error is None

    in_memory(test, SimulatedWorkflow("wf", duration=30.0))


def test_closing_early_stops_starting_and_detaches(in_memory):
    async def test(platform, client):
        async with Runner(client) as runner:
            batch = run_many(runner, numbered(100, workflows=50), concurrency=10)
            async for _ in batch:
                break
            await batch.aclose()
            await batch.aclose()
            started = platform.platform.requests["execute"]
            assert {ref.run_id for ref in runner.open_runs} < set(
                platform.platform.runs
            )
            await asyncio.sleep(600)
            assert platform.platform.requests["execute"] == started
            assert [outcome async for outcome in batch] == []

    in_memory(test, duration=60.0)


def test_a_batch_ends_with_its_runner_even_when_nobody_closes_it(in_memory):
    async def test(platform, client):
        async with Runner(client) as runner:
            batch = run_many(runner, numbered(100), concurrency=10)
            await anext(batch)
        assert [outcome async for outcome in batch] == []

    in_memory(test, duration=60.0)


def test_two_batches_and_single_calls_share_lanes(in_memory):
    async def test(platform, client):
        await asyncio.gather(
            collect(run_many(client, numbered(30, workflows=3))),
            collect(run_many(client, numbered(30, workflows=3))),
            *(run_and_wait(client, "w0") for _ in range(5)),
        )
        assert platform.faults.calls["execute"] == 65  # nobody was refused as busy

    in_memory(test, duration=1.0)


def test_one_lost_answer_harms_no_neighbour(in_memory):
    async def test(platform, client):
        platform.faults.add("execute", Fault.answer_lost(), every=10)
        outcomes = await collect(run_many(client, numbered(200), concurrency=50))
        lost = [o for o in outcomes if o.error is not None]
        assert len(lost) == 20
        assert platform.faults.calls["execute"] == 200
        assert all(
            o.result.outputs.json("echo")["n"] >= 0 for o in outcomes if o.result
        )

    in_memory(test)


def test_whose_place_comes_free_by_the_failure_itself_is_not_started(in_memory):
    async def test(platform, client):
        requests = [RunRequest("bad"), *numbered(3)]
        batch = run_many(client, requests, concurrency=1, fail_fast=True)
        failed, *others = await collect(batch)
        assert isinstance(failed.error, RunFailedError)
        assert [type(other.error) for other in others] == [NotStartedError] * 3
        runs = platform.platform.runs.values()
        assert [run.workflow_id for run in runs] == ["bad"]

    in_memory(test, SimulatedWorkflow("bad", duration=2.0, fails=True), *quick(3))
