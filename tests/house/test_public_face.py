"""What the package shows, against what is recorded and promised."""

import importlib
import inspect
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import dpa_async

RECORDED_NAMES = Path(__file__).with_name("public_names.txt")

# The modules that a user imports from; the rest of the house is not theirs.
PUBLIC_MODULES = (
    "dpa_async",
    "dpa_async.callbacks",
    "dpa_async.draining",
    "dpa_async.events",
    "dpa_async.integrations.aiohttp_web",
    "dpa_async.integrations.apscheduler",
    "dpa_async.integrations.asgi",
    "dpa_async.integrations.otel",
    "dpa_async.journal",
    "dpa_async.progress",
    "dpa_async.report",
    "dpa_async.simulator",
)

# Loaded by whoever wants them, never by `import dpa_async`. (orjson may come along
# where the speed extra is installed.)
NOT_LOADED = (
    "airflow",
    "apscheduler",
    "cyclopts",
    "dpa_async.cli",
    "dpa_async.integrations",
    "dpa_async.report",
    "dpa_async.simulator",
    "opentelemetry",
    "redis",
    "rich",
    "starlette",
    "taskiq",
    "uvloop",
)

RAISES = re.compile(r"^\s*Raises:\s*$|\braises nothing\b", re.MULTILINE | re.IGNORECASE)


def test_the_public_names_are_the_recorded_ones() -> None:
    recorded = RECORDED_NAMES.read_text(encoding="utf-8").splitlines()
    assert recorded == sorted(set(recorded)), f"{RECORDED_NAMES.name}: sort it"

    new = sorted(set(dpa_async.__all__) - set(recorded))
    gone = sorted(set(recorded) - set(dpa_async.__all__))
    assert not new, (
        f"new in dpa_async.__all__: {new}. A public name is a contract: "
        f"if it is meant to be one, add it to {RECORDED_NAMES.name} and the changelog."
    )
    assert not gone, (
        f"gone from dpa_async.__all__: {gone}. Users import these names: "
        f"if they must go, take them out of {RECORDED_NAMES.name} and say so "
        "in the changelog."
    )


def test_every_public_name_is_there_once() -> None:
    assert len(dpa_async.__all__) == len(set(dpa_async.__all__))
    missing = [name for name in dpa_async.__all__ if not hasattr(dpa_async, name)]
    assert not missing


def public_names(module: ModuleType) -> list[str]:
    """A module's own word on what is public; else what it defines without a `_`."""
    if hasattr(module, "__all__"):
        return list(module.__all__)
    return [
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and getattr(value, "__module__", "").startswith(module.__name__)
    ]


def is_coroutine(function: object) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)


def public_coroutines() -> Iterator[tuple[str, Any]]:
    for module_name in PUBLIC_MODULES:
        module = importlib.import_module(module_name)
        for name in public_names(module):
            value = getattr(module, name)
            if is_coroutine(value):
                yield f"{module_name}.{name}", value
            elif inspect.isclass(value):
                for method_name, method in inspect.getmembers(value, is_coroutine):
                    if not method_name.startswith("_"):
                        yield f"{module_name}.{name}.{method_name}", method


COROUTINES = dict(public_coroutines())


@pytest.mark.parametrize("name", COROUTINES)
def test_every_public_coroutine_says_what_it_raises(name: str) -> None:
    docstring = inspect.getdoc(COROUTINES[name]) or ""
    assert docstring, f"{name} has no docstring"
    assert RAISES.search(docstring), (
        f"{name}: its docstring has no `Raises:` section, "
        "nor does it say that it raises nothing"
    )


def test_there_are_public_coroutines_to_look_at() -> None:
    assert "dpa_async.run_and_wait" in COROUTINES
    assert "dpa_async.DPAClient.execute" in COROUTINES


def test_importing_the_package_loads_no_extra() -> None:
    code = "import dpa_async.public, json, sys; print(json.dumps(sorted(sys.modules)))"
    shown = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    loaded = set(json.loads(shown.stdout))
    assert not loaded.intersection(NOT_LOADED)


def test_the_package_itself_loads_the_library_at_first_use() -> None:
    code = (
        "import dpa_async, sys; assert 'aiohttp' not in sys.modules; "
        "assert dpa_async.events.log; from dpa_async import *; assert DPAClient; "
        "assert set(dpa_async.__all__) <= set(dir(dpa_async)); dpa_async.nothing"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True
    )
    said = "AttributeError: module 'dpa_async' has no attribute 'nothing'"
    assert done.stderr.splitlines()[-1] == said
