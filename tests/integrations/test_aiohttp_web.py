"""aiohttp.web: request, run, callback, response, over sockets."""

import asyncio
from contextlib import asynccontextmanager
from functools import partial

import aiohttp
import pytest
from aiohttp import web
from receivers import free_port

from dpa_async import (
    ConfigurationError,
    DPAClient,
    RunError,
    WaitPolicy,
    run_and_wait,
)
from dpa_async.callbacks import CallbackReceiver
from dpa_async.integrations.aiohttp_web import Service
from dpa_async.simulator import SimulatedWorkflow, Simulator

RARELY = WaitPolicy(first_look=60, maximum=60)


def reporting(service):
    async def report(request):
        workflow_id = request.match_info["workflow_id"]
        result = await run_and_wait(service.runner, workflow_id)
        return web.json_response({"looks": result.looks, "ref": str(result.ref)})

    return web.post("/reports/{workflow_id}", report)


@asynccontextmanager
async def served(app, port):
    runner = web.AppRunner(app, access_log=None)
    try:
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
            yield session
    finally:
        await runner.cleanup()


def play(test, *workflows):
    async def main():
        async with asyncio.timeout(30), Simulator(workflows or None) as platform:
            await test(platform, partial(DPAClient, platform.settings()))

    asyncio.run(main())


@pytest.mark.parametrize("place", ["", "/api"])
def test_a_request_is_answered_when_the_platform_calls_back(place):
    async def test(platform, client):
        port = free_port()
        address = f"http://127.0.0.1:{port}{place}"
        service = Service(
            client,
            wait=RARELY,
            callbacks=partial(CallbackReceiver, None, public_url=address),
        )
        app = part = web.Application()
        if place:
            part = web.Application()
        part.add_routes([reporting(service)])
        service.add_to(part)
        if place:
            app.add_subapp(place, part)
        async with served(app, port) as session:
            answers = await asyncio.gather(
                *(session.post(f"{place}/reports/{name}") for name in "abc")
            )
            told = [await answer.json() for answer in answers]
        assert [answer["looks"] for answer in told] == [1, 1, 1]
        assert len(platform.callback_attempts) == 3
        assert platform.faults.calls["getProcessRunStatus"] == 3
        assert platform.faults.calls["token"] == 1

    play(test, *(SimulatedWorkflow(name, duration=1.0) for name in "abc"))


def test_the_runner_is_there_while_the_application_runs():
    async def test(platform, client):
        service = Service(client)
        app = web.Application()
        service.add_to(app)
        with pytest.raises(ConfigurationError, match="not running"):
            _ = service.runner
        async with served(app, free_port()):
            await service.runner.start("a")
            with pytest.raises(ConfigurationError, match="has started"):
                service.add_to(app)
        with pytest.raises(ConfigurationError, match="not running"):
            _ = service.runner
        assert len(platform.platform.executions("a")) == 1

    play(test)


def test_an_application_that_cannot_start_closes_what_was_opened():
    async def test(platform, _):
        clients = []

        def client():
            clients.append(DPAClient(platform.settings()))
            return clients[-1]

        async def broken(_):
            raise LookupError("no database")
            yield

        service = Service(client)
        app = web.Application()
        service.add_to(app)
        app.cleanup_ctx.append(broken)
        with pytest.raises(LookupError):
            async with served(app, free_port()):
                pass
        with pytest.raises(ConfigurationError, match="closed"):
            await clients[0].list_workflows()

    play(test)


def test_to_shut_down_waits_for_no_run_and_tells_who_does():
    async def test(platform, client):
        service = Service(client)

        async def report(_):
            try:
                await run_and_wait(service.runner, "a")
            except RunError as error:
                return web.json_response(str(error.ref), status=503)

        app = web.Application()
        app.router.add_post("/reports", report)
        service.add_to(app)
        async with served(app, free_port()) as session:
            asking = asyncio.create_task(session.post("/reports"))
            while not platform.platform.executions("a"):  # noqa: ASYNC110 - it comes true elsewhere
                await asyncio.sleep(0.01)
            (execution,) = platform.platform.executions("a")
            await app.shutdown()
            answer = await asking
            assert answer.status == 503
            assert execution.run_id in await answer.json()

    play(test, SimulatedWorkflow("a", duration=3600.0))


def test_with_callbacks_an_application_is_started_once():
    async def test(platform, client):
        hooks = partial(CallbackReceiver, None, public_url="https://jobs.example.com")
        service = Service(client, callbacks=hooks)
        app = web.Application()
        service.add_to(app)
        async with served(app, free_port()):
            pass
        with pytest.raises(ConfigurationError, match="make a new one"):
            async with served(app, free_port()):
                pass

    play(test)


def test_of_two_services_with_callbacks_each_has_a_path_of_its_own():
    async def test(platform, client):
        def service(**options):
            url = "https://jobs.example.com"
            hooks = partial(CallbackReceiver, None, public_url=url, **options)
            return Service(client, callbacks=hooks)

        app = web.Application()
        service().add_to(app)
        with pytest.raises(ConfigurationError, match="give each its own"):
            service().add_to(app)
        service(path="/other").add_to(app)
        async with served(app, free_port()):
            pass

    play(test)
