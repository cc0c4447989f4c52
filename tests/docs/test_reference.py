"""The reference has every public name, and none that is not there."""

import importlib
import pkgutil
import re

import pytest
from pages import ROOT

NAMED = re.compile(r"^::: (?P<name>[\w.]+)$", re.MULTILINE)
SHOWN = {
    name
    for page in sorted((ROOT / "docs" / "reference").glob("*.md"))
    for name in NAMED.findall(page.read_text(encoding="utf-8"))
}
PUBLIC = {
    f"{module}.{name}"
    for module in (
        "dpa_async",
        "dpa_async.callbacks",
        "dpa_async.journal",
        "dpa_async.simulator",
    )
    for name in importlib.import_module(module).__all__
}


def test_every_public_name_is_in_it() -> None:
    assert sorted(PUBLIC - SHOWN) == []


@pytest.mark.parametrize("name", sorted(SHOWN))
def test_what_it_shows_is_there(name: str) -> None:
    assert pkgutil.resolve_name(name) is not None
