"""A runner learns how long a workflow's runs take; in virtual time."""

import asyncio
import sqlite3
from contextlib import nullcontext

import pytest

from dpa_async import DPAClient, Runner, WaitPolicy, run_and_wait
from dpa_async.journal import History, Journal, SQLiteJournal
from dpa_async.simulator import Fault, MemorySimulator, SimulatedWorkflow
from dpa_async.simulator.virtual_time import run


@pytest.fixture
def path(tmp_path):
    return tmp_path / "runs.journal"


def looks_of(runs, policy, *, broken=None, duration=(18.0, 22.0), journal=None, seed=1):
    """Run a workflow so often; give the looks and the lag of each run."""

    async def main():
        workflow = SimulatedWorkflow("wf", duration=duration)
        platform = MemorySimulator([workflow], seed=seed)
        async with (
            DPAClient(platform.settings(), backend=platform) as client,
            journal or nullcontext(),
            Runner(client, wait=policy, journal=journal) as runner,
        ):
            seen = []
            for n in range(runs):
                if n == broken:
                    platform.faults.add("getProcessRunStatus", Fault.reset(), first=1)
                result = await run_and_wait(runner, "wf")
                ended = platform.platform.executions("wf")[-1].ends_at
                seen.append((result.looks, platform.now() - ended))
        await platform.aclose()
        return seen

    return run(main())


def mean(values):
    values = list(values)
    return sum(values) / len(values)


def test_after_some_runs_there_are_fewer_looks_and_less_lag():
    seen = looks_of(60, WaitPolicy())
    plain = looks_of(60, WaitPolicy(adaptive=False))
    assert mean(looks for looks, _ in seen[30:]) < 0.5 * mean(n for n, _ in plain)
    assert mean(lag for _, lag in seen[30:]) < 0.5 * mean(lag for _, lag in plain)


def test_the_first_five_runs_are_looked_at_by_the_plain_schedule():
    policy = {"jitter": lambda seconds: seconds}
    seen = looks_of(5, WaitPolicy(**policy))
    assert seen == looks_of(5, WaitPolicy(adaptive=False, **policy))


def test_a_failed_look_makes_the_rest_of_a_run_plain():
    seen = looks_of(40, WaitPolicy(), broken=30)
    (broken, lag), (after, _) = seen[30], seen[31]
    assert broken > after
    assert lag < 20


def test_a_generator_of_ones_own_is_used_instead():
    def every_two():
        while True:
            yield 2.0

    seen = looks_of(
        20, WaitPolicy(wait_gen=every_two, jitter=lambda s: s), duration=19.0
    )
    assert {looks for looks, _ in seen} == {10}


def test_who_comes_late_does_not_make_a_run_longer():
    async def main():
        platform = MemorySimulator([SimulatedWorkflow("wf", duration=5.0)])
        async with (
            DPAClient(platform.settings(), backend=platform) as client,
            Runner(client) as runner,
        ):
            for _ in range(10):
                handle = await runner.start("wf")
                await asyncio.sleep(100)  # nobody looks meanwhile
                await handle
            result = await run_and_wait(runner, "wf")
            assert result.looks > 3  # it is not thought to take a hundred seconds
        await platform.aclose()

    run(main())


def change(path, sql):
    connection = sqlite3.connect(path)
    with connection:
        connection.execute(sql)
    connection.close()


EXACT = WaitPolicy(jitter=lambda seconds: seconds)
PLAIN = WaitPolicy(jitter=lambda seconds: seconds, adaptive=False)


def test_a_new_process_goes_on_with_what_the_journal_has(path):
    together = looks_of(60, EXACT)
    first = looks_of(30, EXACT, journal=SQLiteJournal(path))
    second = looks_of(10, EXACT, journal=SQLiteJournal(path), seed=2)
    plain = looks_of(10, EXACT, seed=2)
    assert first == together[:30]
    assert mean(lag for _, lag in second[:5]) < 0.5 * mean(lag for _, lag in plain[:5])
    assert mean(n for n, _ in second[:5]) < 0.5 * mean(n for n, _ in plain[:5])


def test_each_process_adds_to_what_is_known(path):
    plain = [looks_of(1, PLAIN, seed=life)[0] for life in range(7)]
    lives = [
        looks_of(1, EXACT, journal=SQLiteJournal(path), seed=life)[0]
        for life in range(7)
    ]
    assert lives[:5] == plain[:5]
    assert max(looks for looks, _ in lives[5:]) < min(looks for looks, _ in plain[5:])


def test_who_does_not_adapt_neither_reads_nor_writes_what_is_known(path):
    assert looks_of(8, PLAIN, journal=SQLiteJournal(path)) == looks_of(8, PLAIN)
    assert looks_of(5, EXACT, journal=SQLiteJournal(path)) == looks_of(5, PLAIN)
    assert looks_of(5, PLAIN, journal=SQLiteJournal(path)) == looks_of(5, PLAIN)


def test_what_is_known_of_another_platform_says_nothing(path):
    looks_of(30, EXACT, journal=SQLiteJournal(path))
    change(path, "UPDATE durations SET origin = 'https://other.example.com'")
    assert looks_of(5, EXACT, journal=SQLiteJournal(path)) == looks_of(5, PLAIN)


@pytest.mark.parametrize(
    "damage",
    [
        "DROP TABLE durations",
        "UPDATE durations SET runs = CAST(x'ff00ff' AS TEXT)",
        "UPDATE durations SET runs = '2:1 -1:5 nan:nan 3 inf:inf 1:nan x:y 0:1e300'",
    ],
)
def test_damage_to_what_is_known_costs_that_and_nothing_else(path, damage):
    looks_of(30, EXACT, journal=SQLiteJournal(path))
    change(path, damage)
    assert looks_of(9, EXACT, journal=SQLiteJournal(path)) == looks_of(9, EXACT)


class WithoutHistory:
    """A journal that offers what `Journal` asks for, and no more."""

    def __init__(self, path):
        journal = self._journal = SQLiteJournal(path)
        self.find, self.unfinished = journal.find, journal.unfinished
        self.intend, self.withdraw = journal.intend, journal.withdraw
        self.uncertain, self.started = journal.uncertain, journal.started
        self.finished = journal.finished

    async def __aenter__(self):
        await self._journal.__aenter__()

    async def __aexit__(self, *_):
        await self._journal.aclose()


def test_a_journal_that_keeps_no_history_works_all_the_same(path):
    journal: Journal = WithoutHistory(path)
    assert not isinstance(journal, History)
    assert looks_of(30, EXACT, journal=journal) == looks_of(30, EXACT)
    assert looks_of(5, EXACT, journal=journal) == looks_of(5, PLAIN)
