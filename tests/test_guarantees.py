"""The README's table, row by row: break a platform that way, and look at what happens.

The table is read from the README itself. A row without a scene here fails, and so does
a scene without a row.
"""

import re
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from attrs import field, frozen

import dpa_async
from dpa_async import DPAClient, DPAError, Runner, RunResult, run_and_wait
from dpa_async.simulator import Fault, MemorySimulator, SimulatedWorkflow
from dpa_async.simulator.virtual_time import run

README = Path(__file__).parents[1] / "README.md"
OURS = "wf"
HANGING = SimulatedWorkflow(OURS, duration=float("inf"))

Break = Callable[[MemorySimulator, Runner], Awaitable[object]]


async def nothing(platform, runner):
    pass


def faults(place, *kinds, **when) -> Break:
    async def script(platform, runner):
        platform.faults.add(place, *kinds, **when)

    return script


async def occupy_for_a_minute(platform, runner):
    platform.platform.execute_as_other_user(OURS, platform.now(), 60.0)


async def occupy_with_our_own(platform, runner):
    await runner.start(OURS)


@frozen(kw_only=True)
class Scene:
    break_it: Break = nothing
    posts: int  # how many executes the platform's door saw
    started: int  # how many runs it started
    workflow: SimulatedWorkflow = field(factory=lambda: SimulatedWorkflow(OURS))
    timeout: float | None = None


SCENES = {
    "the connection is refused": Scene(
        break_it=faults("execute", Fault.refused(), calls={1}), posts=2, started=1
    ),
    "the platform answers 429, or 503 with `Retry-After`": Scene(
        break_it=faults("execute", Fault.http_status(429, retry_after=7), calls={1}),
        posts=2,
        started=1,
    ),
    "the token is refused while executing": Scene(
        break_it=faults("execute", Fault.token_revoked(), calls={1}),
        posts=2,
        started=1,
    ),
    "the connection is reset before the platform acts": Scene(
        break_it=faults("execute", Fault.reset()), posts=1, started=0
    ),
    "the execute's answer is lost": Scene(
        break_it=faults("execute", Fault.answer_lost()), posts=1, started=1
    ),
    "the execute's answer is not the platform's (a proxy's page)": Scene(
        break_it=faults("execute", Fault.html(502, carried_out=True)),
        posts=1,
        started=1,
    ),
    "the platform fails inside while executing (code 500)": Scene(
        break_it=faults("execute", Fault.body_code(500, carried_out=True)),
        posts=1,
        started=1,
    ),
    "the workflow is running already": Scene(
        break_it=occupy_for_a_minute, posts=2, started=1
    ),
    "the platform refuses (code 999) and the workflow is idle": Scene(
        break_it=faults("execute", Fault.body_code(999)), posts=2, started=0
    ),
    "parameters are refused (code 400)": Scene(
        break_it=faults("execute", Fault.body_code(400)), posts=1, started=0
    ),
    "the run fails": Scene(
        workflow=SimulatedWorkflow(OURS, fails=True), posts=1, started=1
    ),
    "a status read fails": Scene(
        break_it=faults("getProcessRunStatus", Fault.reset(), first=20),
        workflow=SimulatedWorkflow(OURS, duration=100.0),
        posts=1,
        started=1,
    ),
    "the outputs cannot be read": Scene(
        break_it=faults("getOutParamByModelId", Fault.body_code(997)),
        posts=1,
        started=1,
    ),
    "the deadline comes while it is queued": Scene(
        break_it=occupy_with_our_own, workflow=HANGING, timeout=5.0, posts=1, started=1
    ),
    "the deadline comes while the execute is out": Scene(
        break_it=faults("execute", Fault.stall(carried_out=True)),
        timeout=5.0,
        posts=1,
        started=1,
    ),
    "the deadline comes while it runs": Scene(
        workflow=HANGING, timeout=5.0, posts=1, started=1
    ),
    "the platform is silent for `max_silence` seconds": Scene(
        break_it=faults("getProcessRunStatus", Fault.html(502)), posts=1, started=1
    ),
}


def table():
    rows = {}
    for line in README.read_text("utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if line.startswith("| ") and len(cells) == 3 and "---" not in line:
            rows[cells[0]] = (cells[1], cells[2])
    return {row: cells for row, cells in rows.items() if row != "what goes wrong"}


ROWS = table()


def test_every_row_has_its_scene_and_every_scene_its_row():
    assert ROWS.keys() == SCENES.keys()


@pytest.mark.parametrize("row", ROWS)
def test_row(row):
    again, promised = ROWS[row]
    scene = SCENES[row]
    seen = run(play(scene))
    if promised == "the result":
        assert isinstance(seen.outcome, RunResult), repr(seen.outcome)
    else:
        kind = getattr(dpa_async, re.fullmatch(r"`(\w+)`", promised).group(1))
        assert type(seen.outcome) is kind, repr(seen.outcome)
    assert (seen.posts, seen.started) == (scene.posts, scene.started)
    if again.startswith("no"):
        assert seen.posts == 1


@frozen
class Seen:
    outcome: RunResult | DPAError
    posts: int
    started: int


async def play(scene):
    platform = MemorySimulator([scene.workflow])
    async with DPAClient(platform.settings(), backend=platform) as client:
        runner = client.companion(Runner)
        await client.list_workflows()
        await scene.break_it(platform, runner)
        try:
            outcome = await run_and_wait(client, OURS, timeout=scene.timeout)
        except DPAError as error:
            outcome = error
    await platform.aclose()
    ours = [r for r in platform.platform.executions(OURS) if not r.foreign]
    return Seen(outcome, platform.faults.calls["execute"], len(ours))


def test_a_run_that_exists_travels_with_its_error():
    async def main():
        platform = MemorySimulator([HANGING])
        async with DPAClient(platform.settings(), backend=platform) as client:
            with pytest.raises(dpa_async.RunTimeoutError) as caught:
                await run_and_wait(client, OURS, timeout=5)
        (execution,) = platform.platform.executions(OURS)
        assert caught.value.ref.run_id == execution.run_id

    run(main())
