"""`dpa demo` and `dpa simulate` as people meet them: real processes, real signals."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

COMMAND = [sys.executable, "-W", "error", "-m", "dpa_async"]


def call(*words, **environment):
    return subprocess.run(
        [*COMMAND, *words],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, **environment},
    )


def test_the_demo_runs_everything_and_says_how_it_went():
    done = call("demo", "--runs", "40", "--workflows", "20", PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert "40 runs, 0 failures" in done.stdout
    assert "requests per run" in done.stdout
    assert '{"number": "' in done.stdout
    assert "########################   40/40 ended" in done.stdout
    assert done.stderr == ""


def test_the_demo_says_what_is_wrong_with_a_broken_environment(tmp_path):
    """A simulator that cannot start: its process finds another aiohttp than ours."""
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "if 'simulate' in sys.orig_argv: sys.modules['aiohttp.web'] = None\n"
    )
    done = call("demo", "--runs", "1", PYTHONPATH=str(tmp_path))
    assert done.returncode == 1
    assert "the demo cannot run: the simulator did not start" in done.stderr
    assert "aiohttp.web" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "words", [["demo", "--runs", "0"], ["demo", "--runs", "x"], []]
)
def test_words_that_cannot_be_right_are_a_usage_error(words):
    done = call(*words)
    assert done.returncode == 2
    assert "usage:" in done.stderr


def test_ctrl_c_leaves_nothing_running():
    demo = subprocess.Popen(
        [*COMMAND, "demo", "--runs", "200", "--workflows", "2"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    first = demo.stdout.readline()
    assert "on a simulated platform at" in first
    port = first.rsplit(":", 1)[1].strip()
    assert listening(port)
    demo.send_signal(signal.SIGINT)
    out, err = demo.communicate(timeout=30)
    assert demo.returncode == 130
    assert "interrupted" in out
    assert "Traceback" not in err
    assert not listening(port)


def listening(port):
    """Whether something listens on this port, by what the kernel says of it."""
    hexadecimal = f":{int(port):04X} 00000000:0000 0A"
    for _ in range(50):
        if hexadecimal in Path("/proc/net/tcp").read_text():
            return True
        time.sleep(0.01)  # noqa: TID251 - no loop runs here
    return False
