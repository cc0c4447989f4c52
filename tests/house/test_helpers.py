"""Tests import the helpers beside them by name: no name may stand for two files."""

from collections import Counter
from pathlib import Path

TESTS = Path(__file__).parents[1]


def test_every_helper_has_a_name_of_its_own() -> None:
    helpers = [
        file.stem
        for file in TESTS.rglob("*.py")
        if not file.name.startswith("test_") and file.name != "conftest.py"
    ]
    assert helpers
    assert {name for name, n in Counter(helpers).items() if n > 1} == set()
