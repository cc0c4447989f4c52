"""docs/command-line.md: its shell blocks run, its tables are what the commands have."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from dpa_async.cli.exits import Exit

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "command-line.md").read_text(encoding="utf-8")
COMMANDS = [
    *("run", "wait", "status", "outputs", "list", "vars"),
    *("listen", "doctor", "demo", "simulate"),
]


@pytest.fixture
def home(tmp_path):
    """An empty home with `dpa` on its path, and a platform to talk to."""
    program = tmp_path / "bin" / "dpa"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m dpa_async "$@"\n')
    program.chmod(0o755)
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("DPA_", "XDG_"))}
    environment = {
        **kept,
        "HOME": str(tmp_path),
        "PATH": f"{program.parent}:{os.environ['PATH']}",
        "DPA_CLIENT_ID": "sim+App/0001==",
        "DPA_CLIENT_SECRET": "made/Up+Secret/of+Nobody==",
        "DPA_EXECUTE_URL": "/api/dpa/process/execute/{workflow_id}",
    }
    with subprocess.Popen(
        [str(program), "simulate", "--port", "0", "--exit-with-stdin"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as simulator:
        assert simulator.stdout is not None
        url = simulator.stdout.readline().split()[-1]
        yield environment | {"DPA_BASE_URL": url}


def test_the_shell_blocks_run_one_after_the_other(home, tmp_path):
    script = "\n".join(re.findall(r"(?ms)^```sh\n(.*?)^```$", PAGE))
    done = subprocess.run(
        ["/bin/bash", "-euxo", "pipefail", "-c", script],
        cwd=tmp_path,
        env=home,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "20 runs, 0 failures" in done.stdout
    assert "Traceback" not in done.stderr


def test_the_exit_codes_are_those_there_are():
    told = re.findall(r"^\| (\d+) \|", PAGE, re.MULTILINE)
    assert [int(code) for code in told] == [code.value for code in Exit]


@pytest.mark.parametrize("command", [*COMMANDS, "config init"])
def test_every_option_of_every_command_is_told(command, capfd):
    from dpa_async.cli import main  # noqa: PLC0415 - with the extra only

    assert main([*command.split(), "--help"]) == 0
    text = capfd.readouterr().out
    assert f"`dpa {command}" in PAGE
    options = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text))
    assert "--output" in options
    positive = {"--outputs", "--wait", "--ask"}  # their names here begin with --no-
    assert {option for option in options - positive if option not in PAGE} == set()
