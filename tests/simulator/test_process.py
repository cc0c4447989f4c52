"""The process face, as a real process."""

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from contextlib import contextmanager

import pytest

START = """
import sys
from dpa_async.simulator.process import main
sys.exit(main("127.0.0.1", {port}, duration=0.1, seed=1, exit_with_stdin={stdin}))
"""


@contextmanager
def process(*, port=0, stdin=False):
    code = START.format(port=port, stdin=stdin)
    with subprocess.Popen(
        [sys.executable, "-X", "dev", "-W", "error", "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # With it, a line that was not flushed would get out all the same.
        env={k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"},
    ) as child:
        try:
            yield child
        finally:
            child.kill()


def url_of(child):
    line = child.stdout.readline()
    match = re.fullmatch(
        r"dpa simulator listening on (http://127\.0\.0\.1:\d+)\n", line
    )
    assert match, line
    return match[1]


def answers(url):
    request = urllib.request.Request(  # noqa: S310 - our own
        f"{url}/api/dpa/process/processModel/listAll", data=b"{}", method="POST"
    )
    with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310
        return json.load(response)["code"] == 403


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_until_it_is_told_to_stop(number):
    with process() as child:
        assert answers(url_of(child))
        child.send_signal(number)
        rest = child.communicate(timeout=30)
        assert (child.returncode, rest) == (0, ("", ""))


def test_it_can_end_with_its_standard_input():
    with process(stdin=True) as child:
        assert answers(url_of(child))
        assert child.poll() is None
        out, err = child.communicate(timeout=30)  # closes its standard input
        assert (child.returncode, out, err) == (0, "", "")


def test_a_signal_ends_it_also_while_it_watches_its_standard_input():
    with process(stdin=True) as child:
        url_of(child)
        child.send_signal(signal.SIGTERM)
        assert child.wait(timeout=30) == 0
        assert child.stderr.read() == ""


def test_otherwise_its_standard_input_is_of_no_meaning():
    with process() as child:
        url = url_of(child)
        child.stdin.close()
        child.stdin = None
        assert answers(url)
        assert child.poll() is None


def test_a_port_that_is_taken_is_said_in_one_line():
    with process() as first:
        port = int(url_of(first).rpartition(":")[2])
        with process(port=port) as second:
            out, err = second.communicate(timeout=30)
            assert second.returncode == 1
            assert out == ""
            assert err.startswith("dpa simulator: ")
            assert err.count("\n") == 1
