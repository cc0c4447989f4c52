"""What a service does at its start with what the one before it left in the journal."""

import asyncio
from functools import partial

import pytest
from scenes import FullDisk
from starlette.applications import Starlette

from dpa_async import ConfigurationError, DPAClient
from dpa_async.integrations.asgi import Service
from dpa_async.journal import EntryState, SQLiteJournal, read_entries
from dpa_async.simulator import SimulatedWorkflow, Simulator


class Scene:
    """Lives of a service on one platform, with one journal."""

    def __init__(self, platform, path):
        self.platform = platform
        self.path = path

    def service(self, on_resumed, *, journal=SQLiteJournal):
        return Service(
            partial(DPAClient, self.platform.settings()),
            journal=partial(journal, self.path),
            on_resumed=on_resumed,
        )

    async def leave(self, *workflow_ids):
        """Live once, and leave a run of each of these."""
        service = self.service(print)
        async with service.lifespan(Starlette()):
            for workflow_id in workflow_ids:
                await service.runner.start(workflow_id, key=workflow_id)


def play(test, path, *workflows):
    async def main():
        async with asyncio.timeout(30), Simulator(workflows) as platform:
            await test(Scene(platform, path / "runs.journal"))
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left, left

    asyncio.run(main())


def lasting(seconds, names):
    return (SimulatedWorkflow(name, duration=seconds) for name in names)


def keys_of(outcomes):
    return sorted(outcome.request.key for outcome in outcomes)


def test_each_run_that_was_left_is_told_of_and_what_tells_may_be_awaited(tmp_path):
    async def test(scene):
        told, all_told = [], asyncio.Event()

        async def note(outcome):
            await asyncio.sleep(0.01)
            told.append(outcome)
            if len(told) == 3:
                all_told.set()

        await scene.leave(*"abc")
        async with scene.service(note).lifespan(Starlette()):
            await all_told.wait()
        assert keys_of(told) == ["a", "b", "c"]
        assert all(outcome.result.status.ended for outcome in told)

    play(test, tmp_path, *lasting(0.5, "abc"))


@pytest.mark.parametrize("error", [LookupError, asyncio.CancelledError])
def test_what_raises_when_it_is_told_is_told_of_the_others_all_the_same(
    tmp_path, caplog, error
):
    async def test(scene):
        told, all_told = [], asyncio.Event()

        def note(outcome):
            told.append(outcome)
            if len(told) == 2:
                all_told.set()
            raise error

        await scene.leave(*"ab")
        async with scene.service(note).lifespan(Starlette()):
            await all_told.wait()
        assert keys_of(told) == ["a", "b"]

    play(test, tmp_path, *lasting(0.3, "ab"))
    words = sorted(record.message for record in caplog.records)
    assert words == ["on_resumed raised, of a", "on_resumed raised, of b"]


@pytest.mark.parametrize("ends", ["at once", "after a while"])
def test_who_ends_before_they_do_is_told_of_none(tmp_path, ends):
    async def test(scene):
        told = []

        async def fail():
            async with scene.service(told.append).lifespan(Starlette()):
                if ends != "at once":
                    await asyncio.sleep(0.3)
                raise LookupError("no database")

        await scene.leave(*"abc")
        with pytest.raises(LookupError):
            await fail()
        assert told == []
        states = {entry.state for entry in read_entries(scene.path)}
        assert states == {EntryState.STARTED}

    play(test, tmp_path, *lasting(60.0, "abc"))


def test_a_journal_that_cannot_be_read_to_its_end_is_told_of_at_once(tmp_path, caplog):
    class Torn(SQLiteJournal):
        def unfinished(self):
            yield next(super().unfinished())
            raise ConfigurationError("the file is damaged")

    async def test(scene):
        told = []
        await scene.leave(*"ab")
        async with scene.service(told.append, journal=Torn).lifespan(Starlette()):
            while not caplog.records:  # noqa: ASYNC110 - it comes true elsewhere
                await asyncio.sleep(0.01)
        assert keys_of(told) == ["a"]

    play(test, tmp_path, *lasting(0.2, "ab"))
    (record,) = caplog.records
    assert "the file is damaged" in record.message


def test_a_run_whose_end_cannot_be_written_down_is_an_outcome(tmp_path):
    class Full(SQLiteJournal):
        async def __aenter__(self):
            return FullDisk(await super().__aenter__(), "finished")

    async def test(scene):
        told = asyncio.Queue()
        await scene.leave("a")
        service = scene.service(told.put_nowait, journal=Full)
        async with service.lifespan(Starlette()):
            outcome = await told.get()
        assert "the disk is full" in str(outcome.error)
        assert outcome.error.ref.workflow_id == "a"

    play(test, tmp_path, *lasting(0.2, "a"))


def test_however_many_were_left_the_quick_ones_are_told_of_first(tmp_path):
    names = [f"w{n}" for n in range(500)]

    async def test(scene):
        told = asyncio.Queue()
        await scene.leave(*names, "quick")
        async with scene.service(told.put_nowait).lifespan(Starlette()):
            assert (await told.get()).request.key == "quick"

    slow = SimulatedWorkflow("quick", duration=0.1)
    play(test, tmp_path, *lasting(600.0, names), slow)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"client": object()}, "client is object"),
        ({"callbacks": "hooks"}, "callbacks is str"),
        ({"journal": "service.journal"}, "journal is str"),
        ({"on_resumed": "log"}, "on_resumed is str"),
        ({"callbacks_at": "/"}, "callbacks_at is '/'"),
        ({"callbacks_at": "hooks"}, "callbacks_at is 'hooks'"),
    ],
)
def test_what_makes_nothing_is_refused_when_it_is_given(wrong, says):
    with pytest.raises(ConfigurationError, match=says):
        Service(**wrong)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"client": object}, "what `client` makes is object"),
        ({"callbacks": object}, "what `callbacks` makes is object"),
        ({"journal": object}, "what `journal` makes is object"),
    ],
)
def test_what_makes_something_else_is_refused_at_the_start(tmp_path, wrong, says):
    async def test(scene):
        fine = {"client": partial(DPAClient, scene.platform.settings())}
        with pytest.raises(ConfigurationError, match=says):
            async with Service(**{**fine, **wrong}).lifespan(Starlette()):
                pass

    play(test, tmp_path)
