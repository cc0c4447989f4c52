"""Ctrl-C, pipes that nobody reads, streams that are closed: real processes."""

import json
import os
import signal
import time

import pytest

from dpa_async import RunRef
from dpa_async.simulator import Fault, SimulatedWorkflow

FOREVER = float("inf")


@pytest.fixture
def simulator(platform):
    simulator, _ = platform
    yield simulator
    simulator.faults.clear()


def until(condition):
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)  # noqa: TID251 - no loop runs here


def test_a_run_that_is_interrupted_goes_on_and_is_named(start, simulator):
    simulator.platform.add_workflow(SimulatedWorkflow("endless", duration=FOREVER))
    child = start("run", "endless")
    started = child.stderr.readline()
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=30)
    assert child.returncode == 130
    assert started.split()[1] == json.loads(out)["ref"]
    assert "the run goes on: dpa wait dpa-run:1:endless:" in err
    assert "Traceback" not in err
    # Behind it another one waits for its turn, and of that nothing is there.
    queued = start("run", "endless")
    until(lambda: simulator.platform.executes["endless"] == 2)
    until(lambda: simulator.platform.requests["listAll"] >= 1)
    queued.send_signal(signal.SIGINT)
    out, err = queued.communicate(timeout=30)
    assert (queued.returncode, out) == (130, "")
    assert "nothing was started" in err


def test_an_execute_that_is_out_is_finished_before_it_leaves(start, simulator):
    simulator.faults.add("execute", Fault.slow_answer(1.5))
    simulator.platform.add_workflow(SimulatedWorkflow("out", duration=FOREVER))
    child = start("run", "out")
    until(lambda: simulator.platform.executions("out"))
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=30)
    assert child.returncode == 130
    (run,) = simulator.platform.executions("out")
    assert RunRef.parse(json.loads(out)["ref"]).run_id == run.run_id
    assert "the run goes on" in err


def test_ctrl_c_twice_leaves_at_once_and_says_what_may_be(start, simulator):
    simulator.faults.add("execute", Fault.stall(carried_out=True))
    simulator.platform.add_workflow(SimulatedWorkflow("stalled", duration=FOREVER))
    child = start("run", "stalled")
    until(lambda: simulator.platform.executions("stalled"))
    child.send_signal(signal.SIGINT)
    assert "again" in child.stderr.readline()
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=30)
    assert (child.returncode, out) == (130, "")
    assert "may have been started" in err
    assert "Traceback" not in err


def test_listening_ends_quietly(start):
    child = start("listen")
    assert child.stderr.readline().startswith("callbackUrl: http://127.0.0.1:")
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=30)
    assert (child.returncode, out, err) == (130, "", "dpa: interrupted\n")


@pytest.mark.parametrize(
    "words", [["list", "-q"], ["list", "-q", "-o", "table"], ["--help"]], ids=" ".join
)
def test_a_pipe_that_nobody_reads_is_quiet(process, words):
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as pipe:
        done = process(*words, stdout=pipe)
    assert done.err == ""
    assert done.code == (1 if words == ["--help"] else 0)


def test_a_standard_output_that_is_closed_is_quiet(process):
    done = process("list", "-q", preexec_fn=lambda: os.close(1))
    assert (done.code, done.err) == (0, "")
    done = process("list", "-q", preexec_fn=lambda: os.closerange(0, 3))
    assert (done.code, done.out, done.err) == (0, "", "")


def test_a_disk_that_is_full_is_told(process):
    with open("/dev/full", "w") as full:  # noqa: PTH123 - a device
        done = process("list", stdout=full)
    assert done.code == 1
    assert "No space left" in done.err
    assert "Traceback" not in done.err
