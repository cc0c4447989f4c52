"""The main path over real sockets, against the simulator on 127.0.0.1."""

import asyncio
import gc

import aiohttp
import pytest

from dpa_async import (
    AuthenticationError,
    ConfigurationError,
    DPAClient,
    RunFailedError,
    Runner,
    RunRef,
    RunRequest,
    RunStatus,
    RunTimeoutError,
    SubmissionUncertainError,
    TokenManager,
    UnexpectedResponseError,
    WaitPolicy,
    run_and_wait,
    run_many,
)
from dpa_async.simulator import Behaviour, Fault, SimulatedWorkflow, Simulator

QUICK = WaitPolicy(first_look=0.05, maximum=0.5)


def serve(test, *workflows, **options):
    """Run a coroutine function with a simulator and a client of it."""

    async def main():
        async with (
            Simulator(workflows or None, **options) as platform,
            DPAClient(platform.settings()) as client,
        ):
            await test(platform, client)

    asyncio.run(main(), debug=True)
    gc.collect()  # what was not closed says so now, and a warning is an error


def test_300_runs_of_100_workflows_each_with_its_own_outputs():
    async def test(platform, client):
        requests = [RunRequest(f"wf{n % 100}", {"n": n}) for n in range(300)]
        ours = {}
        async with (
            Runner(client, wait=QUICK) as runner,
            run_many(runner, requests, concurrency=300) as batch,
        ):
            async for outcome in batch:
                assert outcome.error is None
                ours[outcome.request.params["n"]] = outcome.result
        assert ours.keys() == set(range(300))
        for n, result in ours.items():
            assert result.outputs.json("echo") == {"n": n}
            assert result.status is RunStatus.SUCCEEDED
            assert result.ref.workflow_id == f"wf{n % 100}"
        assert len({result.ref for result in ours.values()}) == 300
        assert platform.platform.requests["execute"] == 300
        assert platform.platform.requests["token"] == 1

    serve(test, duration=(0.05, 0.2))


def test_a_failed_run_raises_with_its_outputs_and_check_false_gives_it():
    async def test(platform, client):
        with pytest.raises(RunFailedError) as caught:
            await run_and_wait(client, "wf", {"n": 1})
        assert caught.value.result.status is RunStatus.FAILED
        assert caught.value.result.outputs.json("echo") == {"n": 1}
        result = await run_and_wait(client, "wf", {"n": 2}, check=False)
        assert result.status is RunStatus.FAILED
        assert result.outputs.json("echo") == {"n": 2}

    serve(test, SimulatedWorkflow("wf", duration=0.1, fails=True))


def test_a_deadline_raises_with_the_ref_and_its_text_finishes_the_run():
    async def test(platform, client):
        await client.list_workflows()  # the token's time is not the deadline's
        with pytest.raises(RunTimeoutError) as caught:
            await run_and_wait(client, "wf", {"n": 1}, timeout=1.5)
        assert isinstance(caught.value, TimeoutError)
        async with DPAClient(platform.settings()) as later, Runner(later) as runner:
            result = await runner.attach(str(caught.value.ref))
        assert result.ref == caught.value.ref
        assert result.submitted_at is None
        assert result.outputs.json("echo") == {"n": 1}
        assert platform.platform.requests["execute"] == 1

    serve(test, SimulatedWorkflow("wf", duration=3.0))


def test_client_id_and_secret_with_plus_slash_equals_arrive_as_they_are():
    async def test(platform, client):
        assert set("+/=") <= set(client.settings.client_id)
        assert await client.list_workflows() == []

    serve(test)


def test_400_first_calls_at_once_make_one_authorize_and_one_token_request():
    async def test(platform, client):
        platform.faults.add("token", Fault.slow_answer(0.1))
        await asyncio.gather(*(client.list_workflows() for _ in range(400)))
        assert platform.platform.requests["authorize"] == 1
        assert platform.platform.requests["token"] == 1
        assert platform.platform.requests["listAll"] == 400

    serve(test)


@pytest.mark.parametrize("fault", [Fault.answer_lost(), Fault.answer_cut(5)])
def test_an_execute_whose_answer_is_lost_is_one_post_and_uncertain(fault):
    async def test(platform, client):
        platform.faults.add("execute", fault)
        with pytest.raises(SubmissionUncertainError) as caught:
            await run_and_wait(client, "wf", {"n": 1}, key="mine")
        assert platform.faults.calls["execute"] == 1
        assert len(platform.platform.executions("wf")) == 1
        assert caught.value.submission.key == "mine"
        assert caught.value.submission.workflow_id == "wf"
        assert caught.value.submission.sent_at is not None

    serve(test)


@pytest.mark.parametrize("auth_failure", ["code", "http_401", "http_403"])
def test_a_refused_token_is_renewed_once_and_the_call_repeated(auth_failure):
    async def test(platform, client):
        await client.list_workflows()
        platform.platform.revoke_all()
        await asyncio.gather(*(client.list_workflows() for _ in range(50)))
        assert platform.platform.requests["token"] == 2

    serve(test, behaviour=Behaviour(auth_failure=auth_failure))


def test_a_token_that_is_refused_again_raises_after_one_repeat():
    async def test(platform, client):
        platform.faults.add("listAll", Fault.body_code(403))
        with pytest.raises(AuthenticationError) as caught:
            await client.list_workflows()
        assert platform.faults.calls["listAll"] == 2
        assert "secret" in str(caught.value)
        assert "expired" in str(caught.value)

    serve(test)


