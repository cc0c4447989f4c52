"""The page of faults says what the tests play."""

from fault_catalogue import CHAPTERS
from fault_table import PAGE, render


def test_the_page_is_the_catalogue():
    written = PAGE.read_text(encoding="utf-8")
    assert written == render(), "run: python tests/transport/fault_table.py"


def test_every_fault_has_a_row_of_its_own():
    names = [name for faults in CHAPTERS.values() for name in faults]
    rows = [line.split(" | ")[0].lstrip("| ") for line in render().splitlines()]
    assert len(names) == len(set(names))
    assert all(rows.count(name) == 1 for name in names)
