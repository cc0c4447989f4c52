"""What is learned of a workflow's runs from the looks at them."""

import math
import random

import pytest

from dpa_async import ConfigurationError
from dpa_async.waiting.durations import Durations


def learned(runs, looks_every=0.5):
    """Durations that saw these runs end, at looks of a fixed interval."""
    durations = Durations()
    for run in runs:
        by = math.ceil(run / looks_every) * looks_every
        durations.learn(max(0.0, by - looks_every), by)
    return durations


def about(low, high, count, seed=1):
    chance = random.Random(seed)
    return [chance.uniform(low, high) for _ in range(count)]


def test_under_five_runs_nothing_is_told():
    durations = learned([20.0] * 4)
    assert len(durations) == 4
    assert durations.quantile(0.5) is None
    assert durations.plan(0.5) is None
    durations.learn(19.5, 20.0)
    assert 15 < durations.quantile(0.5) < 25
    assert durations.plan(0.5) is not None


def test_quantiles_are_those_of_the_runs():
    durations = learned(about(10, 30, 128))
    for share in (0.1, 0.25, 0.5, 0.75, 0.9):
        assert durations.quantile(share) == pytest.approx(10 + 20 * share, abs=2)
    assert durations.quantile(0.0) < 10
    assert durations.quantile(1.0) > 31  # longer ones are thought possible


def test_what_remains_counts_only_runs_that_last_so_long():
    pairs = zip(about(1.8, 2.2, 60), about(540, 660, 60), strict=True)
    durations = learned(run for pair in pairs for run in pair)
    assert durations.quantile(0.4) == pytest.approx(2, abs=0.5)
    assert durations.quantile(0.5, elapsed=10.0) == pytest.approx(600, abs=30)
    # No run between the peaks is smeared into the gap.
    assert durations.quantile(0.05, elapsed=3.0) > 500


def test_a_run_longer_than_was_ever_thought_has_no_quantile():
    durations = learned(about(18, 22, 20))
    assert durations.quantile(0.5, elapsed=30.0) > 30
    assert durations.quantile(0.5, elapsed=1e6) is None


def test_a_run_nobody_waited_for_counts_as_a_longer_one():
    chance = random.Random(7)
    durations, only_ended = Durations(), Durations()
    for _ in range(128):
        run = chance.expovariate(1 / 60)
        if run > 60:
            durations.learn(60.0, math.inf)
        else:
            durations.learn(run * 0.9, run)
            only_ended.learn(run * 0.9, run)
    assert len(durations) == len(only_ended) < 128
    truth = -60 * math.log(0.5)
    assert durations.quantile(0.5) == pytest.approx(truth, rel=0.25)
    assert only_ended.quantile(0.5) < truth * 0.75


def test_only_runs_nobody_waited_for_tell_nothing():
    durations = Durations()
    for _ in range(200):
        durations.learn(60.0, math.inf)
    assert len(durations) == 0
    assert durations.plan(0.5) is None


def test_it_keeps_the_latest_runs_and_follows_them():
    durations = learned([20.0] * 300)
    assert len(durations) == 128
    for run in about(38, 42, 120):
        durations.learn(run - 1, run)
    assert len(durations) == 128
    assert durations.quantile(0.5) == pytest.approx(40, abs=3)


def test_late_runs_count_for_more_than_early_ones():
    rising = learned([*[20.0] * 64, *[40.0] * 64])
    falling = learned([*[40.0] * 64, *[20.0] * 64])
    assert rising.quantile(0.5) > 35
    assert falling.quantile(0.5) < 25


def test_a_run_forgotten_is_counted_out():
    durations = Durations()
    durations.learn(1.0, 2.0)
    for _ in range(128):
        durations.learn(5.0, math.inf)
    assert len(durations) == 0


@pytest.mark.parametrize(
    "runs",
    [
        [(0.0, 0.0)] * 10,
        [(0.0, 0.25)] * 10,
        [(20.0, 20.0)] * 10,
        [(0.0, 3600.0)] * 10,
        [(0.0, 1e12)] * 5,
        [(0.0, 0.0), (1e11, 1e12)] * 5,
        [(2.0, 2.0 + 1e-12)] * 5,
    ],
)
def test_odd_runs_make_a_plan_too(runs):
    durations = Durations()
    for run in runs:
        durations.learn(*run)
    plan, now = durations.plan(0.5), 0.0
    for _ in range(100):
        assert plan.next_look(now) > now
        now = plan.next_look(now)


@pytest.mark.parametrize(
    ("after", "by"),
    [
        (-1, 2),
        (3, 2),
        (math.nan, 2),
        (1, math.nan),
        (math.inf, math.inf),
        (1, -math.inf),
    ],
)
def test_times_out_of_order_are_refused_and_not_learned(after, by):
    durations = Durations()
    with pytest.raises(ConfigurationError):
        durations.learn(after, by)
    assert len(durations) == 0
    assert durations.plan(0.5) is None


@pytest.mark.parametrize("share", [-0.1, 1.1, math.nan])
def test_a_share_is_from_0_to_1(share):
    with pytest.raises(ConfigurationError):
        learned([20.0] * 9).quantile(share)


def test_planning_is_not_done_for_every_run():
    durations = learned(about(10, 30, 64))
    plans = {id(plan): plan for plan in [durations.plan(0.5)]}
    for run in about(10, 30, 64):
        durations.learn(run - 1, run)
        plan = durations.plan(0.5)
        plans[id(plan)] = plan
    assert 3 <= len(plans) <= 9
    assert durations.plan(0.5) is durations.plan(0.5)


def test_each_worth_of_a_look_has_its_own_plan():
    durations = learned(about(10, 30, 64))
    few, many = durations.plan(5.0), durations.plan(0.05)
    assert few.next_look(10.0) > many.next_look(10.0)
