"""Callbacks over real sockets: who waits is woken by the end of the run.

The schedule alone would look at a run after ten minutes, and a test takes one at the
most: what is there was brought by a callback, one look, one reading of outputs.
"""

import asyncio
import importlib.util
from pathlib import Path

import pytest

from dpa_async import DPAClient, Runner, WaitPolicy, run_and_wait
from dpa_async.simulator import SimulatedWorkflow, Simulator

DURATION = 3.0
NO_LOOK = 600.0
PATIENCE = 60.0
CALLBACKS_ALONE = WaitPolicy(
    first_look=NO_LOOK, maximum=NO_LOOK, safety_interval=NO_LOOK
)


def _faces():
    path = Path(__file__).parent / "callbacks" / "receivers.py"
    spec = importlib.util.spec_from_file_location("receivers", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.FACES


FACES = _faces()


def played(face, names):
    """Run workflows at once; gives the platform, and each execution with its result."""

    async def one(platform, runner, name):
        result = await run_and_wait(runner, name, {"of": name})
        (execution,) = platform.platform.executions(name)
        assert platform.now() >= execution.ends_at
        return execution, result

    async def main():
        workflows = [SimulatedWorkflow(name, duration=DURATION) for name in names]
        async with (
            asyncio.timeout(PATIENCE),
            face() as receiver,
            Simulator(workflows) as platform,
            DPAClient(platform.settings()) as client,
            Runner(client, callbacks=receiver, wait=CALLBACKS_ALONE) as runner,
        ):
            told = await asyncio.gather(*(one(platform, runner, n) for n in names))
            attempts = platform.callback_attempts
            # The platform notes an answer when it has read all of it.
            while len(attempts) < len(names):  # noqa: ASYNC110 - it comes true elsewhere
                await asyncio.sleep(0.01)
        return platform, told

    return asyncio.run(main())


def see_that_callbacks_woke(platform, told, names):
    for execution, result in told:
        assert result.ref.run_id == execution.run_id
        assert result.outputs.json("echo") == {"of": execution.workflow_id}
        assert result.looks <= 2
    assert {(a.attempt, a.reply) for a in platform.callback_attempts} == {
        (1, "SUCCESS")
    }
    assert len(platform.callback_attempts) == len(platform.platform.runs) == len(names)


def test_100_runs_are_there_when_they_end():
    names = [f"w{n}" for n in range(100)]
    platform, told = played(FACES["own server"], names)
    see_that_callbacks_woke(platform, told, names)


@pytest.mark.parametrize("mounted", ["aiohttp", "uvicorn"])
def test_a_run_is_told_of_by_a_receiver_that_is_mounted(mounted):
    platform, told = played(FACES[mounted], ["wf"])
    see_that_callbacks_woke(platform, told, ["wf"])
