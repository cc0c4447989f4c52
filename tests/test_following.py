"""`Run.events()`: a run followed from here to its end; in virtual time."""

import asyncio
import logging

import pytest

from dpa_async import (
    OutputsUnavailableError,
    RunError,
    Runner,
    RunUnreachableError,
    WaitPolicy,
    run_and_wait,
)
from dpa_async.events import (
    Detached,
    Dropped,
    Ended,
    Looked,
    OutputsRead,
    StatusChanged,
    Submitted,
    log,
)
from dpa_async.simulator import Fault, SimulatedWorkflow


async def followed(run):
    return [event async for event in run.events()]


def kinds(events):
    return [type(event) for event in events]


def test_following_looks_and_ends_with_the_outputs(in_memory):
    async def test(platform, client):
        run = await client.companion(Runner).start("wf", {"n": 1})
        events = await followed(run)
        assert kinds(events)[:2] == [Looked, StatusChanged]
        assert kinds(events)[-3:] == [StatusChanged, Ended, OutputsRead]
        assert kinds(events).count(Looked) == run.looks > 1
        assert {event.why for event in events if type(event) is Looked} == {"schedule"}
        assert events[-1].outputs.json("echo") == {"n": 1}
        assert all(event.ref == run.ref for event in events)

    in_memory(test, SimulatedWorkflow("wf", duration=5.0))


def test_a_run_that_is_over_tells_its_end_again(in_memory):
    async def test(platform, client):
        run = await client.companion(Runner).start("wf")
        await run.until_ended()
        first = await followed(run)  # reads the outputs
        assert kinds(first) == [Ended, OutputsRead]
        assert await followed(run) == first
        unread = await client.companion(Runner).start("wf", outputs=False)
        assert OutputsRead not in kinds(await followed(unread))
        assert platform.faults.calls["getOutParamByModelId"] == 1

    in_memory(test)


def test_each_of_many_readers_gets_all_and_one_that_leaves_harms_none(in_memory):
    async def test(platform, client):
        run = await client.companion(Runner).start("wf")
        readers = [asyncio.create_task(followed(run)) for _ in range(10)]
        await asyncio.sleep(3)
        readers[0].cancel()
        async for event in run.events():
            assert type(event) is Looked
            break
        results = await asyncio.gather(*readers[1:], run.result())
        assert all(events == results[0] for events in results[:-1])
        assert results[-1].looks == kinds(results[0]).count(Looked)

    in_memory(test, SimulatedWorkflow("wf", duration=20.0))


def test_who_leaves_last_detaches(in_memory):
    async def test(platform, client):
        told = []
        async with Runner(client, observers=[told.append]) as runner:
            run = await runner.start("wf")
            events = run.events()
            await anext(events)
            await events.aclose()
            looks = run.looks
            await asyncio.sleep(100)
            assert run.looks == looks
            assert type(told[-1]) is Detached

    in_memory(test, SimulatedWorkflow("wf", duration=1000.0))


def test_a_slow_reader_misses_the_oldest_and_is_told_how_many(in_memory):
    async def test(platform, client):
        policy = WaitPolicy(first_look=1, multiplier=1, jitter=lambda s: s)
        async with Runner(client, wait=policy) as runner:
            run = await runner.start("wf")
            events = run.events()
            seen = [await anext(events)]
            await asyncio.sleep(1500)  # and meanwhile it is looked at
            seen += [event async for event in events]
        (dropped,) = (event for event in seen if type(event) is Dropped)
        assert len(seen) == 1 + 1 + 1000 + 1  # with the outputs, read when asked for
        assert kinds(seen)[-1] is OutputsRead
        everything = run.looks + 2 + 1  # changed twice, ended once
        assert dropped.count == everything + 1 - (len(seen) - 1)

    in_memory(test, SimulatedWorkflow("wf", duration=1400.5))


@pytest.mark.parametrize(
    ("broken", "error"),
    [
        ("getProcessRunStatus", RunUnreachableError),
        ("getOutParamByModelId", OutputsUnavailableError),
    ],
)
def test_what_goes_wrong_is_raised_after_what_was_seen(in_memory, broken, error):
    async def test(platform, client):
        platform.faults.add(broken, Fault.body_code(997))
        run = await client.companion(Runner).start("wf")
        seen = []

        async def follow():
            async for event in run.events():
                seen.append(event)  # noqa: PERF401 - it raises on the way

        with pytest.raises(error):
            await follow()
        assert kinds(seen).count(Looked) == run.looks

    in_memory(test, SimulatedWorkflow("wf", duration=5.0))


def test_closing_the_runner_ends_it(in_memory):
    async def test(platform, client):
        runner = Runner(client)
        reader = asyncio.create_task(followed(await runner.start("wf")))
        await asyncio.sleep(5)
        await runner.aclose()
        with pytest.raises(RunError, match="closed"):
            await reader

    in_memory(test, SimulatedWorkflow("wf", duration=60.0))


def test_a_look_says_why_it_was_taken(in_memory):
    async def test(platform, client):
        told = []
        async with Runner(client, observers=[told.append]) as runner:
            run = await runner.start("wf")
            assert not (await run.status()).ended
            await run
        assert [e.why for e in told if type(e) is Looked][:2] == ["asked", "schedule"]

    in_memory(test, SimulatedWorkflow("wf", duration=5.0))


def test_logging_is_an_observer_and_off_by_default(in_memory, caplog):
    secret_output = "made-up-result"

    async def test(platform, client):
        await run_and_wait(client, "wf")
        assert caplog.records == []
        async with Runner(client, observers=[log]) as runner:
            await run_and_wait(runner, "wf")

    with caplog.at_level(logging.DEBUG, logger="dpa_async"):
        in_memory(test, SimulatedWorkflow("wf", outputs=[("node", secret_output)]))
    words = [record.getMessage() for record in caplog.records]
    assert words[0].startswith("Queued(")
    assert words[1].startswith(Submitted.__name__)
    assert words[-1].startswith("OutputsRead(")
    assert "'node'" in words[-1]
    assert secret_output not in caplog.text
    looked = next(r for r in caplog.records if r.getMessage().startswith("Looked"))
    assert looked.levelno == logging.DEBUG
