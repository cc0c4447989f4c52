"""The pytest plugin, as projects meet it: real runs of pytest in projects of their own.

Each of them is strict, and takes warnings for errors.
"""

import asyncio
import os
import subprocess
import sys

import pytest

from dpa_async import (
    DPAClient,
    SubmissionUncertainError,
    run_and_wait,
)
from dpa_async.simulator import (
    Fault,
    FaultScript,
    SimulatedWorkflow,
    Simulator,
    serving,
)

pytest_plugins = ["pytester"]

MODULE = """
    import asyncio
    import subprocess
    import sys

    import pytest
    from dpa_async import (
        DPAClient, RunFailedError, SubmissionUncertainError, run_and_wait
    )
    from dpa_async.simulator import Fault, SimulatedWorkflow

    async def echo(target):
        return (await run_and_wait(target, "md1", {"n": 1})).outputs.json("echo")

    async def echo_by_environment():
        async with DPAClient.from_env() as client:
            return await echo(client)
"""

PLAIN = """
    def test_a_client_on_any_loop(dpa_client):
        assert asyncio.run(echo(dpa_client)) == {"n": 1}

    def test_a_runner_on_any_loop(dpa_runner):
        assert asyncio.run(echo(dpa_runner)) == {"n": 1}

    @pytest.mark.dpa_simulator(duration=36_000)
    def test_hours_one_after_the_other(dpa_run, dpa_client, dpa_runner, dpa_simulator):
        assert dpa_run(echo(dpa_client)) == {"n": 1}
        assert dpa_run(echo(dpa_runner)) == {"n": 1}
        first, second = dpa_simulator.platform.executions("md1")
        assert second.ends_at - first.submitted_at >= 72_000

    @pytest.mark.dpa_simulator(SimulatedWorkflow("md1", fails=True))
    def test_the_marker_has_workflows(dpa_run, dpa_client):
        with pytest.raises(RunFailedError):
            dpa_run(echo(dpa_client))

    @pytest.mark.dpa_simulator(SimulatedWorkflow("md1", duration=float("inf")))
    def test_what_is_left_is_ended(dpa_run, dpa_client):
        async def leave():
            waiting.append(asyncio.create_task(echo(dpa_client)))
            await asyncio.sleep(5)

        waiting = []
        dpa_run(leave())

    def test_over_http(dpa_server):
        assert asyncio.run(echo_by_environment()) == {"n": 1}
        assert len(dpa_server.platform.executions("md1")) == 1

    def test_over_http_by_a_process(dpa_server, dpa_faults):
        dpa_faults.add("getProcessRunStatus", Fault.http_status(503), calls={1})
        program = "import asyncio, test_it; asyncio.run(test_it.echo_by_environment())"
        subprocess.run([sys.executable, "-W", "error", "-c", program], check=True)
        assert len(dpa_server.platform.executions("md1")) == 1
"""

SHOWING_NOTHING = """
    def test_never_met(dpa_run, dpa_client, dpa_faults):
        dpa_faults.add("execute", Fault.answer_lost(), calls={1})
        dpa_faults.add("execute", Fault.answer_lost(), calls={2})
        with pytest.raises(SubmissionUncertainError):
            dpa_run(echo(dpa_client))

    def test_by_chance(dpa_run, dpa_client, dpa_faults):
        dpa_faults.add("execute", Fault.answer_lost(), probability=0.0)
        dpa_run(echo(dpa_client))

    def test_failed_by_itself(dpa_faults):
        dpa_faults.add("execute", Fault.answer_lost())
        assert False, "its own words"

    def test_two_platforms(dpa_server, dpa_client):
        pass
"""

COROUTINES = """
    async def test_a_client(dpa_client):
        assert await echo(dpa_client) == {"n": 1}

    async def test_a_runner_and_a_fault(dpa_runner, dpa_faults):
        dpa_faults.add("execute", Fault.refused(), calls={1})
        assert await echo(dpa_runner) == {"n": 1}

    async def test_over_http(dpa_server):
        assert await echo_by_environment() == {"n": 1}

    @pytest.mark.dpa_simulator(duration=float("inf"))
    async def test_what_is_left_is_ended(dpa_client):
        waiting = asyncio.create_task(echo(dpa_client))
        await asyncio.sleep(0.05)

    def test_an_hour_between_them(dpa_run, dpa_client):
        assert dpa_run(echo(dpa_client)) == {"n": 1}
"""

