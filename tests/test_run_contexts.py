"""Each run goes on in a context of its own: what an observer sets there is there."""

import asyncio
from contextvars import ContextVar

import pytest

from dpa_async import DPAClient, Runner, RunRequest, run_and_wait, run_many
from dpa_async.events import Attached, Queued
from dpa_async.simulator import MemorySimulator, SimulatedWorkflow
from dpa_async.simulator.virtual_time import run

OF_A_RUN = ("execute", "getProcessRunStatus", "getOutParamByModelId")
mark = ContextVar("mark", default="nobody's")


def marking(event):
    """Mark the context of a run, as a tracer does with its span."""
    if isinstance(event, Queued | Attached):
        name = event.key if isinstance(event, Queued) else event.ref.workflow_id
        mark.set(f"{name} of {mark.get()}")


class Marks:
    """A platform that notes in which context each request came."""

    def __init__(self, platform):
        self._platform = platform
        self.seen = {operation: set() for operation in OF_A_RUN}

    async def exchange(self, method, url, *args, **kwargs):
        for operation, marks in self.seen.items():
            if operation in url:
                marks.add(mark.get())
        return await self._platform.exchange(method, url, *args, **kwargs)

    async def aclose(self):
        await self._platform.aclose()


def marked(test, *workflows):
    async def main():
        platform = MemorySimulator(workflows)
        marks = Marks(platform)
        async with (
            DPAClient(platform.settings(), backend=marks) as client,
            Runner(client, observers=[marking]) as runner,
        ):
            await test(runner, marks.seen)
        await marks.aclose()

    run(main())


def test_all_that_a_run_asks_for_it_asks_in_its_own_context():
    async def test(runner, seen):
        mark.set("the caller")
        await asyncio.gather(*(run_and_wait(runner, w, key=w) for w in ("a", "b")))
        assert mark.get() == "the caller"
        both = {"a of the caller", "b of the caller"}
        assert seen == dict.fromkeys(OF_A_RUN, both)

    marked(test, SimulatedWorkflow("a", duration=9), SimulatedWorkflow("b", duration=9))


def test_so_do_the_runs_of_a_batch():
    async def test(runner, seen):
        mark.set("the batch")
        async for outcome in run_many(
            runner, (RunRequest("a", key=f"{n}") for n in range(3))
        ):
            assert outcome.error is None
        expected = {f"{n} of the batch" for n in range(3)}
        assert seen == dict.fromkeys(OF_A_RUN, expected)

    marked(test, SimulatedWorkflow("a", duration=5))


def test_a_batch_is_whose_it_was_made_whoever_iterates():
    async def test(runner, seen):
        mark.set("who made it")
        batch = run_many(runner, [RunRequest("a", key="1")])
        mark.set("who iterates")
        async for outcome in batch:
            assert outcome.error is None
        assert seen["execute"] == {"1 of who made it"}

    marked(test, SimulatedWorkflow("a", duration=5))


def test_a_run_that_a_lane_waits_for_is_looked_at_for_who_waits():
    async def test(runner, seen):
        with pytest.raises(TimeoutError):
            await run_and_wait(runner, "a", key="let go of", timeout=2)

        async def ask(name):
            mark.set(name)
            await runner.start("a", key=name)

        first, second = (asyncio.create_task(ask(name)) for name in ("one", "two"))
        await asyncio.sleep(1)
        seen["getProcessRunStatus"].clear()
        mark.set("who cancels")
        first.cancel()  # so that the second one waits for the run, in its own name
        await second
        assert seen["getProcessRunStatus"] == {"a of two of two"}

    marked(test, SimulatedWorkflow("a", duration=30))


def test_a_run_is_waited_for_in_the_context_of_who_attached_first():
    async def test(runner, seen):
        ref = (await runner.start("a", key="left")).ref
        run = runner.attach(ref)
        with pytest.raises(TimeoutError):
            await run.result(timeout=2)
        assert seen["getProcessRunStatus"] == {"left of nobody's"}
        seen["getProcessRunStatus"].clear()

        async def another(name):
            mark.set(name)
            await run

        await asyncio.gather(another("first"), another("second"))
        assert seen["getProcessRunStatus"] == {"a of first"}
        assert seen["getOutParamByModelId"] == {"a of first"}

    marked(test, SimulatedWorkflow("a", duration=30))
