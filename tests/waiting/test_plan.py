"""The best plan, against a search among all plans."""

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpa_async.waiting.plan import Plan, best_plan
from dpa_async.waiting.spread import Spread


def lag_between(spread, here, there):
    """What the ends between two looks wait for the second, as a share of all runs."""
    cuts = [here, *(time for time in spread.times if here < time < there), there]
    return sum(
        (spread.share_lasting(begin) - spread.share_lasting(end))
        * (there - (begin + end) / 2)
        for begin, end in itertools.pairwise(cuts)
    )


def cost(spread, looks, lag_per_look):
    """Mean lag, and so much for each look."""
    return sum(
        lag_per_look * spread.share_lasting(here) + lag_between(spread, here, there)
        for here, there in itertools.pairwise([0.0, *looks])
    )


def looks_of(plan):
    at, looks = 0, []
    while at < len(plan.times) - 1:
        at = plan.following[at]
        looks.append(plan.times[at])
    return looks


@st.composite
def spreads(draw):
    size = draw(st.integers(2, 9))
    steps = draw(st.lists(st.floats(0.01, 100), min_size=size, max_size=size))
    ends = draw(st.lists(st.integers(0, 9), min_size=size, max_size=size))
    ends[-1] += 1
    times = [0.0, *itertools.accumulate(steps)]
    gone = [0, *itertools.accumulate(ends)]
    return Spread(times, [1 - over / gone[-1] for over in gone])


@settings(deadline=None, max_examples=50)
@given(spreads(), st.floats(2, 200))
def test_no_plan_on_its_grid_costs_less(spread, lag_per_look):
    plan = best_plan(spread, lag_per_look)
    least = {plan.times[-1]: 0.0}
    for at in range(len(plan.times) - 2, -1, -1):
        here = plan.times[at]
        look = lag_per_look * spread.share_lasting(here)
        least[here] = look + min(
            lag_between(spread, here, there) + least[there]
            for there in plan.times[at + 1 :]
        )
    found = cost(spread, looks_of(plan), lag_per_look)
    assert found == pytest.approx(least[0.0], rel=1e-9, abs=1e-9)


@settings(deadline=None)
@given(spreads(), st.floats(0.001, 100), st.floats(0.01, 50))
def test_no_fixed_interval_costs_less(spread, lag_per_look, interval):
    count = int(spread.times[-1] / interval) + 1
    fixed = [interval * number for number in range(1, min(count, 300) + 1)]
    # A grid of a quarter of an interval loses no more than this.
    granted = 1.05 * cost(spread, fixed, lag_per_look)
    if count <= 300:
        found = cost(spread, looks_of(best_plan(spread, lag_per_look)), lag_per_look)
        assert found <= granted


@settings(deadline=None)
@given(spreads(), st.floats(0.001, 100), st.floats(0, 1e4))
def test_the_next_look_is_later(spread, lag_per_look, elapsed):
    assert best_plan(spread, lag_per_look).next_look(elapsed) > elapsed


def test_intervals_follow_the_rate_at_which_runs_end():
    # Half of the runs end in the first ten seconds, the others in the next ninety.
    spread = Spread([0.0, 10.0, 100.0], [1.0, 0.5, 0.0])
    looks = looks_of(best_plan(spread, 0.01))
    early = [look for look in looks if look < 10]
    # sqrt(2c / h): from h = 0.05 of all, growing as they go, to 0.1 of those left.
    assert early[0] == pytest.approx(math.sqrt(2 * 0.01 / 0.05), rel=0.3)
    late = [b - a for a, b in itertools.pairwise(looks) if 10 < a < b < 20]
    assert min(late) == pytest.approx(math.sqrt(2 * 0.01 * 90), rel=0.3)


def test_a_look_comes_right_after_each_peak_and_none_in_the_gap():
    spread = Spread([0, 1.8, 2.2, 540, 660], [1, 1, 0.5, 0.5, 0])
    looks = looks_of(best_plan(spread, 0.3))
    assert 2.2 in looks
    assert looks[-1] == 660
    assert not [look for look in looks if 2.2 < look < 540]


def test_looks_that_cost_nothing_do_not_make_an_endless_plan():
    spread = Spread([0, 1e6], [1, 0])
    assert 500 < len(best_plan(spread, 1e-12).times) < 1500


def test_a_look_that_comes_late_stands_for_the_nearest_time():
    plan = Plan(0.5, [0, 10, 20, 30, 40], [1, 2, 3, 4, 4])
    assert plan.next_look(0) == 10
    assert plan.next_look(10.2) == 20
    assert plan.next_look(9.9) == 20
    assert plan.next_look(16) == 30
    assert plan.next_look(39) == 40


def test_after_the_last_time_intervals_grow_with_the_root_of_it():
    plan = Plan(0.5, [0, 10], [1, 1])
    assert plan.next_look(50) == 50 + 5
    assert plan.next_look(200) == 200 + 10
