"""Colours can be told from what they lie on, by WCAG's formula."""

import itertools
import re
from importlib.resources import files

import pytest

CSS = files("dpa_async.report").joinpath("page.css").read_text(encoding="utf-8")
LIGHT, DARK, PAPER = (
    dict(re.findall(r"--([\w-]+): (#\w+);", block))
    for block in re.findall(r":root \{(.*?)\}", CSS, re.DOTALL)
)
SCHEMES = {"light": LIGHT, "dark": LIGHT | DARK, "paper": LIGHT | PAPER}

TEXT = [
    *itertools.product(["ink", "muted"], ["ground", "sheet", "fill"]),
    ("bad", "sheet"),
]
PICTURES = [(name, "sheet") for name in ("s", "f", "u", "r", "i", "n", "hit", "focus")]
EDGES = [("edge", "sheet"), ("edge", "ground"), ("focus", "ground"), ("ink", "s")]
FAINTEST = 0.84  # of the bars; every second one is


def channels(colour):
    digits = colour[1:] if len(colour) == 7 else "".join(c * 2 for c in colour[1:])
    return [int(digits[n : n + 2], 16) / 255 for n in (0, 2, 4)]


def luminance(parts):
    red, green, blue = (
        c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one, other):
    dark, light = sorted([luminance(one), luminance(other)])
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_text_can_be_read(scheme):
    colours = {name: channels(value) for name, value in SCHEMES[scheme].items()}
    found = {pair: contrast(*(colours[name] for name in pair)) for pair in TEXT}
    assert {pair: c for pair, c in found.items() if c < 4.5} == {}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_bars_and_edges_can_be_seen(scheme):
    colours = {name: channels(value) for name, value in SCHEMES[scheme].items()}
    found = {pair: contrast(*(colours[n] for n in pair)) for pair in PICTURES + EDGES}
    for name in "sfurin":
        on = colours["sheet"]
        mixed = [
            FAINTEST * a + (1 - FAINTEST) * b
            for a, b in zip(colours[name], on, strict=True)
        ]
        found["faint " + name] = contrast(mixed, on)
    assert {pair: c for pair, c in found.items() if c < 3.0} == {}


def test_the_faintest_bar_is_as_faint_as_is_tested():
    shares = re.findall(r"fill-opacity: (\.\d+)", CSS)
    edged = 0.55  # unfinished runs, which have an edge of the full colour
    assert {float(share) for share in shares} == {FAINTEST, edged}


def test_black_on_white_is_21():
    assert contrast(channels("#000"), channels("#ffffff")) == pytest.approx(21)
