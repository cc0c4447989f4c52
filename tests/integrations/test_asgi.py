"""FastAPI under uvicorn: request, run, callback, response, over sockets."""

import asyncio
from contextlib import asynccontextmanager
from functools import partial
from typing import Annotated

import aiohttp
import pytest
from fastapi import Depends, FastAPI, WebSocket
from receivers import free_port, serving

from dpa_async import (
    ConfigurationError,
    DPAClient,
    JournalError,
    Runner,
    WaitPolicy,
    run_and_wait,
)
from dpa_async.callbacks import CallbackReceiver
from dpa_async.integrations.asgi import Service
from dpa_async.journal import SQLiteJournal
from dpa_async.simulator import Fault, SimulatedWorkflow, Simulator

RARELY = WaitPolicy(first_look=60, maximum=60)
PATIENCE = 30


def client_of(platform):
    return partial(DPAClient, platform.settings())


def application(service, lifespan=None):
    app = FastAPI(lifespan=lifespan or service.lifespan)
    TheRunner = Annotated[Runner, Depends(service)]  # noqa: N806 - it is a type

    @app.post("/reports/{workflow_id}")
    async def report(runner: TheRunner, workflow_id: str):
        result = await run_and_wait(runner, workflow_id, {"day": "today"})
        return {"looks": result.looks, "outputs": len(result.outputs)}

    @app.post("/starts/{workflow_id}")
    async def start(runner: TheRunner, workflow_id: str):
        return str((await runner.start(workflow_id)).ref)

    @app.websocket("/follow")
    async def follow(runner: TheRunner, socket: WebSocket):
        await socket.accept()
        run = runner.attach(await socket.receive_text())
        async for event in run.events():
            await socket.send_text(type(event).__name__)
        await socket.close()

    return app


def called_back(platform, port):
    """A service that the platform calls back, and hardly looks by itself."""
    address = f"http://127.0.0.1:{port}/hooks"
    return Service(
        client_of(platform),
        wait=RARELY,
        callbacks=partial(CallbackReceiver, None, public_url=address),
    )


@asynccontextmanager
async def served(app, port):
    """A client of the application, which uvicorn serves."""
    async with (
        serving(app, port),
        aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session,
    ):
        yield session


def play(test, *workflows):
    async def main():
        async with asyncio.timeout(PATIENCE), Simulator(workflows or None) as platform:
            await test(platform)

    asyncio.run(main())


def test_a_request_is_answered_when_the_platform_calls_back():
    async def test(platform):
        port = free_port()
        app = application(called_back(platform, port))
        async with served(app, port) as session:
            answers = await asyncio.gather(
                *(session.post(f"/reports/{name}") for name in "abc")
            )
            told = [await answer.json() for answer in answers]
        assert [answer.status for answer in answers] == [200] * 3
        assert all(answer["looks"] == 1 and answer["outputs"] for answer in told)
        assert len(platform.callback_attempts) == 3
        assert platform.faults.calls["getProcessRunStatus"] == 3
        assert platform.faults.calls["token"] == 1

    play(test, *(SimulatedWorkflow(name, duration=1.0) for name in "abc"))


def test_callbacks_come_before_a_route_that_takes_everything():
    async def test(platform):
        port = free_port()
        app = application(called_back(platform, port))

        @app.api_route("/{anything:path}", methods=["GET", "POST"])
        async def everything(anything: str):
            return anything

        async with served(app, port) as session:
            answer = await session.post("/reports/a")
            assert (await answer.json())["looks"] == 1

    play(test, SimulatedWorkflow("a", duration=0.5))


def test_a_websocket_has_the_runner_too():
    async def test(platform):
        app = application(Service(client_of(platform)))
        async with served(app, free_port()) as session:
            ref = await (await session.post("/starts/a")).json()
            async with session.ws_connect("/follow") as socket:
                await socket.send_str(ref)
                seen = [message.data async for message in socket]
        assert seen[0] == "Looked"
        assert seen[-2:] == ["Ended", "OutputsRead"]

    play(test, SimulatedWorkflow("a", duration=0.5))


def test_an_application_can_be_started_again():
    async def test(platform):
        service = Service(
            client_of(platform),
            callbacks=partial(
                CallbackReceiver, None, public_url="https://jobs.example.com/hooks"
            ),
        )
        app = application(service)
        routes = len(app.router.routes)
        for _ in range(2):
            async with service.lifespan(app):
                assert len(app.router.routes) == routes + 1
                await service.runner.start("a")
            assert len(app.router.routes) == routes
            with pytest.raises(ConfigurationError, match="not running"):
                _ = service.runner
        assert len(platform.platform.executions("a")) == 2

    play(test, SimulatedWorkflow("a", duration=0.1))


