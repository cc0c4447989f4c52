"""Held answers and what comes between: refusals, deadlines, learning; virtual time."""

import asyncio

import pytest

from dpa_async import (
    DPAClient,
    Limits,
    Runner,
    RunTimeoutError,
    WaitPolicy,
    run_and_wait,
)
from dpa_async.journal import SQLiteJournal
from dpa_async.simulator import Fault, SimulatedWorkflow


@pytest.mark.parametrize(
    "trouble",
    [
        Fault.http_status(429, retry_after=3),
        Fault.http_status(503, retry_after=6),
        Fault.body_code(403).and_also(Fault.slow_answer(3.0)),
    ],
    ids=lambda fault: fault.name,
)
def test_what_leaves_later_is_held_for_less(in_memory, trouble):
    """The answer is there before the deadline: the run is known, and not in doubt."""

    async def scene(platform, client):
        platform.faults.add("execute", trouble, calls={1})
        async with Runner(client, wait=WaitPolicy(sync_wait=60)) as runner:
            began = platform.now()
            with pytest.raises(RunTimeoutError):
                await run_and_wait(runner, "wf", timeout=8.0)
            assert platform.now() - began == pytest.approx(8.0)
            assert platform.platform.executes["wf"] == 1

    in_memory(scene, SimulatedWorkflow("wf", duration=30.0))


def test_what_waits_for_its_turn_is_held_for_less(in_memory):
    async def scene(platform, _):
        settings = platform.settings(limits=Limits(requests_per_second=2))
        policy = WaitPolicy(sync_wait=60)
        async with (
            DPAClient(settings, backend=platform) as client,
            Runner(client, wait=policy) as runner,
        ):
            names = [f"w{n}" for n in range(12)]
            runs = [runner.start(name, timeout=8.0) for name in names]
            for run in await asyncio.gather(*runs):
                assert run.ref.workflow_id in names

    workflows = [SimulatedWorkflow(f"w{n}", duration=30.0) for n in range(12)]
    in_memory(scene, *workflows)


@pytest.mark.parametrize("policy", [{"sync_wait": "auto"}, {"first_look": 0}])
def test_runs_are_learned_from_whether_held_or_looked_at_at_once(
    in_memory, tmp_path, policy
):
    """Else what is known of a workflow would be what it was like before, for ever."""

    async def scene(_, client):
        async with (
            SQLiteJournal(tmp_path / "journal") as journal,
            Runner(client, wait=WaitPolicy(**policy), journal=journal) as runner,
        ):
            for _ in range(20):
                run = await runner.start("wf")
                await asyncio.sleep(0.01)
                await run
            known = journal.remembered(client.settings.base_url, "wf")
            assert len(known) >= 19
            assert all(after <= 2.1 and by >= 1.9 for after, by in known)

    in_memory(scene, SimulatedWorkflow("wf", duration=(1.9, 2.1)))
