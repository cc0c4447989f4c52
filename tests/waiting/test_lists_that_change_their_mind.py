"""Lists that say now this, now that, keep nobody from being looked at; virtual time."""

import asyncio
import json

import pytest

from dpa_async import Runner, RunTimeoutError, WaitPolicy
from dpa_async.events import Ended
from dpa_async.journal import SQLiteJournal
from dpa_async.simulator import Fault, SimulatedWorkflow

NAMES = [f"w{n}" for n in range(20)]


def told(status):
    rows = [{"processModelId": name, "status": status} for name in NAMES]
    body = {"code": 200, "message": "", "data": rows}
    return Fault.garbage(json.dumps(body).encode())


def lasting(seconds):
    return [SimulatedWorkflow(name, duration=seconds) for name in NAMES]


async def lags_of(platform, client):
    """Run all workflows at once; give for each by how much its end is seen late."""
    lags = []

    def observe(event):
        if isinstance(event, Ended):
            truth = platform.platform.runs[event.ref.run_id]
            lags.append(platform.now() - truth.ends_at)

    async with Runner(client, observers=[observe]) as runner:
        runs = [await runner.start(name) for name in NAMES]
        await asyncio.gather(*(run.result(timeout=1_000) for run in runs))
    return lags


@pytest.mark.parametrize("other", ["default", "PAUSED"])
def test_a_run_that_lists_disagree_about_is_looked_at_all_the_same(in_memory, other):
    async def scene(platform, client):
        turns = range(1, 2_000, 2)
        platform.faults.add("listAll", told("running"), calls=set(turns))
        platform.faults.add("listAll", told(other), calls={n + 1 for n in turns})
        lags = await lags_of(platform, client)
        assert len(lags) == len(NAMES)
        assert max(lags) <= 67  # the safety interval, and its jitter

    in_memory(scene, *lasting(100.0))


def test_who_is_not_believed_about_an_end_is_not_relied_on(in_memory):
    """A doubt of a minute would else be a minute's lag."""

    async def scene(platform, client):
        turns = range(1, 200, 2)
        platform.faults.add("listAll", told("running"), calls=set(turns))
        platform.faults.add("listAll", told("success"), calls={n + 1 for n in turns})
        assert max(await lags_of(platform, client)) <= 17  # the plain schedule's

    in_memory(scene, *lasting(170.0))


def test_who_waits_again_and_again_is_not_put_off_by_lists(in_memory):
    """Somebody else's run hides that ours is over: there is the safety interval."""

    async def scene(platform, client):
        async with Runner(client, wait=WaitPolicy(first_look=2.0)) as runner:
            ours, *others = [await runner.start(name) for name in NAMES]
            waiting = [asyncio.create_task(run.result()) for run in others]
            (truth,) = platform.platform.executions("w0")
            await asyncio.sleep(truth.ends_at - platform.now())
            platform.platform.execute_as_other_user("w0", platform.now(), 900.0)
            while not ours.ended and platform.now() < truth.ends_at + 300:
                try:
                    await ours.result(timeout=1.5)
                except RunTimeoutError:
                    continue
            for task in waiting:
                task.cancel()
            await asyncio.wait(waiting)
            assert platform.now() - truth.ends_at <= 67

    quick, *slow = NAMES
    in_memory(
        scene,
        SimulatedWorkflow(quick, duration=20.0),
        *(SimulatedWorkflow(name, duration=2_000.0) for name in slow),
    )


def test_somebody_elses_run_after_ours_does_not_make_ours_longer(in_memory, tmp_path):
    async def scene(platform, client):
        async def meddle():
            await asyncio.sleep(5.0)
            (ours,) = platform.platform.executions("w0")
            await asyncio.sleep(ours.ends_at - platform.now())
            platform.platform.execute_as_other_user("w0", platform.now(), 900.0)

        async with (
            SQLiteJournal(tmp_path / "journal") as journal,
            Runner(client, journal=journal) as runner,
            asyncio.TaskGroup() as group,
        ):
            group.create_task(meddle())
            runs = [await runner.start(name) for name in NAMES]
            await asyncio.gather(*(run.result() for run in runs))
            known = journal.remembered(client.settings.base_url, "w0")
            assert all(after <= 20.1 <= by + 0.2 for after, by in known), known
            assert journal.remembered(client.settings.base_url, "w1")

    quick, *slow = NAMES
    in_memory(
        scene,
        SimulatedWorkflow(quick, duration=20.0),
        *(SimulatedWorkflow(name, duration=100.0) for name in slow),
    )
