"""An execute's answer and callbacks, true, forged and lying: in every order.

Six things happen to each run, a second apart: its answer, its end, its callback, the
same again, forgeries at its own URL, one at a guessed URL. All orders of them are
played, each on a workflow of its own and many at once; then comes one callback more,
after the end. A callback before the end is one that comes too early. Here each kind of
scene plays a quarter of the orders, another one each; `nox -s soak` plays all 4,320.
"""

import asyncio
import itertools
import json
import os

import pytest

from dpa_async import DPAClient, Limits, Runner, RunStatus, run_and_wait
from dpa_async.callbacks import CallbackReceiver
from dpa_async.simulator import (
    Fault,
    MemorySimulator,
    SimulatedWorkflow,
    deliver_to,
)
from dpa_async.simulator.virtual_time import run

HAPPENS = ("answer", "end", "callback", "repeat", "forged run", "forged nonce")
ORDERS = [
    order
    for order in itertools.permutations(HAPPENS)
    if order.index("callback") < order.index("repeat")  # they are the same
]
APART = int(os.environ.get("DPA_ORDERS_APART", "4"))
ANSWERS = ("arrives", "is lost", "is given up")
WORDS = {False: "FINISH", True: "FAIL"}


class Scene:
    """Workflows whose answers come, or are lost, at the same moment."""

    def __init__(self, orders, *, answer, fails, lies):
        self.fails = fails
        self.word = WORDS[fails is not lies]
        self.orders = {f"w{n}": order for n, order in enumerate(orders)}
        (moment,) = {order.index("answer") + 1 for order in orders}
        self.memory = MemorySimulator(
            SimulatedWorkflow(
                name,
                duration=order.index("end") + 1.0,
                fails=lambda params: params["fails"],
            )
            for name, order in self.orders.items()
        )
        self.faults = {
            "arrives": [Fault.slow_answer(moment)],
            "is lost": [Fault.slow_answer(moment), Fault.answer_lost()],
            "is given up": [Fault.slow_answer(1000.0)],
        }[answer]
        self.settings = self.memory.settings(
            limits=Limits(submissions_in_flight=len(orders)),
            request_timeout=moment if answer == "is given up" else 30.0,
        )
        self.receiver = CallbackReceiver(None, public_url="https://app.example.com")
        self.post = deliver_to(self.receiver.asgi)

    async def play(self):
        async with (
            self.receiver,
            DPAClient(self.settings, backend=self.memory) as client,
            Runner(client, callbacks=self.receiver) as runner,
        ):
            # What a forgery can name: runs that are over, and ended the other way.
            other = {"fails": not self.fails, "old": True}
            await asyncio.gather(
                *(
                    run_and_wait(runner, name, other, check=False)
                    for name in self.orders
                )
            )
            self.memory.faults.add("execute", *self.faults)
            before = self.status_reads
            await asyncio.gather(*(self.one(runner, name) for name in self.orders))
            assert self.status_reads - before <= 5 * len(self.orders)
        await self.memory.aclose()

    @property
    def status_reads(self):
        return self.memory.platform.requests["getProcessRunStatus"]

    async def one(self, runner, name):
        params = {"fails": self.fails, "of": name}
        waiting = asyncio.create_task(run_and_wait(runner, name, params, check=False))
        await asyncio.sleep(0.1)
        old, execution = self.memory.platform.executions(name)
        for number, what in enumerate(self.orders[name]):
            await asyncio.sleep(execution.submitted_at + number + 1 - self.memory.now())
            await self.happen(what, old, execution)
        result = await waiting
        assert self.memory.now() >= execution.ends_at
        assert result.ref.run_id == execution.run_id
        assert result.status is (
            RunStatus.FAILED if self.fails else RunStatus.SUCCEEDED
        )
        assert json.loads(result.outputs["echo"]) == params
        assert result.looks <= 5
        await self.happen("callback", old, execution)
        await self.happen("forged run", old, execution)
        await asyncio.sleep(10)
        assert self.memory.platform.executes[name] == 2  # with the old one
        assert result.ref not in runner.open_runs

    async def happen(self, what, old, execution):
        own = {"instanceId": execution.run_id, "modelId": execution.workflow_id}
        url = execution.callback_url
        match what:
            case "callback" | "repeat":
                assert await self.call(url, own) == "SUCCESS"
            case "forged run":
                older = {**own, "instanceId": old.run_id}
                assert await self.call(url, older) == "SUCCESS"
                others = {**own, "instanceId": "in0", "modelId": "another"}
                assert await self.call(url, others) == "SUCCESS"
                unknown = {**own, "instanceId": "in0"}
                assert await self.call(url, unknown) == "SUCCESS"
            case "forged nonce":
                guessed = url.rpartition("/")[0] + "/" + "A" * 32
                assert await self.call(guessed, own) == ""
            case _:  # the platform's own doing
                pass

    async def call(self, url, ids):
        return await self.post(url, {**ids, "status": self.word})


def test_these_are_all_orders():
    assert len(ORDERS) == 360


@pytest.mark.parametrize("lies", [False, True], ids=["honest", "lying"])
@pytest.mark.parametrize("fails", WORDS, ids=WORDS.values())
@pytest.mark.parametrize("answer", ANSWERS)
def test_in_every_order_one_execute_and_the_right_result(answer, fails, lies):
    first = ANSWERS.index(answer) + 2 * fails + lies
    played = ORDERS[first % APART :: APART]

    async def main():
        for moment in range(len(HAPPENS)):
            orders = [order for order in played if order[moment] == "answer"]
            await Scene(orders, answer=answer, fails=fails, lies=lies).play()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left, left

    run(main())
