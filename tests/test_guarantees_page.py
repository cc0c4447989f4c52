"""The tables of docs/guarantees.md, row by row: callbacks, and processes that die."""

import asyncio
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import dpa_async
from dpa_async import DPAClient, DPAError, Runner, RunResult, run_and_wait
from dpa_async.callbacks import CallbackReceiver
from dpa_async.journal import SQLiteJournal
from dpa_async.simulator import (
    Fault,
    MemorySimulator,
    SimulatedWorkflow,
    Simulator,
    deliver_to,
)
from dpa_async.simulator.virtual_time import run

PAGE = Path(__file__).parents[1] / "docs" / "guarantees.md"


def table(heading):
    section = PAGE.read_text("utf-8").partition(f"\n## {heading}\n")[2]
    section = section.partition("\n## ")[0]
    cells = [
        [cell.strip() for cell in line.strip("|").split(" | ")]
        for line in section.splitlines()
        if line.startswith("| ")
    ]
    return {what: (again, promised) for what, again, promised in cells[2:]}


CALLBACKS = table("With callbacks")
DEATHS = table("With a journal, where the process dies")


def keeps(promised, outcome):
    if promised == "the result":
        return isinstance(outcome, RunResult)
    return type(outcome) is getattr(dpa_async, promised.strip("`"))


async def faithful(deliver, url, payload):
    return await deliver(url, payload)


async def lost(deliver, url, payload):
    raise OSError


async def repeated(deliver, url, payload):
    for _ in range(20):
        reply = await deliver(url, payload)
    return reply


async def lying(deliver, url, payload):
    return await deliver(url, {**payload, "status": "FAIL"})


async def mistaken(deliver, url, payload):
    return await deliver(url, {**payload, "instanceId": "in-another"})


SCENES = {
    "the execute's answer is lost, and the run calls back": (
        Fault.answer_lost(),
        faithful,
    ),
    "the execute's answer is lost, and so is the callback": (Fault.answer_lost(), lost),
    "the execute is lost on its way there": (Fault.reset(), faithful),
    "the callback is lost": (None, lost),
    "the callback comes again and again": (None, repeated),
    "the callback comes before the execute's answer": (
        Fault.slow_answer(8.0),
        faithful,
    ),
    "the callback says FAIL of a run that succeeds": (None, lying),
    "the callback names another run": (None, mistaken),
}


def test_every_row_has_its_scene_and_every_scene_its_row():
    assert CALLBACKS.keys() == SCENES.keys()
    assert DEATHS.keys() == POINTS.keys()


@pytest.mark.parametrize("row", CALLBACKS)
def test_callbacks(row):
    again, promised = CALLBACKS[row]
    fault, deliver = SCENES[row]
    outcome, platform = run(played(fault, deliver))
    assert keeps(promised, outcome), repr(outcome)
    assert again == "no"
    assert platform.faults.calls["execute"] == 1


async def played(fault, deliver):
    receiver = CallbackReceiver(None, public_url="https://app.example.com")
    reached = deliver_to(receiver.asgi)
    platform = MemorySimulator(
        [SimulatedWorkflow("wf", duration=5.0)],
        deliver_callback=lambda url, payload: deliver(reached, url, payload),
    )
    async with (
        receiver,
        DPAClient(platform.settings(), backend=platform) as client,
        Runner(client, callbacks=receiver) as runner,
    ):
        if fault is not None:
            platform.faults.add("execute", fault)
        try:
            outcome = await run_and_wait(runner, "wf")
        except DPAError as error:
            outcome = error
    await platform.aclose()
    return outcome, platform


# Where the child kills itself: (what is wrapped, its method, before or after it).
POINTS = {
    "before the intent is written": "journal.intend before",
    "between the intent and the POST": "journal.intend after",
    "while the execute is out": "post after_sent",
    "between the answer and its being written": "journal.started before",
    "while the run goes on": "journal.started after",
    "after the end, before the result is written": "journal.finished before",
    "after the result is written": "journal.finished after",
}

CHILD = """
    import asyncio, os, signal, sys
    from dpa_async import DPAClient, Runner, Settings, run_and_wait
    from dpa_async.journal import SQLiteJournal
    from dpa_async.transport.aiohttp_backend import AiohttpBackend

    url, path, what, when = sys.argv[1:]

    def die():
        os.kill(os.getpid(), signal.SIGKILL)

    class Dying:
        def __init__(self, journal):
            self._journal = journal

        def __getattr__(self, name):
            method = getattr(self._journal, name)
            if what != f"journal.{name}":
                return method

            async def dies(*args, **kwargs):
                if when == "before":
                    die()
                await method(*args, **kwargs)
                die()

            return dies

    class Backend(AiohttpBackend):
        async def exchange(self, method, url, *args, own_connection, **kwargs):
            if what == "post" and "/execute/" in url:
                asyncio.get_running_loop().call_later(0.3, die)
            return await super().exchange(
                method, url, *args, own_connection=own_connection, **kwargs
            )

    async def main():
        settings = Settings(
            base_url=url,
            client_id="sim+App/0001==",
            client_secret="made/Up+Secret/of+Nobody==",
            execute_urls="/api/dpa/process/execute/{workflow_id}",
        )
        async with (
            DPAClient(settings, backend=Backend(settings)) as client,
            SQLiteJournal(path) as journal,
            Runner(client, journal=Dying(journal)) as runner,
        ):
            await run_and_wait(runner, "wf", {"n": 1}, key="k")

    asyncio.run(main())
"""


@pytest.mark.parametrize("row", DEATHS)
def test_deaths(row, tmp_path):
    again, promised = DEATHS[row]
    what, when = POINTS[row].split()
    path = tmp_path / "journal"

    async def main():
        async with Simulator([SimulatedWorkflow("wf", duration=0.2)]) as dpa:
            if what == "post":
                dpa.faults.add("execute", Fault.slow_answer(1.0))
            program = textwrap.dedent(CHILD)
            died = await asyncio.to_thread(
                subprocess.run,
                [sys.executable, "-c", program, dpa.url, path, what, when],
                check=False,
            )
            assert died.returncode == -9
            executed = dpa.platform.requests["execute"]
            dpa.faults.clear()
            async with (
                DPAClient(dpa.settings()) as client,
                SQLiteJournal(path) as journal,
                Runner(client, journal=journal) as runner,
            ):
                try:
                    outcome = await run_and_wait(runner, "wf", {"n": 1}, key="k")
                except DPAError as error:
                    outcome = error
            assert keeps(promised, outcome), repr(outcome)
            again_executed = dpa.platform.requests["execute"] - executed
            assert again_executed == again.startswith("yes")

    asyncio.run(main())
