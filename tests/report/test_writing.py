"""A report of a journal, written whole or not at all; and of what a batch gave."""

import asyncio
import stat
import sys
from pathlib import Path

import pytest
from reported import data, section, tree

from dpa_async import (
    JournalError,
    NotStartedError,
    RunRequest,
    RunTimeoutError,
    SubmissionUncertainError,
    run_many,
)
from dpa_async.batch import RunOutcome
from dpa_async.report import Lags, ReportedRun, RunState, render, write_report
from dpa_async.simulator import Fault, FaultScript, SimulatedWorkflow

sys.path.insert(0, str(Path(__file__).parents[1]))
from scenes import journaled, lives

FLOWS = [
    SimulatedWorkflow("good"),
    SimulatedWorkflow("bad", fails=True, outputs=[("export", "</script>no disk")]),
    SimulatedWorkflow("slow", duration=300.0),
    SimulatedWorkflow("lost"),
]
REQUESTS = [
    RunRequest(w, {"secret": "parameter"}, key=f"{w} 1") for w in ("good", "bad")
]


def lost_answers():
    """Let the third execute run, and its answer be lost."""
    faults = FaultScript()
    faults.add("execute", Fault.answer_lost(), calls={3})
    return faults


def in_memory(test, **options):
    lives(test, *FLOWS, **options)


def test_a_journal_becomes_a_page(tmp_path):
    out, path = tmp_path / "out.html", tmp_path / "runs.journal"

    async def scene(platform):
        async with journaled(platform, path) as (runner, _):
            async for _ in run_many(runner, REQUESTS):
                pass
            uncertain = RunRequest("lost", key="lost 1")
            async for outcome in run_many(runner, [uncertain]):
                assert isinstance(outcome.error, SubmissionUncertainError)
            await runner.start("slow", key="slow 1")
            await write_report(path, out)  # while it is open, and somebody runs

    in_memory(scene, faults=lost_answers())
    page = out.read_text(encoding="utf-8")
    states = dict(zip(data(page)["key"], data(page)["state"], strict=True))
    assert states == {"good 1": "s", "bad 1": "f", "lost 1": "u", "slow 1": "r"}
    assert section(page, "failures").one("pre").text == "</script>no disk"
    assert "dpa settle runs.journal 'lost 1'" in section(page, "unsettled").text
    assert tree(page).one("h1").text == "runs.journal"
    assert "parameter" not in page
    assert "made/Up+Secret" not in page


def test_lags_are_noted_and_shown(tmp_path):
    out, path = tmp_path / "out.html", tmp_path / "runs.journal"
    lags = Lags()

    async def scene(platform):
        async with journaled(platform, path, observers=[lags]) as (runner, _):
            async for _ in run_many(runner, REQUESTS):
                pass
        assert len(lags.seconds) == 2
        assert all(0 < s < 5 for s in lags.seconds.values())
        await write_report(path, out, title="With lags", lags=lags.seconds)

    in_memory(scene)
    page = out.read_text(encoding="utf-8")
    assert all(isinstance(lag, float) for lag in data(page)["lag"])
    assert tree(page).one("h1").text == "With lags"


def test_outcomes_become_a_page_without_a_journal(in_memory_client):
    outcomes = []

    async def scene(_, client):
        outcomes.extend([outcome async for outcome in run_many(client, REQUESTS)])
        slow = RunRequest("slow", key="slow 1", timeout=5.0)
        async for outcome in run_many(client, [slow]):
            assert isinstance(outcome.error, RunTimeoutError)
            outcomes.append(outcome)
        late = RunRequest("slow", key="slow 2", timeout=5.0)
        async for outcome in run_many(client, [late]):
            assert isinstance(outcome.error, NotStartedError)
            outcomes.append(outcome)

    in_memory_client(scene)
    page = render(ReportedRun.of_outcome(outcome) for outcome in outcomes)
    states = dict(zip(data(page)["key"], data(page)["state"], strict=True))
    assert states == {"good 1": "s", "bad 1": "f", "slow 1": "r", "slow 2": "n"}
    assert section(page, "failures").one("pre").text == "</script>no disk"
    assert "deadline" in section(page, "unsettled").text
    codes = [code.text for code in section(page, "unsettled").all("code")]
    assert len(codes) == 1, "a run to attach to, and no command that needs a journal"
    assert codes[0].startswith("dpa-run:1:slow:")


@pytest.fixture
def in_memory_client(in_memory):
    return lambda scene: in_memory(scene, *FLOWS)


def test_an_outcome_of_nothing_was_not_started():
    told = ReportedRun.of_outcome(RunOutcome(RunRequest("w", key="k")))
    assert told == ReportedRun(workflow_id="w", key="k", state=RunState.NOT_STARTED)


def written(journal, out, **options):
    asyncio.run(write_report(journal, out, **options))


@pytest.fixture
def journal(tmp_path):
    path = tmp_path / "runs.journal"

    async def scene(platform):
        async with journaled(platform, path) as (runner, _):
            async for _ in run_many(runner, REQUESTS):
                pass

    in_memory(scene)
    return path


def test_a_new_page_is_its_owners_alone(journal, tmp_path):
    out = tmp_path / "out.html"
    written(journal, out)
    assert stat.S_IMODE(out.stat().st_mode) == 0o600


def test_a_page_that_is_there_is_replaced_and_keeps_its_mode(journal, tmp_path):
    real, out = tmp_path / "real.html", tmp_path / "out.html"
    real.write_text("the old one")
    real.chmod(0o644)
    out.symlink_to(real)
    written(journal, out)
    assert real.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert stat.S_IMODE(real.stat().st_mode) == 0o644
    assert out.is_symlink()


def test_a_failure_leaves_the_page_that_is_there(journal, tmp_path, monkeypatch):
    out = tmp_path / "out.html"
    out.write_text("the old one")
    with pytest.raises(JournalError, match="no such file"):
        written(tmp_path / "nothing.journal", out)

    def full(_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr("os.fsync", full)
        with pytest.raises(OSError, match="No space"):
            written(journal, out)
    assert out.read_text() == "the old one"
    assert [file.name for file in tmp_path.iterdir() if "out" in file.name] == [
        "out.html"
    ]


def test_a_directory_that_is_not_there_is_told(journal, tmp_path):
    with pytest.raises(FileNotFoundError):
        written(journal, tmp_path / "nowhere" / "out.html")
