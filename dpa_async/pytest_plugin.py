"""A pytest plugin: your code against a simulated platform, in three lines.

    def test_a_lost_answer_is_not_sent_again(dpa_run, dpa_client, dpa_faults):
        dpa_faults.add("execute", Fault.answer_lost())
        assert dpa_run(your_code(dpa_client)) == "uncertain"

It is there as soon as the package is installed, and needs no other plugin: the fixtures
are plain ones. A test that is a coroutine (pytest-asyncio, anyio on asyncio) awaits
what it uses them for, in real time; a plain one gives it to `asyncio.run`, or to
`dpa_run`, where an hour takes no time.

In memory: `dpa_simulator`, with `dpa_client` and `dpa_runner` on it. Over HTTP, for
code that makes its client by itself: `dpa_server`. Trouble, for either: `dpa_faults`.
What the platform is like is said by a marker, in the words of the simulators:

    @pytest.mark.dpa_simulator(duration=3600)
"""

from collections.abc import Coroutine, Generator
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import pytest

# Every run of pytest loads this module: the rest is loaded by the tests that use it.
if TYPE_CHECKING:
    from dpa_async import DPAClient, Runner
    from dpa_async.simulator import FaultScript, MemorySimulator, Simulator

_T = TypeVar("_T")

_OVER_HTTP = "dpa_server"
_MARKER = "dpa_simulator"
_FAULTS = "dpa_faults"
_EARLY = 0.05


class RunInVirtualTime(Protocol):
    """What `dpa_run` is: `asyncio.run` on virtual time."""

    def __call__(self, main: Coroutine[Any, Any, _T], /) -> _T:
        """Run a coroutine to its end, and give what it gives or raise what it raises.

        Raises:
            RuntimeError: A deadlock: nothing is ready and nothing ever will be. Or an
                event loop runs here already.
        """
        ...


@pytest.fixture
def dpa_simulator(request: pytest.FixtureRequest) -> "MemorySimulator":
    """A DPA platform in memory: executes any workflow, keeps the ledger.

    `dpa_simulator.platform.executions("md1")` are the runs that really started,
    `dpa_simulator.platform.add_workflow(SimulatedWorkflow("md1", fails=True))` says how
    one goes. `@pytest.mark.dpa_simulator(…)` takes the arguments of `MemorySimulator`.
    """
    from dpa_async.simulator import MemorySimulator

    if _OVER_HTTP in request.fixturenames:
        pytest.fail(
            "dpa_server and dpa_simulator are two platforms: with dpa_server, make the "
            "client by DPAClient.from_env() or of dpa_server.settings()",
            pytrace=False,
        )
    args, options = _marked(request)
    return MemorySimulator(*args, **options)


@pytest.fixture
def dpa_client(dpa_simulator: "MemorySimulator") -> "DPAClient":
    """A `DPAClient` of `dpa_simulator`, for the one event loop of a test.

    It needs no closing, and bears it.
    """
    from dpa_async import DPAClient

    return DPAClient(dpa_simulator.settings(), backend=dpa_simulator)


@pytest.fixture
def dpa_runner(dpa_client: "DPAClient") -> "Runner":
    """A `Runner` of `dpa_client` that looks early, for tests in real time.

    It needs no closing, and bears it.
    """
    from dpa_async import Runner, WaitPolicy

    return Runner(dpa_client, wait=WaitPolicy(first_look=_EARLY))


@pytest.fixture
def dpa_run() -> Generator[RunInVirtualTime]:
    """`asyncio.run` on virtual time: an hour takes no time.

    All coroutines of one test run on one loop, one after the other. Real sockets,
    processes and threads of your own are not waited for: with these, use `asyncio.run`.
    """
    import asyncio

    from dpa_async.simulator.virtual_time import VirtualTimeLoop

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        yield runner.run


@pytest.fixture
def dpa_server(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Generator["Simulator"]:
    """A DPA platform over HTTP, on a thread of its own, in the environment.

    The `DPA_*` variables lead to it, and `DPAClient.from_env()` with them, also in a
    process that the test starts; what else they held is gone until the test is over.
    `@pytest.mark.dpa_simulator(…)` takes the arguments of `Simulator`.
    """
    from dpa_async.settings.sources import VARIABLES
    from dpa_async.simulator import Simulator, serving

    args, options = _marked(request)
    with serving(Simulator(*args, **options)) as simulator:
        for variable in VARIABLES:
            monkeypatch.delenv(variable, raising=False)
        for variable, value in simulator.environment().items():
            monkeypatch.setenv(variable, value)
        yield simulator


@pytest.fixture
def dpa_faults(request: pytest.FixtureRequest) -> "FaultScript":
    """What goes wrong on the simulated platform: `.add(place, fault, calls={1})`.

    A test that passes though a fault that it ordered never struck fails: it showed
    nothing. Those with a probability may stay away.
    """
    over_http = _OVER_HTTP in request.fixturenames
    simulator: MemorySimulator | Simulator = request.getfixturevalue(
        _OVER_HTTP if over_http else _MARKER
    )
    return simulator.faults


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line(
        "markers",
        f"{_MARKER}(*workflows, **options): how the platform of dpa_simulator or "
        "dpa_server is: SimulatedWorkflows, and arguments such as duration=3600",
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """See that the faults of a test that passed have struck."""
    result = yield
    faults: FaultScript | None = getattr(item, "funcargs", {}).get(_FAULTS)
    if faults is not None and faults.idle:
        never = ", ".join(f"{fault!r} at {place!r}" for place, fault in faults.idle)
        pytest.fail(f"passed, but never met {never}", pytrace=False)
    return result


def _marked(request: pytest.FixtureRequest) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Give the arguments of a simulator as the test's marker has them."""
    marker = request.node.get_closest_marker(_MARKER)
    if marker is None:
        return (), {}
    return ((marker.args,) if marker.args else ()), dict(marker.kwargs)