WITH = {
    "asyncio": """
        asyncio_mode = auto
        asyncio_default_fixture_loop_scope = function
    """,
    "anyio": "anyio_mode = auto",
}
ASYNCIO_ONLY = """
    import pytest

    @pytest.fixture
    def anyio_backend():
        return "asyncio"
"""


@pytest.fixture
def project(pytester, monkeypatch):
    """Run pytest in a project of these tests, on a developer's machine."""
    monkeypatch.setenv("DPA_BASE_URL", "https://dpa.example.com")
    monkeypatch.setenv("DPA_SCOPE", "what the developer has")

    def run(tests, *plugins, settings="", how=pytester.runpytest_subprocess):
        without = {"asyncio", "anyio"} - {*plugins}
        settings = "\n".join(line.strip() for line in settings.splitlines())
        pytester.makeini(f"[pytest]\nstrict = true\nfilterwarnings = error\n{settings}")
        pytester.makepyfile(test_it=MODULE + tests)
        words = [f"-pno:{name}" for name in ("cacheprovider", *without)]
        return how(*words)

    return run


def test_without_another_plugin(project):
    project(PLAIN).assert_outcomes(passed=7)


@pytest.mark.parametrize("plugin", WITH)
def test_with_a_plugin_for_coroutines(project, pytester, plugin):
    if plugin == "anyio":
        pytester.makeconftest(ASYNCIO_ONLY)
    project(COROUTINES, plugin, settings=WITH[plugin]).assert_outcomes(passed=5)


def test_what_shows_nothing_fails(project, pytester):
    done = project(SHOWING_NOTHING, how=pytester.runpytest_inprocess)
    done.assert_outcomes(passed=1, failed=2, errors=1)
    done.stdout.fnmatch_lines(
        [
            "*dpa_server and dpa_simulator are two platforms: *",
            "passed, but never met Fault.answer_lost() at 'execute'",
            "*its own words*",
        ]
    )
    report, _, _ = str(done.stdout).partition("short test summary info")
    # One of the two on order.
    assert report.count("never met Fault.answer_lost() at 'execute'\n") == 1


def test_loading_it_loads_nothing_else_of_the_package():
    """Every run of pytest does, wherever the package is installed."""
    code = (
        "import dpa_async, pytest, sys; before = set(sys.modules); "
        "import dpa_async.pytest_plugin; print(*(set(sys.modules) - before))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    assert loaded.stdout.split() == ["dpa_async.pytest_plugin"]


# --- in this very run of pytest ---------------------------------------------------


def test_the_faults_are_the_platforms(dpa_simulator, dpa_faults, dpa_run, dpa_client):
    dpa_faults.add("execute", Fault.answer_lost(), calls={1})
    with pytest.raises(SubmissionUncertainError):
        dpa_run(run_and_wait(dpa_client, "md1"))
    assert dpa_simulator.platform.requests["execute"] == 1


@pytest.mark.dpa_simulator(SimulatedWorkflow("md1"), latency=7.0)
def test_the_marker_has_workflows_and_options(dpa_run, dpa_client):
    async def timed():
        began = asyncio.get_running_loop().time()
        (workflow,) = await dpa_client.list_workflows()
        return workflow.id, asyncio.get_running_loop().time() - began

    assert dpa_run(timed()) == ("md1", 21.0)  # a code, a token, and the list


def test_on_the_server_an_environment_that_is_its_own(monkeypatch, request):
    monkeypatch.setenv("DPA_SCOPE", "what the developer has")
    dpa_server = request.getfixturevalue("dpa_server")
    assert os.environ["DPA_SCOPE"] == "default"
    assert DPAClient.from_env().settings == dpa_server.settings()


def test_a_port_that_is_taken_is_told_to_who_asks(dpa_server):
    port = int(dpa_server.url.rpartition(":")[2])
    with (
        pytest.raises(OSError, match="address already in use"),
        serving(Simulator(port=port)),
    ):
        pass


def test_faults_that_are_idle():
    script = FaultScript()
    lost, reset = Fault.answer_lost(), Fault.reset()
    script.add("execute", lost, calls={2}).add("listAll", reset)
    script.add("token", reset, probability=0.5)
    assert script.idle == [("execute", lost), ("listAll", reset)]
    script.draw("execute")
    script.draw("listAll")
    assert script.idle == [("execute", lost)]
    script.draw("execute")
    assert script.idle == []
    script.add("execute", lost, calls={1}).add("execute", lost, calls={2})
    script.draw("execute")
    assert script.idle == [("execute", lost)]  # of two that look the same
