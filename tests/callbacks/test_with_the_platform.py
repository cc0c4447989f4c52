"""The platform's own callbacks, as the simulator sends them: to one process, to two."""

import asyncio
import contextlib
import itertools

import pytest
from aiohttp import ClientSession, web
from receivers import free_port, own_server, play

from dpa_async import DPAClient
from dpa_async.callbacks import Callback, CallbackReceiver
from dpa_async.simulator import (
    Behaviour,
    Fault,
    SimulatedWorkflow,
    Simulator,
)

QUICK = Behaviour(callback_interval=0.05)


async def until(condition):
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - it comes true in another task
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(("fails", "status"), [(False, "FINISH"), (True, "FAIL")])
def test_the_end_of_a_run_wakes_who_waits(face, fails, status):
    async def test(receiver):
        woken = []
        workflow = SimulatedWorkflow("wf", duration=0.1, fails=fails)
        async with (
            Simulator([workflow]) as platform,
            DPAClient(platform.settings()) as client,
        ):
            expectation = receiver.expect(woken.append)
            execution = await client.execute("wf", callback_url=expectation.url)
            await until(lambda: platform.callback_attempts)
            assert woken == [Callback(execution.run.run_id, "wf", status)]
            (attempt,) = platform.callback_attempts
            assert (attempt.attempt, attempt.reply) == (1, "SUCCESS")

    play(face, test)


def test_100_runs_are_answered_success_the_first_time(face):
    async def test(receiver):
        woken = {}
        async with (
            Simulator(duration=0.2) as platform,
            DPAClient(platform.settings()) as client,
        ):

            async def one(workflow_id):
                expectation = receiver.expect(
                    lambda callback: woken.setdefault(workflow_id, callback)
                )
                await client.execute(workflow_id, callback_url=expectation.url)

            async with asyncio.TaskGroup() as group:
                for n in range(100):
                    group.create_task(one(f"wf{n}"))
            await until(lambda: len(platform.callback_attempts) == 100)
            replies = {(a.attempt, a.reply) for a in platform.callback_attempts}
            assert replies == {(1, "SUCCESS")}
            assert {w: c.workflow_id for w, c in woken.items()} == {
                f"wf{n}": f"wf{n}" for n in range(100)
            }

    play(face, test)


def test_an_answer_that_is_lost_brings_a_repeat_that_is_answered_the_same():
    async def test(receiver):
        woken = []
        async with (
            Simulator(duration=0.05, behaviour=QUICK) as platform,
            DPAClient(platform.settings()) as client,
        ):
            platform.faults.add("callback", Fault.answer_lost(), calls={1})
            expectation = receiver.expect(woken.append)
            await client.execute("wf", callback_url=expectation.url)
            await until(lambda: woken)
            expectation.close()
            await until(lambda: len(platform.callback_attempts) == 2)
            assert [a.reply for a in platform.callback_attempts] == [None, "SUCCESS"]
            assert len(woken) == 1

    play(own_server, test)


class RoundRobin:
    """A load balancer in front of receivers: each request goes to the next one."""

    def __init__(self):
        self.ports = []
        self.answers = []
        self._turns = itertools.count()

    async def carry(self, request):
        port = self.ports[next(self._turns) % len(self.ports)]
        url = f"http://127.0.0.1:{port}{request.path}"
        async with (
            ClientSession() as session,
            session.post(url, data=await request.read()) as answer,
        ):
            self.answers.append((port, answer.status))
            return web.Response(status=answer.status, body=await answer.read())

    async def serve(self, port):
        runner = web.ServerRunner(web.Server(self.carry))
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        return runner


@contextlib.asynccontextmanager
async def behind_one_url(processes):
    """So many receivers behind a load balancer, as so many processes would be."""
    balancer, public = RoundRobin(), free_port()
    async with contextlib.AsyncExitStack() as stack:
        receivers = []
        for _ in range(processes):
            port = free_port()
            receiver = CallbackReceiver(
                port=port, public_url=f"http://127.0.0.1:{public}"
            )
            receivers.append(await stack.enter_async_context(receiver))
            balancer.ports.append(port)
        stack.push_async_callback((await balancer.serve(public)).cleanup)
        platform = Simulator(duration=0.05, behaviour=QUICK)
        await stack.enter_async_context(platform)
        client = await stack.enter_async_context(DPAClient(platform.settings()))
        yield receivers, balancer, platform, client


@pytest.mark.parametrize("whose", range(4))
def test_a_repeat_finds_the_one_of_four_processes_that_knows_the_nonce(whose):
    """The others say 404, and the platform sends it again: three times more."""

    async def main():
        async with behind_one_url(4) as (receivers, balancer, platform, client):
            woken = []
            for n, receiver in enumerate(receivers):
                receiver.expect(lambda _, n=n: woken.append(("another's", n)))
            expectation = receivers[whose].expect(lambda _: woken.append(whose))
            await client.execute("wf", callback_url=expectation.url)
            await until(lambda: len(platform.callback_attempts) == whose + 1)
            assert platform.callback_attempts[-1].reply == "SUCCESS"
            statuses = [status for _, status in balancer.answers]
            assert statuses == [404] * whose + [200]
            assert woken == [whose]

    asyncio.run(main())


def test_with_more_processes_than_tries_a_callback_can_be_lost():
    """Then nobody is woken, and the run is looked at when its time comes anyway."""

    async def main():
        async with behind_one_url(5) as (receivers, balancer, platform, client):
            woken = []
            expectation = receivers[4].expect(woken.append)
            await client.execute("wf", callback_url=expectation.url)
            await until(lambda: len(platform.callback_attempts) == 4)
            await asyncio.sleep(0.2)  # none more comes
            assert [status for _, status in balancer.answers] == [404] * 4
            assert woken == []

    asyncio.run(main())


def test_a_process_that_resumes_takes_the_callbacks_of_one_that_died():
    async def main():
        port, woken = free_port(), []
        async with (
            Simulator(duration=0.3, behaviour=QUICK) as platform,
            DPAClient(platform.settings()) as client,
        ):
            async with CallbackReceiver(port=port) as receiver:
                expectation = receiver.expect(woken.append)
                journaled = expectation.nonce_sha256
                await client.execute("wf", callback_url=expectation.url)
            async with CallbackReceiver(port=port) as receiver:
                receiver.expect(woken.append, nonce_sha256=journaled)
                await until(lambda: woken)
                await until(lambda: platform.callback_attempts)
            assert platform.callback_attempts[-1].reply == "SUCCESS"

    asyncio.run(main())
