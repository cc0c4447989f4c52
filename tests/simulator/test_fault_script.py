"""When faults strike."""

import pytest

from dpa_async.simulator import Fault, FaultScript, Request

HIT = Fault.reset()


def struck(script, times, place="execute", request=None):
    """Which of so many calls were struck, counted from 1."""
    return [
        n
        for n in range(1, times + 1)
        if script.draw(place, request).ending is HIT.ending
    ]


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ({}, [1, 2, 3, 4, 5, 6]),
        ({"calls": {1, 4}}, [1, 4]),
        ({"first": 2}, [1, 2]),
        ({"every": 3}, [3, 6]),
        ({"first": 4, "every": 2}, [2, 4]),
        ({"probability": 0.0}, []),
        ({"probability": 1.0}, [1, 2, 3, 4, 5, 6]),
    ],
    ids=repr,
)
def test_rules(when, expected):
    assert struck(FaultScript().add("execute", HIT, **when), 6) == expected


def test_a_place_has_rules_of_its_own():
    script = FaultScript().add("execute", HIT, calls={2})
    assert struck(script, 3, "token") == []
    assert struck(script, 3) == [2]
    assert script.calls == {"token": 3, "execute": 3}


def test_a_rule_counts_from_when_it_was_added():
    script = FaultScript()
    assert struck(script, 5) == []
    script.add("execute", HIT, calls={1})
    assert struck(script, 5) == [1]


def test_rules_do_not_take_calls_from_each_other():
    script = FaultScript().add("execute", HIT, first=2).add("execute", HIT, calls={3})
    assert struck(script, 5) == [1, 2, 3]


def test_a_rule_counts_only_the_requests_that_it_is_about():
    mine = Request("POST", "/mine")
    script = FaultScript().add(
        "execute", HIT, calls={2}, where=lambda request: request.target == "/mine"
    )
    assert struck(script, 5, request=Request("POST", "/other")) == []
    assert struck(script, 5, request=mine) == [2]


def test_chance_is_the_same_for_the_same_seed():
    def history(seed):
        return struck(FaultScript(seed=seed).add("execute", HIT, probability=0.3), 200)

    assert history(1) == history(1)
    assert history(1) != history(2)
    assert 30 < len(history(1)) < 90


def test_rules_can_be_forgotten():
    script = FaultScript().add("execute", HIT)
    script.clear()
    assert struck(script, 3) == []


@pytest.mark.parametrize("place", ["Execute", "", "getRunStatus"])
def test_a_place_that_is_not_one(place):
    with pytest.raises(ValueError, match="listAll"):
        FaultScript().add(place, HIT)


def test_a_rule_without_a_fault():
    with pytest.raises(ValueError, match="faults"):
        FaultScript().add("execute")
