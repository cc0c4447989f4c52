"""The table of docs/integrations/engines.md: services that are killed, and begun again.

Of the engines that have processes of their own, `nox -s taskiq` and `nox -s airflow`
show the same; of none at all, the tests of the guarantees.
"""

import asyncio
import contextlib
import json
import signal
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from engine_process import ENGINES
from receivers import free_port

from dpa_async import JournalError
from dpa_async.journal import EntryState, read_entries
from dpa_async.simulator import Fault, SimulatedWorkflow, Simulator

PROGRAM = Path(__file__).with_name("engine_process.py")
PAGE = Path(__file__).parents[2] / "docs" / "integrations" / "engines.md"
KEY = "nightly"


class Service:
    """A process with an engine in it, and what it tells."""

    def __init__(self, process, port):
        self._process = process
        self._port = port

    async def ask(self):
        """Ask for the report until the service is there to take the request."""
        url = f"http://127.0.0.1:{self._port}/reports/{KEY}"
        async with aiohttp.ClientSession() as session:
            while True:
                try:
                    answer = await session.post(url)
                    return await answer.json()
                except aiohttp.ClientConnectorError:
                    await asyncio.sleep(0.05)

    async def told(self):
        return json.loads(await self._process.stdout.readline())

    async def end(self, how=signal.SIGKILL):
        self._process.send_signal(how)
        return await self._process.wait()


@asynccontextmanager
async def lived(engine, platform, journal):
    """A life of the service, which does not outlast the block."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", PROGRAM, engine, str(port), journal),
        env=platform.environment(),
        stdout=asyncio.subprocess.PIPE,
    )
    service = Service(process, port)
    try:
        yield service
    finally:
        if process.returncode is None:
            await service.end()


async def until_journaled(journal, state):
    """Wait until the journal, which is the service's, has a key in that state."""
    seen = set()
    while state not in seen:
        await asyncio.sleep(0.05)
        with contextlib.suppress(JournalError):  # it is being made
            seen = {entry.state for entry in read_entries(journal)}


async def first_life(engine, platform, journal, *, until, how=signal.SIGKILL):
    """Have a run started, and end the service when the journal is that far."""
    async with (
        lived(engine, platform, journal) as service,
        asyncio.TaskGroup() as tasks,
    ):
        asking = tasks.create_task(unanswered(service))
        await until_journaled(journal, until)
        if until is EntryState.INTENDED:
            while not platform.faults.calls["execute"]:  # noqa: ASYNC110 - elsewhere
                await asyncio.sleep(0.01)
        await service.end(how)
        asking.cancel()  # by APScheduler there is nobody to ask: a clock does


async def unanswered(service):
    with contextlib.suppress(aiohttp.ClientError):
        await service.ask()


def play(test, **workflow):
    async def main():
        async with (
            asyncio.timeout(60),
            Simulator([SimulatedWorkflow("wf", **workflow)]) as platform,
        ):
            await test(platform)

    asyncio.run(main())


def table(heading):
    """The rows of a table of the page, as lists of cells."""
    section = PAGE.read_text("utf-8").partition(f"\n## {heading}\n")[2]
    lines = section.partition("\n\n**")[0].splitlines()
    rows = [line for line in lines if line.startswith("| ")]
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows[2:]]


def test_the_page_promises_what_is_shown_here():
    rows = table("What happens when it dies")
    assert {again for _, _, again, _ in rows} == {"no"}
    elsewhere = {"none", "Airflow", "Taskiq"}
    engines = {engine for cell, *_ in rows for engine in cell.split(", ")}
    assert engines - elsewhere == set(ENGINES)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("engine", ENGINES)
def test_a_run_that_goes_on_is_taken_up_at_the_next_start(engine, how, tmp_path):
    journal = tmp_path / "runs.journal"

    async def test(platform):
        await first_life(engine, platform, journal, until=EntryState.STARTED, how=how)
        async with lived(engine, platform, journal) as service:
            again = await service.told()
            if engine == "APScheduler":  # the fire that it was at comes again, too
                seen = [again, await service.told()]
                again = next(words for words in seen if "run" in words)
                answer = next(words["fired"] for words in seen if "fired" in words)
            else:
                answer = await service.ask()
        (execution,) = platform.platform.executions("wf")
        assert again["key"].startswith(KEY)
        assert again["run"] == answer == execution.run_id

    play(test, duration=4.0)


@pytest.mark.parametrize("engine", ENGINES)
def test_an_execute_whose_answer_nobody_read_is_reported_and_not_repeated(
    engine, tmp_path
):
    journal = tmp_path / "runs.journal"

    async def test(platform):
        platform.faults.add("execute", Fault.slow_answer(20.0))
        await first_life(engine, platform, journal, until=EntryState.INTENDED)
        async with lived(engine, platform, journal) as service:
            assert (await service.told())["error"] == "SubmissionUncertainError"
        assert platform.faults.calls["execute"] == 1

    play(test, duration=0.1)
