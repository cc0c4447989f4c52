"""What comes from the platform is shown on a terminal, and never obeyed by it."""

import contextlib
import json
import os
import pty
import re
import subprocess
import sys

import pytest
from conftest import COMMAND
from served_platform import TIMEOUT, served

from dpa_async.simulator import Fault, SimulatedWorkflow

HOSTILE = "\x1b]0;owned\x07\x1b[2J[red]x[/red] \u202egpj.exe\u2066 \x9b31m\x7f\r\b"
SHOWN = r"\x1b]0;owned\x07\x1b[2J[red]x[/red] \u202egpj.exe\u2066 \x9b31m\x7f\x0d\x08"
OURS = re.compile(r"\x1b\[[0-9;]*m")  # colours, by rich


@pytest.fixture(scope="module")
def environment():
    workflow = SimulatedWorkflow(
        "wf",
        duration=0.05,
        name=HOSTILE,
        variables=[HOSTILE],
        outputs=[(HOSTILE, HOSTILE), (HOSTILE, f"a\n{HOSTILE}")],
        fails=True,
    )
    with served(workflow) as (simulator, environment):
        message = {"code": 999, "message": HOSTILE, "data": None}
        body = json.dumps(message).encode()
        simulator.faults.add("getProcessRunStatus", Fault.garbage(body), calls={9})
        yield os.environ | environment | {"COLUMNS": "300", "TERM": "xterm-256color"}


def on_a_terminal(environment, *commands):
    """All that these commands write where every stream is a terminal."""
    code = (
        "import json, sys; from dpa_async.cli import main; "
        "[main(words.split()) for words in json.loads(sys.argv[1])]"
    )
    ours, its = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", code, json.dumps(commands)],
        env=environment,
        stdin=its,
        stdout=its,
        stderr=its,
    )
    os.close(its)
    said = b""
    with contextlib.suppress(OSError):  # the other end is closed
        while True:
            said += os.read(ours, 65_536)
    os.close(ours)
    assert child.wait(TIMEOUT) == 0
    return said.decode().replace("\r\n", "\n")


def test_a_terminal_is_told_what_there_is(environment):
    tables = ("list", "vars wf", "run wf")
    said = on_a_terminal(environment, *tables, "list -o json", "run wf -o jsonl")
    assert OURS.search(said)
    rest = OURS.sub("", said)
    assert rest.count(SHOWN) == 1 + 1 + 4  # a name, a parameter, two nodes
    assert rest.count("[red]x[/red]") == 6 + 1 + 4
    assert not [char for char in rest if not (char.isprintable() or char == "\n")]


def test_colours_are_for_who_wants_them(environment):
    said = on_a_terminal(environment | {"NO_COLOR": "1"}, "list", "run wf")
    assert "FAILED" in said
    assert not OURS.search(said)


def test_errors_are_shown_alike(dpa, platform):
    simulator, _ = platform
    body = json.dumps({"code": 999, "message": HOSTILE, "data": None}).encode()
    for fault in (Fault.garbage(body), Fault.garbage(HOSTILE.encode())):
        simulator.faults.add("listAll", fault)
        done = dpa("list")
        simulator.faults.clear()
        assert done.code == 1
        assert "owned" in done.err
        assert "[red]x[/red]" in done.err
        assert not [c for c in done.err if not (c.isprintable() or c == "\n")]


def test_json_says_the_same_as_ever(environment):
    done = subprocess.run(
        [*COMMAND, "list"], env=environment, capture_output=True, check=True
    )
    assert json.loads(done.stdout)["name"] == HOSTILE.strip()


def test_any_character_goes_through_any_encoding(environment):
    done = subprocess.run(
        [*COMMAND, "list", "-o", "table"],
        env=environment | {"PYTHONIOENCODING": "ascii"},
        capture_output=True,
        check=True,
    )
    assert done.stdout.isascii()


def test_a_traceback_of_ours_is_shown_alike():
    code = (
        "import sys; from dpa_async.cli import main, app; main([]); "
        "raise RuntimeError('\\x1b[2J\\u202e')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-2:] == [r"RuntimeError: \x1b[2J\u202e", ""]
