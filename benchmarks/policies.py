"""What becomes of executes whose answers are lost, by four ways to deal with them.

Each workflow is run once, in virtual time. Of the first executes, 10 % are carried out
and their answers lost, 5 % are reset before the platform sees them; of the runs, 10 %
end without their callback ever arriving, and 5 % end in FAIL. What strikes a workflow
depends on the seed and on its name alone, so that all four meet the same trouble.

    ours, with callbacks     `run_many` with a `CallbackReceiver`
    ours, without            `run_many` alone
    naive, three tries       executes again after 1 s and after 2 s, whatever went wrong
    never again              reports failure as soon as an execute raises

The columns: workflows that were executed twice; that were reported as failed though a
run was started that did not fail; that were reported as uncertain; those of them whose
callback had arrived; outcomes that are the run's own; requests that were sent.

    python benchmarks/policies.py [--workflows 3000] [--seed 0]
"""

import argparse
import asyncio
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from attrs import define, field, frozen

from dpa_async import (
    DPAClient,
    DPAError,
    Execution,
    NodeOutputs,
    RunFailedError,
    Runner,
    RunRequest,
    RunStatus,
    SubmissionUncertainError,
    run_many,
)
from dpa_async.callbacks import CallbackReceiver
from dpa_async.simulator import (
    Fault,
    MemorySimulator,
    Request,
    SimulatedRun,
    SimulatedWorkflow,
    deliver_to,
)
from dpa_async.simulator.virtual_time import run

AT_ONCE = 200
DURATION = (0.5, 10.0)


@frozen
class Fate:
    """What strikes one workflow."""

    execute: str
    callback_lost: bool
    fails: bool

    @classmethod
    def of(cls, workflow_id: str, seed: int) -> "Fate":
        rng = random.Random(f"{seed} {workflow_id}")  # noqa: S311 - to repeat
        (execute,) = rng.choices(("answered", "lost", "reset"), (85, 10, 5))
        return cls(execute, rng.random() < 0.1, rng.random() < 0.05)


@define
class Scene:
    """The platform, what is to strike, and what is seen of it."""

    fates: dict[str, Fate]
    platform: MemorySimulator = field(init=False)
    receiver: CallbackReceiver = field(init=False)
    arrived: set[str] = field(factory=set[str])
    _executed: set[str] = field(factory=set[str])

    def __attrs_post_init__(self) -> None:
        self.receiver = CallbackReceiver(None, public_url="https://app.example.com")
        self.platform = MemorySimulator(
            [
                SimulatedWorkflow(workflow_id, duration=DURATION, fails=fate.fails)
                for workflow_id, fate in self.fates.items()
            ],
            deliver_callback=self._deliver,
        )
        faults = self.platform.faults
        faults.add("execute", Fault.answer_lost(), where=self._first("lost"), every=1)
        faults.add("execute", Fault.reset(), where=self._first("reset"), every=1)

    def _first(self, kind: str) -> Callable[[Request], bool]:
        """Tell first executes of workflows that this kind of trouble strikes."""

        def strikes(request: Request) -> bool:
            workflow_id = request.target.rpartition("/")[2]
            if self.fates[workflow_id].execute != kind:
                return False
            is_first = workflow_id not in self._executed
            self._executed.add(workflow_id)
            return is_first

        return strikes

    async def _deliver(self, url: str, payload: dict[str, str]) -> str:
        workflow_id = payload["modelId"]
        if self.fates[workflow_id].callback_lost:
            raise ConnectionRefusedError("nobody hears it")
        reply = await deliver_to(self.receiver.asgi)(url, payload)
        self.arrived.add(workflow_id)
        return reply


@frozen
class Told:
    """What a policy says of one workflow."""

    status: RunStatus | None = None
    outputs: NodeOutputs | None = None
    uncertain: bool = False

    def is_right(self, runs: tuple[SimulatedRun, ...]) -> bool:
        """Whether that is how one of the workflow's runs ended, and its outputs."""
        if self.status is None or self.outputs is None or not runs:
            return False
        failed = runs[-1].end_status == "FAIL"
        end = RunStatus.FAILED if failed else RunStatus.SUCCEEDED
        own = json.loads(self.outputs["echo"] or "{}") == runs[-1].params
        return self.status is end and own


@define
class Tally:
    """What a policy did, by the platform's own ledger."""

    executed_twice: int = 0
    failed_though_it_ran: int = 0
    uncertain: int = 0
    uncertain_though_called_back: int = 0
    right: int = 0
    requests: int = 0

    def count(
        self, told: Told, runs: tuple[SimulatedRun, ...], *, called_back: bool
    ) -> None:
        self.executed_twice += len(runs) > 1
        self.uncertain += told.uncertain
        self.uncertain_though_called_back += told.uncertain and called_back
        self.right += told.is_right(runs)
        # That a run FAILed can be said; that nothing came of it, only if there is none.
        nothing_came = told.status is None and not told.uncertain
        ran_well = any(run.end_status == "FINISH" for run in runs)
        wronged = nothing_came or (told.status is RunStatus.FAILED and ran_well)
        self.failed_though_it_ran += wronged and bool(runs)


