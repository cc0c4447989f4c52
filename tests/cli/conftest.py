"""The command line, called in this process or in one of its own; a platform."""

import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from dpa_async.cli import main
from dpa_async.simulator import SimulatedWorkflow

sys.path.insert(0, str(Path(__file__).parent))
from served_platform import TIMEOUT, served

COMMAND = [sys.executable, "-W", "error", "-m", "dpa_async"]


class Done(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture(scope="module")
def platform():
    """(simulator, environment); "bad" fails, "slow" never ends, all else succeeds."""
    workflows = (
        SimulatedWorkflow("good", duration=0.05, variables=["day", "n"]),
        SimulatedWorkflow("bad", duration=0.05, fails=True),
        SimulatedWorkflow("slow", duration=float("inf")),
        SimulatedWorkflow("lost", duration=0.05),
    )
    with served(*workflows) as (simulator, environment):
        yield simulator, environment


@pytest.fixture
def environ(platform, tmp_path, monkeypatch):
    """The environment of a person at home, with the platform's settings."""
    for name in [n for n in os.environ if n.startswith(("DPA_", "XDG_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name, value in platform[1].items():
        monkeypatch.setenv(name, value)
    return monkeypatch


@pytest.fixture
def dpa(environ, capfd):
    """Call `dpa` in this process, which is quick; gives code, stdout, stderr."""

    def call(*words):
        capfd.readouterr()
        code = main(words)
        return Done(code, *capfd.readouterr())

    return call


@pytest.fixture
def start(environ):
    """Start `dpa` as a process of its own."""
    children = []

    def begin(*words, **options):
        options = {
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            "text": True,
            **options,
        }
        child = subprocess.Popen([*COMMAND, *words], **options)
        children.append(child)
        return child

    yield begin
    for child in children:
        with child:
            child.kill()


@pytest.fixture
def process(start):
    """Call `dpa` as a process of its own, to its end."""

    def call(*words, **options):
        child = start(*words, **options)
        out, err = child.communicate(timeout=TIMEOUT)
        return Done(child.returncode, out, err)

    return call
