"""What observers are told, in order; in virtual time."""

import logging

import pytest

from dpa_async import Runner, SubmissionUncertainError, run_and_wait
from dpa_async.events import (
    Detached,
    Ended,
    Looked,
    OutputsRead,
    Queued,
    StatusChanged,
    Submitted,
    Uncertain,
)
from dpa_async.simulator import Fault, SimulatedWorkflow


def test_the_events_of_a_run_come_in_order(in_memory):
    async def test(platform, client):
        told = []
        platform.faults.add("getProcessRunStatus", Fault.body_code(997), calls={1})
        async with Runner(client, observers=[told.append]) as runner:
            result = await run_and_wait(runner, "wf", key="k")
        kinds = [type(event) for event in told]
        assert kinds[:3] == [Queued, Submitted, Looked]
        assert kinds[-3:] == [StatusChanged, Ended, OutputsRead]
        assert told[0].key == told[1].key == "k"
        assert told[2].status is None  # the look that failed
        assert kinds.count(Looked) == result.looks
        assert told[-2].at == result.ended_at
        assert told[-1].outputs == result.outputs
        assert Detached not in kinds

    in_memory(test, SimulatedWorkflow("wf", duration=5.0))


def test_an_uncertain_start_and_a_detached_run_are_told(in_memory):
    async def test(platform, client):
        told = []
        async with Runner(client, observers=[told.append]) as runner:
            with pytest.raises(TimeoutError):
                await run_and_wait(runner, "wf", timeout=3)
            assert isinstance(told[-1], Detached)
            platform.faults.add("execute", Fault.answer_lost())
            with pytest.raises(SubmissionUncertainError) as caught:
                await run_and_wait(runner, "other", key="lost")
            assert told[-1] == Uncertain(caught.value.submission)

    in_memory(test, SimulatedWorkflow("wf", duration=60.0), SimulatedWorkflow("other"))


def test_an_observer_that_raises_harms_nobody_and_is_reported_once(in_memory, caplog):
    def broken(event):
        raise LookupError("broken")

    async def test(platform, client):
        told = []
        async with Runner(client, observers=[broken, told.append]) as runner:
            await run_and_wait(runner, "wf")
        assert len(told) > 3

    with caplog.at_level(logging.DEBUG, logger="dpa_async"):
        in_memory(test)
    (record,) = caplog.records
    assert "observer" in record.message
