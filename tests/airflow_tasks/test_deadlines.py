"""Deadlines: what is one, and how much of it is left."""

from datetime import timedelta

import pytest

from dpa_async import ConfigurationError
from dpa_async.integrations.airflow.deadlines import (
    check_deadline,
    deadline_from,
    seconds_left,
)


@pytest.mark.parametrize(
    "value",
    [-5, float("nan"), float("inf"), 1e300, "60", True, timedelta(-1), timedelta.max],
)
def test_what_is_no_time_to_wait_is_refused(value):
    with pytest.raises(ConfigurationError, match="timeout is "):
        check_deadline("timeout", value)


@pytest.mark.parametrize("value", [None, 0, 0.5, 1e9, timedelta(hours=1)])
def test_what_is_one_can_be_added_to_now(value):
    check_deadline("timeout", value)
    assert (deadline_from(value) is None) == (value is None)


def test_what_is_left_is_counted_by_the_wall_clock():
    assert 59 < seconds_left(deadline_from(60)) <= 60
    assert 59 < seconds_left(deadline_from(timedelta(minutes=1)), least=10) <= 60
    assert seconds_left(deadline_from(0)) == 0
    assert seconds_left(deadline_from(3), least=10) == 10
    assert seconds_left(None, least=10) is None