def test_every_interface_answers_as_documented():
    async def test(platform, client):
        variables = await client.list_variables("wf")
        assert [v.name for v in variables] == ["DPA_MODEL_WORKDIR"]
        execution = await client.execute("wf", {"DPA_MODEL_WORKDIR": "/opt"})
        assert execution.run.workflow_id == "wf"
        assert (await client.get_run_status(execution.run)) in RunStatus
        (row,) = await client.list_workflows()
        assert row.id == "wf"
        assert row.name == "wf"
        assert row.updated_at.tzinfo is not None
        await asyncio.sleep(0.15)
        assert await client.get_run_status(execution.run) is RunStatus.SUCCEEDED
        outputs = await client.get_outputs(execution.run)
        assert outputs.json("echo") == {"DPA_MODEL_WORKDIR": "/opt"}

    workflow = SimulatedWorkflow("wf", duration=0.1, variables=["DPA_MODEL_WORKDIR"])
    serve(test, workflow)


def test_a_synchronous_execute_carries_status_and_outputs():
    async def test(platform, client):
        execution = await client.execute("wf", {"n": 1}, sync_wait=5)
        assert execution.status is RunStatus.SUCCEEDED
        assert execution.outputs.json("echo") == {"n": 1}

    serve(test, SimulatedWorkflow("wf", duration=0.1))


def test_a_path_prefix_is_part_of_every_url():
    async def test(platform, client):
        result = await run_and_wait(client, "wf", {"n": 1})
        assert result.ref.origin.endswith("/dpa")

    serve(test, behaviour=Behaviour(prefix="/dpa"))


def test_an_id_of_any_text_is_one_segment_and_comes_back():
    async def test(platform, client):
        odd = "a/b c?d#e%2F+流程"
        result = await run_and_wait(client, odd, {"n": 1})
        assert result.ref.workflow_id == odd
        assert RunRef.parse(str(result.ref)) == result.ref

    serve(test)


def test_a_borrowed_session_lends_its_connections_and_is_never_closed():
    async def main():
        async with Simulator() as platform, aiohttp.ClientSession() as session:
            async with DPAClient(platform.settings(), session=session) as client:
                await run_and_wait(client, "wf")
            assert not session.closed
            assert not session.connector.closed
            async with session.get(platform.url) as reply:
                assert reply.status == 404

    asyncio.run(main(), debug=True)


def test_a_borrowed_session_that_is_closed_is_told_of():
    async def main():
        async with Simulator() as platform:
            async with aiohttp.ClientSession() as session:
                client = DPAClient(platform.settings(), session=session)
            with pytest.raises(ConfigurationError, match="session"):
                await client.list_workflows()
            await client.aclose()

    asyncio.run(main())


def test_another_event_loop_is_told_of():
    async def misuse(client):
        with pytest.raises(ConfigurationError, match="event loop"):
            await client.list_workflows()

    async def test(platform, client):
        await client.list_workflows()
        await asyncio.to_thread(asyncio.run, misuse(client))
        await client.list_workflows()

    serve(test)


def test_a_closed_client_is_told_of():
    async def main():
        async with Simulator() as platform:
            async with DPAClient(platform.settings()) as client:
                pass
            await client.aclose()  # again: it does no harm
            with pytest.raises(ConfigurationError, match="closed"):
                await client.list_workflows()
            with pytest.raises(ConfigurationError, match="closed"):
                await run_and_wait(client, "wf")

    asyncio.run(main())


def test_no_execute_url_is_told_of_before_anything_is_sent():
    async def main():
        async with Simulator() as platform:
            settings = platform.settings(execute_urls={})
            async with DPAClient(settings) as client:
                with pytest.raises(ConfigurationError, match="API按钮"):
                    await run_and_wait(client, "wf")
            assert not platform.platform.requests

    asyncio.run(main())


def test_parameters_that_are_no_json_are_told_of_before_anything_is_sent():
    async def test(platform, client):
        for bad in ({"x": float("nan")}, {"x": object()}, {"x": "\ud800"}):
            with pytest.raises(ConfigurationError, match="params"):
                await run_and_wait(client, "wf", bad)
        assert not platform.platform.requests

    serve(test)


def test_the_wrong_card_url_is_an_error_with_the_run_that_it_started():
    async def main():
        async with Simulator() as platform:
            urls = {"mine": platform.execute_url("theirs")}
            async with DPAClient(platform.settings(execute_urls=urls)) as client:
                with pytest.raises(UnexpectedResponseError) as caught:
                    await run_and_wait(client, "mine")
            (started,) = platform.platform.executions("theirs")
            assert caught.value.ref.workflow_id == "theirs"
            assert caught.value.ref.run_id == started.run_id

    asyncio.run(main())


def test_a_run_of_another_platform_is_refused():
    async def test(platform, client):
        foreign = RunRef("https://elsewhere.example", "wf", "r1")
        for call in (client.get_run_status, client.get_outputs):
            with pytest.raises(ConfigurationError, match="elsewhere"):
                await call(foreign)
        with pytest.raises(ConfigurationError, match="elsewhere"):
            client.companion(Runner).attach(foreign)
        assert not platform.platform.requests

    serve(test)


def test_a_token_manager_is_usable_alone():
    async def main():
        async with Simulator() as platform, TokenManager(platform.settings()) as tokens:
            token = await tokens.get()
            assert token.value not in repr(token)
            assert await tokens.get() is token
            other = await tokens.renew(rejected=token)
            assert other.value != token.value
            assert await tokens.renew(rejected=token.value) is other
            assert platform.platform.requests["token"] == 2

    asyncio.run(main(), debug=True)
