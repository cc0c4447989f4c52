"""5: what the platform POSTs when a run ends."""

import asyncio
import itertools
import json
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from dpa_async.simulator import (
    Application,
    Behaviour,
    Fault,
    MemorySimulator,
    Request,
    SimulatedWorkflow,
    Simulator,
)
from dpa_async.simulator.virtual_time import run

QUICK = Behaviour(callback_interval=0.02)


@asynccontextmanager
async def receiver(*replies):
    """A receiver that answers these, the last one for ever; gives (url, received)."""
    left, received = list(replies), []

    async def receive(request):
        received.append(await request.json())
        return web.Response(text=left.pop(0) if len(left) > 1 else left[0])

    runner = web.ServerRunner(web.Server(receive))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/back?nonce=1", received
    finally:
        await runner.cleanup()


async def until(condition):
    while not condition():  # noqa: ASYNC110 - it comes true in another task
        await asyncio.sleep(0.01)


@pytest.mark.parametrize(("fails", "status"), [(False, "FINISH"), (True, "FAIL")])
def test_the_end_is_told_once_to_who_says_success(http, fails, status):
    workflows = [SimulatedWorkflow("wf", duration=0.05, fails=fails)]

    async def main():
        async with (
            receiver("SUCCESS") as (url, received),
            http.open(workflows=workflows, behaviour=QUICK) as dpa,
        ):
            await dpa.sign_in()
            ids = (await dpa.execute(callbackUrl=url)).data
            await until(lambda: received)
            assert received == [{**ids, "status": status}]
            assert (await dpa.status(ids)).data["status"] == status
            await asyncio.sleep(0.1)  # a repeat would be due five times over
            assert len(received) == 1
            [attempt] = dpa.simulator.callback_attempts
            assert (attempt.attempt, attempt.reply) == (1, "SUCCESS")

    http.run(main())


@pytest.mark.parametrize("reply", ["SUCESS", "", "success", '"SUCCESS"'])
def test_any_other_reply_and_it_comes_three_more_times(http, reply):
    async def main():
        async with (
            receiver(reply) as (url, received),
            http.open(duration=0.01, behaviour=QUICK) as dpa,
        ):
            await dpa.sign_in()
            await dpa.execute(callbackUrl=url)
            await until(lambda: len(dpa.simulator.callback_attempts) == 4)
            await asyncio.sleep(0.1)
            assert len(received) == 4
            assert received == received[:1] * 4

    http.run(main())


def test_repeats_end_with_success(http):
    async def main():
        async with (
            receiver("busy", "SUCCESS") as (url, received),
            http.open(duration=0.01, behaviour=QUICK) as dpa,
        ):
            await dpa.sign_in()
            await dpa.execute(callbackUrl=url)
            await until(lambda: len(dpa.simulator.callback_attempts) == 2)
            await asyncio.sleep(0.1)
            assert len(received) == 2

    http.run(main())


def test_the_reply_can_be_spelt_otherwise(http):
    behaviour = Behaviour(callback_interval=0.02, callback_reply="SUCESS")

    async def main():
        async with (
            receiver("SUCESS") as (url, _),
            http.open(duration=0.01, behaviour=behaviour) as dpa,
        ):
            await dpa.sign_in()
            await dpa.execute(callbackUrl=url)
            await until(lambda: dpa.simulator.callback_attempts)
            await asyncio.sleep(0.1)
            assert len(dpa.simulator.callback_attempts) == 1

    http.run(main())


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/x", "no url at all"])
def test_a_receiver_that_is_not_there(http, url):
    async def main():
        async with http.open(duration=0.01, behaviour=QUICK) as dpa:
            await dpa.sign_in()
            await dpa.execute(callbackUrl=url)
            await until(lambda: len(dpa.simulator.callback_attempts) == 4)
            replies = {a.reply for a in dpa.simulator.callback_attempts}
            assert replies == {None}

    http.run(main())


def test_a_held_execute_is_called_back_too(http):
    async def main():
        async with (
            receiver("SUCCESS") as (url, received),
            http.open(duration=0.02, behaviour=QUICK) as dpa,
        ):
            await dpa.sign_in()
            await dpa.execute(callbackUrl=url, sync="true", second="9")
            await until(lambda: received)

    http.run(main())