def test_one_service_is_one_applications_at_a_time():
    async def test(platform):
        service = Service(client_of(platform))
        app = application(service)
        async with service.lifespan(app):
            with pytest.raises(ConfigurationError, match="is running"):
                async with service.lifespan(app):
                    pass
            assert (await run_and_wait(service.runner, "a")).outputs

    play(test)


def test_two_platforms_are_two_services():
    async def test(platform):
        async with Simulator() as other:
            one, two = Service(client_of(platform)), Service(client_of(other))

            @asynccontextmanager
            async def lifespan(app):
                async with one.lifespan(app), two.lifespan(app):
                    yield

            app = FastAPI(lifespan=lifespan)

            @app.post("/both")
            async def both(
                a: Annotated[Runner, Depends(one)], b: Annotated[Runner, Depends(two)]
            ):
                await asyncio.gather(a.start("a"), b.start("b"))

            async with served(app, free_port()) as session:
                assert (await session.post("/both")).status == 200
            assert len(platform.platform.executions("a")) == 1
            assert len(other.platform.executions("b")) == 1

    play(test)


def test_of_two_services_with_callbacks_each_has_a_path_of_its_own():
    async def test(platform):
        def service(**options):
            hooks = partial(
                CallbackReceiver, None, public_url="https://jobs.example.com/hooks"
            )
            return Service(client_of(platform), callbacks=hooks, **options)

        app = FastAPI()
        one, same, other = service(), service(), service(callbacks_at="/other")
        async with one.lifespan(app):
            with pytest.raises(ConfigurationError, match="'/hooks' is taken"):
                async with same.lifespan(app):
                    pass
            async with other.lifespan(app):
                assert len(app.router.routes) > 2

    play(test)


def test_a_receiver_with_no_public_url_is_refused_at_the_start():
    async def test(platform):
        service = Service(client_of(platform), callbacks=CallbackReceiver)
        with pytest.raises(ConfigurationError, match="public_url"):
            async with service.lifespan(FastAPI()):
                pass

    play(test)


def test_of_two_starts_at_once_one_is_refused():
    async def test(platform):
        service = Service(client_of(platform))

        async def live():
            async with service.lifespan(FastAPI()):
                await asyncio.sleep(0.2)
                await service.runner.start("a")

        ended = await asyncio.gather(live(), live(), return_exceptions=True)
        assert {type(end) for end in ended} == {type(None), ConfigurationError}

    play(test)


def test_routes_that_are_made_anew_do_no_harm():
    async def test(platform):
        port = free_port()
        app = FastAPI()
        async with called_back(platform, port).lifespan(app):
            app.router.routes.clear()

    play(test)


def test_a_start_that_fails_leaves_nothing_open(tmp_path):
    async def test(platform):
        clients = []

        def client():
            clients.append(DPAClient(platform.settings()))
            return clients[-1]

        def journal():
            return SQLiteJournal(tmp_path / "runs.journal")

        service = Service(client, journal=journal)
        app = application(service)
        async with journal():  # somebody else's
            with pytest.raises(JournalError):
                async with service.lifespan(app):
                    pass
        with pytest.raises(ConfigurationError, match="closed"):
            await clients[0].list_workflows()
        async with service.lifespan(app):
            await clients[1].list_workflows()

    play(test)


def test_to_stop_finishes_what_is_out_and_lets_runs_go_on(tmp_path):
    async def test(platform):
        platform.faults.add("execute", Fault.slow_answer(1.0))
        service = Service(
            client_of(platform), journal=lambda: SQLiteJournal(tmp_path / "j")
        )
        async with service.lifespan(application(service)):
            runner = service.runner
            asking = asyncio.create_task(run_and_wait(runner, "a", key="k"))
            while not platform.faults.calls["execute"]:  # noqa: ASYNC110 - it comes true elsewhere
                await asyncio.sleep(0.01)
            asking.cancel()  # who asked hung up
        with pytest.raises(asyncio.CancelledError):
            await asking
        async with SQLiteJournal(tmp_path / "j") as journal:
            (execution,) = platform.platform.executions("a")
            assert journal.find("k").ref.run_id == execution.run_id

    play(test, SimulatedWorkflow("a", duration=60.0))


def test_without_its_lifespan_the_dependency_says_what_is_missing():
    service = Service()

    async def main():
        with pytest.raises(ConfigurationError, match="not running"):
            await service()

    asyncio.run(main())
