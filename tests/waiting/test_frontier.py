"""The benchmark's quick form: what the learned schedule promises, from fixed seeds."""

import runpy
from pathlib import Path

import pytest

FRONTIER = Path(__file__).parents[2] / "benchmarks" / "frontier.py"

# Least times less lag, at 5 and at 8 looks: than a fixed interval, and than expo.
PROMISED = {
    "lognormal, median 30 s, sigma 1": (0.85, 2.0),
    "2 s or 10 min, ±10 %": (6.0, 6.0),
    "20 s ±10 %": (4.0, 12.0),
}


@pytest.fixture(scope="module")
def frontier():
    return runpy.run_path(str(FRONTIER))


@pytest.mark.parametrize("name", PROMISED)
def test_the_learned_schedule_keeps_its_promise(frontier, name):
    than_fixed, than_expo = PROMISED[name]
    for row, looks in zip(frontier["compare"]([name], 4), (5, 8), strict=True):
        assert row.ours.looks == pytest.approx(looks, rel=0.05)
        assert row.times(row.fixed)[0] >= than_fixed
        assert row.times(row.expo)[0] >= than_expo
        assert row.best < row.ours.lag
        assert row.cold <= 1.1


def test_the_picture_and_the_page_show_the_same_distributions(frontier):
    docs = FRONTIER.parents[1] / "docs"
    picture = (docs / "frontier.svg").read_text(encoding="utf-8")
    page = (docs / "polling.md").read_text(encoding="utf-8")
    for name in frontier["MAIN"]:
        assert f">{name}</text>" in picture
    for name in frontier["MAIN"] | frontier["OTHERS"]:
        assert page.count(f"| {name} | ") >= 2
    assert "prefers-color-scheme: dark" in picture