class Receiver:
    """A receiver in memory, with the moments at which it was called."""

    def __init__(self, reply="SUCCESS", delay=0.0):
        self.calls = []
        self._reply = reply
        self._delay = delay

    async def __call__(self, url, payload):
        at = asyncio.get_running_loop().time()
        self.calls.append((round(at, 3), url, payload["instanceId"]))
        await asyncio.sleep(self._delay)
        if isinstance(self._reply, Exception):
            raise self._reply
        return self._reply

    @property
    def gaps(self):
        moments = [at for at, _, _ in self.calls]
        return [round(b - a, 3) for a, b in itertools.pairwise(moments)]


def test_a_held_execute_need_not_be_called_back(memory):
    receive = Receiver()

    async def main():
        async with memory.open(
            behaviour=Behaviour(callback_with_sync=False), deliver_callback=receive
        ) as dpa:
            await dpa.sign_in()
            await dpa.execute(callbackUrl="u", sync="true", second="9")
            await asyncio.sleep(60)
            assert receive.calls == []

    memory.run(main())


def test_in_memory_repeats_come_at_their_interval(memory):
    receive = Receiver("no")

    async def main():
        async with memory.open(
            duration=5,
            behaviour=Behaviour(callback_interval=10),
            deliver_callback=receive,
        ) as dpa:
            await dpa.sign_in()
            await dpa.execute(callbackUrl="u")
            [run] = dpa.platform.executions("wf")
            await asyncio.sleep(100)
            assert receive.gaps == [10, 10, 10]
            first = dpa.simulator.callback_attempts[0]
            assert first.at == pytest.approx(run.ends_at)
            assert {call[1:] for call in receive.calls} == {("u", run.run_id)}

    memory.run(main())


@pytest.mark.parametrize("problem", [OSError("gone"), TimeoutError()], ids=repr)
def test_in_memory_a_receiver_may_be_away(memory, problem):
    receive = Receiver(problem)

    async def main():
        async with memory.open(deliver_callback=receive) as dpa:
            await dpa.sign_in()
            await dpa.execute(callbackUrl="u")
            await asyncio.sleep(100)
            assert len(receive.calls) == 4

    memory.run(main())


def test_a_receiver_has_so_long_to_reply(memory):
    receive = Receiver(delay=60)
    behaviour = Behaviour(callback_timeout=5, callback_interval=1)

    async def main():
        async with memory.open(deliver_callback=receive, behaviour=behaviour) as dpa:
            await dpa.sign_in()
            await dpa.execute(callbackUrl="u")
            await asyncio.sleep(100)
            assert receive.gaps == [6, 6, 6]

    memory.run(main())


def test_a_slow_receiver_delays_nobody_else(memory):
    receive = Receiver(delay=8)

    async def main():
        async with memory.open(deliver_callback=receive, latency=0) as dpa:
            await dpa.sign_in()
            for n in range(5):
                await dpa.execute(f"wf{n}", callbackUrl="u")
                await asyncio.sleep(1)
            assert receive.gaps == [1, 1, 1, 1]

    memory.run(main())


def test_a_callback_of_an_earlier_end_overtakes(memory):
    receive = Receiver()
    workflows = [
        SimulatedWorkflow("long", duration=50),
        SimulatedWorkflow("short", duration=5),
    ]

    async def main():
        async with memory.open(workflows=workflows, deliver_callback=receive) as dpa:
            await dpa.sign_in()
            long = (await dpa.execute("long", callbackUrl="u")).data
            await asyncio.sleep(1)
            short = (await dpa.execute("short", callbackUrl="u")).data
            await asyncio.sleep(60)
            told = [run_id for _, _, run_id in receive.calls]
            assert told == [short["instanceId"], long["instanceId"]]

    memory.run(main())


