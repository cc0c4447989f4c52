"""The demo: a few hundred runs at once, over HTTP, on a simulator of its own."""

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import AsyncGenerator, Iterator

from attrs import define, field

from dpa_async.batch import RunOutcome
from dpa_async.calls import run_many
from dpa_async.cli.exits import Exit
from dpa_async.cli.options import NO_OPTIONS, Options
from dpa_async.cli.printing import tell
from dpa_async.cli.safe_text import shown
from dpa_async.cli.words import Count
from dpa_async.cli.working import loop_factory
from dpa_async.client import DPAClient
from dpa_async.errors import DPAError
from dpa_async.events import Ended, Looked, OutputsRead, RunEvent, Submitted
from dpa_async.models import RunRequest, RunResult
from dpa_async.runner import Runner
from dpa_async.settings import Settings
from dpa_async.simulator import Application

_LISTENING = "dpa simulator listening on "
_SECONDS_TO_START = 30.0
_REDRAW = 0.1
_BAR = 24
_EXAMPLES = 3


@define
class Tally:
    """What the events of a batch add up to; an observer of its runner."""

    total: int
    submitted: int = 0
    ended: int = 0
    requests: int = 2  # for the token
    failures: list[str] = field(factory=list[str])
    examples: list[RunResult] = field(factory=list[RunResult])
    began: float = field(factory=time.monotonic)

    def __call__(self, event: RunEvent) -> None:
        """Count one event."""
        self.submitted += isinstance(event, Submitted)
        self.ended += isinstance(event, Ended)
        self.requests += isinstance(event, Submitted | Looked | OutputsRead)

    def add(self, outcome: RunOutcome) -> None:
        """Count one outcome, and keep the first few as examples."""
        if outcome.result is None:
            self.failures.append(str(outcome.error))
        elif len(self.examples) < _EXAMPLES:
            self.examples.append(outcome.result)

    @property
    def seconds(self) -> float:
        """Seconds since the batch began."""
        return time.monotonic() - self.began

    def line(self) -> str:
        """Give the progress line."""
        full = _BAR * self.ended // self.total
        unicode = (sys.stdout.encoding or "").lower().startswith("utf")
        done, todo = "█░" if unicode else "#."
        bar = done * full + todo * (_BAR - full)
        running = self.submitted - self.ended
        return (
            f"{bar} {self.ended:>4}/{self.total} ended, {running:>3} running, "
            f"{self.requests:>5} requests, {self.seconds:4.1f} s"
        )


def demo(
    *, runs: Count = 300, workflows: Count = 100, options: Options = NO_OPTIONS
) -> int:
    """Run a few hundred workflows on a simulated platform.

    It starts the simulator as a process of its own, and needs no settings.

    $ dpa demo
    $ dpa demo --runs 1000 --workflows 500

    Args:
        runs: How many runs.
        workflows: Of how many workflows.
        options: Of every command.
    """
    del options  # it is made to be looked at
    try:
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            return runner.run(_demo(runs, workflows))
    except KeyboardInterrupt:
        print("\ninterrupted: the simulator is stopped, nothing is left running")
        return Exit.INTERRUPTED
    except (OSError, DPAError, TimeoutError) as error:
        tell("")
        tell(f"the demo cannot run: {error}")
        return Exit.FAILED


async def _demo(runs: int, workflows: int) -> int:
    tally = Tally(total=runs)
    async with _simulator() as url:
        what = f"{runs} runs of {workflows} workflows"
        print(f"{what} on a simulated platform at {url}", flush=True)
        made_up = Application()
        settings = Settings(
            base_url=url,
            client_id=made_up.client_id,
            client_secret=made_up.client_secret,
            execute_urls="/api/dpa/process/execute/{workflow_id}",
        )
        async with (
            DPAClient(settings) as client,
            Runner(client, observers=[tally]) as runner,
            _progress(tally),
            run_many(runner, _requests(runs, workflows), concurrency=runs) as batch,
        ):
            async for outcome in batch:
                tally.add(outcome)
    _summarise(tally)
    return 1 if tally.failures else 0


def _requests(runs: int, workflows: int) -> Iterator[RunRequest]:
    for number in range(runs):
        yield RunRequest(f"md{number % workflows:06}", {"number": str(number)})


@contextlib.asynccontextmanager
async def _simulator() -> AsyncGenerator[str]:
    """Start the simulator as a process of its own; gives its URL."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "dpa_async", "simulate", "--port", "0", "--exit-with-stdin"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        # Ctrl-C goes to the whole group of a terminal; the simulator ends with our
        # end of its standard input, after the last request, and however we end.
        start_new_session=os.name == "posix",
    )
    try:
        yield await _url_of(process)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.communicate()


async def _url_of(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None  # noqa: S101 - both are pipes, as said above
    assert process.stderr is not None  # noqa: S101
    async with asyncio.timeout(_SECONDS_TO_START):
        line = (await process.stdout.readline()).decode()
    if line.startswith(_LISTENING):
        return line.removeprefix(_LISTENING).strip()
    said = (await process.stderr.read()).decode(errors="replace").strip()
    last = said.splitlines()[-1] if said else "it said nothing"
    msg = f"the simulator did not start: {last}"
    raise OSError(msg)


@contextlib.asynccontextmanager
async def _progress(tally: Tally) -> AsyncGenerator[None]:
    """Draw the progress line while the block runs; only once without a terminal."""
    task = asyncio.create_task(_draw(tally)) if sys.stdout.isatty() else None
    try:
        yield
    finally:
        if task is not None:
            task.cancel()
        print(("\r" if task else "") + tally.line(), flush=True)


async def _draw(tally: Tally) -> None:
    while True:
        print("\r" + tally.line(), end="", flush=True)
        await asyncio.sleep(_REDRAW)


def _summarise(tally: Tally) -> None:
    for result in tally.examples:
        nodes = {node.node_name: node.result for node in result.outputs}
        print(f"  {result.ref}\n    outputs {nodes}")
    for failure in tally.failures[:_EXAMPLES]:
        print(f"  failed: {shown(failure)}")
    print(
        f"{tally.total} runs, {len(tally.failures)} failures, "
        f"{tally.requests / tally.total:.1f} requests per run, {tally.seconds:.1f} s"
    )
