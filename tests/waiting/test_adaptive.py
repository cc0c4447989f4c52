"""The learned schedule, as one of backoff's wait generators."""

import functools
import itertools
import math
import random

import backoff
import pytest

from dpa_async import WaitPolicy
from dpa_async.waiting import schedule
from dpa_async.waiting.adaptive import adaptive
from dpa_async.waiting.durations import Durations

plain = functools.partial(backoff.expo, base=1.5, factor=0.5, max_value=15.0)


def made(durations, **words):
    options = {"lag_per_look": 0.5, "minimum": 0.05, "maximum": 3600.0}
    return adaptive(durations, **options | {"fallback": plain} | words)


def known(draw, count=64, looks_every=0.4):
    """What is known after so many runs, looked at with a fixed interval."""
    durations = Durations()
    for _ in range(count):
        by = math.ceil(draw() / looks_every) * looks_every
        durations.learn(max(0.0, by - looks_every), by)
    return durations


def twenty():
    chance = random.Random(3)
    return known(lambda: 20 * chance.uniform(0.9, 1.1))


def times(intervals, count):
    given = itertools.islice((i for i in intervals if i is not None), count)
    return list(itertools.accumulate(given))


def test_under_five_runs_it_is_the_plain_schedule():
    durations = Durations()
    for _ in range(4):
        durations.learn(10, 20)
    expected = list(itertools.islice(plain(), 20))
    assert list(itertools.islice(made(durations), 20)) == expected
    assert expected[0] is None  # backoff 2 is primed by it


def test_it_is_primed_as_backoffs_own_are():
    generator = made(twenty())
    assert next(generator) is None
    assert next(generator) > 10


def test_looks_come_where_runs_end_and_the_last_right_after():
    looks = [look for look in times(made(twenty(), lag_per_look=0.1), 30) if look < 30]
    assert looks[0] > 17
    assert sum(17 < look < 23.5 for look in looks) >= 4
    after = min(look for look in looks if look > 22)
    assert after < 23.5


def test_the_less_lag_a_look_is_worth_the_more_looks():
    def in_time(worth):
        looks = times(made(twenty(), lag_per_look=worth), 200)
        return sum(look < 23 for look in looks)

    assert in_time(0.01) > in_time(0.1) > in_time(2.0) >= 1


def test_no_interval_is_out_of_its_bounds():
    seldom = list(itertools.islice(made(twenty(), maximum=3.0), 1, 400))
    assert seldom[0] == max(seldom) == 3.0
    often = made(twenty(), lag_per_look=1e-6, minimum=0.2)
    assert min(itertools.islice(often, 1, 400)) == 0.2


def test_a_run_that_takes_longer_than_any_is_looked_at_for_ever():
    looks = times(made(twenty()), 2000)
    assert looks[-1] > 10_000
    assert all(math.isfinite(look) for look in looks)


def test_looks_that_take_time_are_made_up_for():
    clock = 0.0
    seen = []
    intervals = made(twenty(), lag_per_look=0.2, elapsed=lambda: clock)
    next(intervals)
    for _ in range(4):
        clock += next(intervals)
        seen.append(clock)
        clock += 0.15  # the look itself
    undelayed = times(made(twenty(), lag_per_look=0.2), 4)
    assert seen[0] == undelayed[0]
    # Three looks of 0.15 s: they do not add up to half a second of delay.
    assert seen[-1] - undelayed[-1] == pytest.approx(0.0, abs=0.2)


def test_a_run_that_was_attached_to_late_is_looked_at_as_its_age_has_it():
    intervals = made(twenty(), elapsed=lambda: 16.0)
    next(intervals)
    assert 1.0 < next(intervals) < 5.0


def test_it_works_as_a_policys_wait_generator():
    durations = twenty()
    policy = WaitPolicy(
        wait_gen=lambda: made(durations), jitter=lambda interval: interval
    )
    given = list(itertools.islice(schedule(policy), 10))
    assert list(itertools.accumulate(given)) == times(made(durations), 10)


def test_backoffs_decorator_takes_it():
    looks = []

    @backoff.on_predicate(  # noqa: TID251 - that others use it with this
        made, jitter=None, max_tries=3, durations=twenty(), minimum=0.001, maximum=0.002
    )
    def look():
        looks.append(1)

    look()
    assert len(looks) == 3


def test_it_learns_from_its_own_looks():
    chance = random.Random(11)
    durations = Durations()
    lags = []
    for _ in range(60):
        run, before, now = 20 * chance.uniform(0.9, 1.1), 0.0, 0.0
        for interval in itertools.islice(made(durations, lag_per_look=0.1), 1, None):
            before, now = now, now + interval
            if now >= run:
                break
        durations.learn(before, now)
        lags.append(now - run)
    assert sum(lags[-30:]) < 0.2 * sum(lags[:5]) * 30 / 5