Policy = Callable[[Scene], Awaitable[dict[str, Told]]]


def fates_of(workflows: int, seed: int) -> dict[str, Fate]:
    names = (f"w{n}" for n in range(workflows))
    return {name: Fate.of(name, seed) for name in names}


def params_of(workflow_id: str) -> dict[str, str]:
    return {"whose": workflow_id}


@asynccontextmanager
async def a_client(scene: Scene) -> AsyncIterator[DPAClient]:
    platform = scene.platform
    async with DPAClient(platform.settings(), backend=platform) as client:
        yield client


async def ours(scene: Scene, callbacks: CallbackReceiver | None) -> dict[str, Told]:
    told: dict[str, Told] = {}
    requests = (RunRequest(name, params_of(name)) for name in scene.fates)
    async with (
        a_client(scene) as client,
        Runner(client, callbacks=callbacks) as runner,
        run_many(runner, requests, concurrency=AT_ONCE) as batch,
    ):
        async for outcome in batch:
            result, error = outcome.result, outcome.error
            if isinstance(error, RunFailedError):
                result = error.result
            uncertain = isinstance(error, SubmissionUncertainError)
            told[outcome.request.workflow_id] = (
                Told(result.status, result.outputs)
                if result
                else Told(uncertain=uncertain)
            )
    return told


async def with_callbacks(scene: Scene) -> dict[str, Told]:
    async with scene.receiver:
        return await ours(scene, scene.receiver)


async def without_callbacks(scene: Scene) -> dict[str, Told]:
    return await ours(scene, None)


async def rival(scene: Scene, pauses: tuple[float, ...]) -> dict[str, Told]:
    """A client that executes again after so many pauses, and then says "failed"."""
    places = asyncio.Semaphore(AT_ONCE)

    async def execution_of(client: DPAClient, workflow_id: str) -> Execution | None:
        for pause in (0.0, *pauses):
            await asyncio.sleep(pause)
            try:
                return await client.execute(workflow_id, params_of(workflow_id))
            except DPAError:
                pass
        return None

    async def one(client: DPAClient, workflow_id: str) -> Told:
        async with places:
            execution = await execution_of(client, workflow_id)
            if execution is None:
                return Told()
            status = RunStatus.DEFAULT
            while not status.ended:
                await asyncio.sleep(2.0)
                status = await client.get_run_status(execution.run)
            return Told(status, await client.get_outputs(execution.run))

    async with a_client(scene) as client:
        told = await asyncio.gather(*(one(client, name) for name in scene.fates))
    return dict(zip(scene.fates, told, strict=True))


async def three_tries(scene: Scene) -> dict[str, Told]:
    return await rival(scene, (1.0, 2.0))


async def never_again(scene: Scene) -> dict[str, Told]:
    return await rival(scene, ())


POLICIES: dict[str, Policy] = {
    "ours, with callbacks": with_callbacks,
    "ours, without": without_callbacks,
    "naive, three tries": three_tries,
    "never again": never_again,
}


def play(policy: Policy, workflows: int, seed: int) -> Tally:
    """Run each workflow once, in virtual time, and compare with what really ran."""
    tally = Tally()

    async def main() -> None:
        scene = Scene(fates_of(workflows, seed))
        told = await policy(scene)
        # What was given up still runs: the ledger is read when all is over.
        await asyncio.sleep(2 * DURATION[1])
        await scene.platform.aclose()
        for name in scene.fates:
            runs = tuple(scene.platform.platform.executions(name))
            tally.count(told[name], runs, called_back=name in scene.arrived)
        tally.requests = scene.platform.faults.calls.total()

    run(main())
    return tally


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--workflows", type=int, default=3_000)
    words.add_argument("--seed", type=int, default=0)
    chosen = words.parse_args()
    print(
        f"{'policy':<22}{'executed twice':>16}{'failed, but ran':>17}{'uncertain':>11}"
        f"{'called back':>13}{'right':>7}{'requests':>10}"
    )
    for name, policy in POLICIES.items():
        tally = play(policy, chosen.workflows, chosen.seed)
        print(
            f"{name:<22}{tally.executed_twice:>16}{tally.failed_though_it_ran:>17}"
            f"{tally.uncertain:>11}{tally.uncertain_though_called_back:>13}"
            f"{tally.right:>7}{tally.requests:>10}"
        )


if __name__ == "__main__":
    main()