def test_callbacks_can_be_late_lost_or_doubled(memory):
    receive = Receiver()
    behaviour = Behaviour(callback_interval=1)

    async def main():
        async with memory.open(
            deliver_callback=receive, behaviour=behaviour, duration=1, latency=0
        ) as dpa:
            await dpa.sign_in()
            dpa.faults.add("callback", Fault.latency(20), calls={1})
            await dpa.execute("late", callbackUrl="late")
            await asyncio.sleep(10)
            assert receive.calls == []
            await asyncio.sleep(20)
            dpa.faults.add("callback", Fault.reset(), first=4)
            await dpa.execute("lost", callbackUrl="lost")
            await asyncio.sleep(20)
            dpa.faults.add("callback", Fault.answer_lost(), calls={1})
            await dpa.execute("doubled", callbackUrl="doubled")
            await asyncio.sleep(20)
            urls = [url for _, url, _ in receive.calls]
            assert urls == ["late", "doubled", "doubled"]

    memory.run(main())


def test_without_a_receiver_in_memory_nothing_is_kept_waiting(memory):
    async def main():
        async with memory.open() as dpa:
            await dpa.sign_in()
            await dpa.execute(callbackUrl="u")
            assert asyncio.all_tasks() == {asyncio.current_task()}
            assert dpa.simulator.callback_attempts == []

    memory.run(main())


def test_closing_ends_the_courier_and_going_on_hires_another(memory):
    receive = Receiver()

    async def main():
        async with memory.open(deliver_callback=receive, duration=10) as dpa:
            await dpa.sign_in()
            await dpa.execute(callbackUrl="u")
            await dpa.simulator.aclose()
            assert asyncio.all_tasks() == {asyncio.current_task()}
            await asyncio.sleep(20)
            assert receive.calls == []
            await dpa.list_all()
            await asyncio.sleep(1)
            assert len(receive.calls) == 1

    memory.run(main())


def test_a_simulator_goes_on_in_another_loop():
    receive = Receiver()
    simulator = MemorySimulator(
        duration=10,
        deliver_callback=receive,
        behaviour=Behaviour(applications=(Application("id", "secret"),)),
    )

    async def post(path, **body):
        answer = await simulator.exchange(
            "POST",
            simulator.url + path,
            {"authorization": f"Bearer {tokens[0]}" if tokens else ""},
            json.dumps(body).encode(),
            on_sent=lambda: None,
            own_connection=False,
            max_body_bytes=1000,
        )
        return json.loads(answer[2])

    async def before():
        path = "/api/dp/auth/oauth/authorize?client_id=id&response_type=code&scope=all"
        request = Request("GET", path)
        code = json.loads(simulator.platform.handle(request, simulator.now()).body)
        answer = await post(
            "/api/dp/auth/oauth/token",
            code=code["data"]["code"],
            client_id="id",
            client_secret="secret",
            grant_type="authorization_code",
        )
        tokens.append(answer["data"]["access_token"])
        await post("/api/dpa/process/execute/wf", callbackUrl="u")
        await asyncio.sleep(5)
        return simulator.now()

    async def after():
        now = simulator.now()
        await asyncio.sleep(1)
        await post("/api/dpa/process/processModel/listAll")
        await asyncio.sleep(10)
        await simulator.aclose()
        return now

    tokens = []
    stopped = run(before())
    [started] = simulator.platform.executions("wf")
    assert started.status_at(stopped) == "RUNNING"
    assert run(after()) == pytest.approx(stopped)
    assert len(receive.calls) == 1


def test_a_receivers_own_mistake_is_shown_at_the_end(memory):
    async def mistaken(url, payload):
        return payload[url]

    async def main():
        async with memory.open(deliver_callback=mistaken) as dpa:
            await dpa.sign_in()
            await dpa.execute(callbackUrl="u")
            await asyncio.sleep(1)
            with pytest.raises(ExceptionGroup) as caught:
                await dpa.simulator.aclose()
            assert caught.group_contains(KeyError)

    memory.run(main())


def test_leaving_while_a_callback_is_under_way(http):
    entered = asyncio.Event()

    async def never(_):
        entered.set()
        await asyncio.sleep(3600)

    async def main():
        runner = web.ServerRunner(web.Server(never), shutdown_timeout=0.01)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        async with http.open(duration=0.01) as dpa:
            assert isinstance(dpa.simulator, Simulator)
            await dpa.sign_in()
            await dpa.execute(callbackUrl=f"http://127.0.0.1:{port}/")
            await entered.wait()
        await runner.cleanup()

    http.run(main())
