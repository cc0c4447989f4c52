"""Lost answers: ours beside a client that tries again and one that gives up.

The scene is the benchmark's, on a tenth of the workflows.
"""

import importlib.util
from pathlib import Path

import pytest

WORKFLOWS = 300


@pytest.fixture(scope="module")
def policies():
    path = Path(__file__).parents[1] / "benchmarks" / "policies.py"
    spec = importlib.util.spec_from_file_location("policies", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("called_back", [True, False])
def test_ours_runs_nothing_twice_and_calls_nothing_failed_that_ran(
    policies, called_back, seed
):
    policy = policies.with_callbacks if called_back else policies.without_callbacks
    tally = policies.play(policy, WORKFLOWS, seed)
    fates = policies.fates_of(WORKFLOWS, seed).values()
    # Nobody could have told: no callback arrived, or there is no run at all.
    nobody_told = sum(
        fate.execute == "reset"
        or (fate.execute == "lost" and (fate.callback_lost or not called_back))
        for fate in fates
    )
    assert tally.executed_twice == 0
    assert tally.failed_though_it_ran == 0
    assert tally.uncertain_though_called_back == 0
    assert tally.uncertain == nobody_told > 0
    assert tally.right == WORKFLOWS - nobody_told


def test_the_same_trouble_has_others_run_twice_or_call_failed_what_ran(policies):
    naive = policies.play(policies.three_tries, WORKFLOWS, 0)
    assert naive.executed_twice > 0
    assert naive.failed_though_it_ran > 0
    lost = [
        fate
        for fate in policies.fates_of(WORKFLOWS, 0).values()
        if fate.execute == "lost"
    ]
    timid = policies.play(policies.never_again, WORKFLOWS, 0)
    assert timid.executed_twice == 0
    assert timid.failed_though_it_ran == len(lost)
