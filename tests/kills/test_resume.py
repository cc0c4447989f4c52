"""`Runner.resume()` after a kill: the unfinished is finished, nothing is executed."""

import asyncio
import signal

from killing import World, workers

from dpa_async import RunStatus, SubmissionUncertainError
from dpa_async.simulator import Simulator

KEYS, IN_FLIGHT = 40, 4


async def resumed(world):
    """Give the outcomes, by key, of what was unfinished."""
    async with world.runner() as (runner, _), runner.resume() as batch:
        return {outcome.request.key: outcome async for outcome in batch}


def check_finished(entry, result):
    assert result.status is RunStatus.SUCCEEDED
    assert result.outputs.json("echo") == entry.params
    assert result.submitted_at == entry.submitted_at is not None


def test_resume_finishes_what_is_unfinished_and_executes_nothing(tmp_path):
    async def main():
        requests = {f"k{n}": f"w{n % 20}" for n in range(KEYS)}
        async with workers(1) as free, Simulator(duration=0.3) as platform:
            worker = await free.get()
            world = World(platform, tmp_path / "runs.journal", requests, IN_FLIGHT)
            kill = ("after started", 25, 0)  # five of the second run of a workflow
            life = await worker.live(world.job(kill=kill))
            assert life.died == -signal.SIGKILL
            entries, unknown = await world.check_left_behind(life)
            unfinished = {k for k, e in entries.items() if e.result is None}
            known = unfinished - unknown
            assert known
            executed = platform.faults.calls["execute"]

            outcomes = await resumed(world)
            assert outcomes.keys() == unfinished
            for key in known:
                check_finished(entries[key], outcomes[key].result)
                assert [outcomes[key].result.ref.run_id] == world.truth[key]
            for key in unknown:
                assert isinstance(outcomes[key].error, SubmissionUncertainError)
                assert outcomes[key].error.submission.key == key
            assert (await resumed(world)).keys() == unknown
            assert platform.faults.calls["execute"] == executed

            await world.settle(unknown)
            ran = {key for key in unknown if world.truth[key]}
            assert (await resumed(world)).keys() == ran
            assert platform.faults.calls["execute"] == executed
            world.check_complete(await worker.live(world.job()))
            assert (await resumed(world)) == {}

    asyncio.run(main())
