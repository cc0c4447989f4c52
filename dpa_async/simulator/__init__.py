"""A DPA platform to test against, on a socket or in memory.

`Simulator` listens on a real port; `MemorySimulator` is a transport for the client
and runs on virtual time (`dpa_async.simulator.virtual_time`). Both do what the
platform's document says, let faults strike on order, and keep a ledger of what really
happened in `platform`.
"""

from dpa_async.simulator.asgi_delivery import deliver_to
from dpa_async.simulator.behaviour import Application, Behaviour
from dpa_async.simulator.courier import CallbackAttempt
from dpa_async.simulator.faults import Ending, Fault, FaultScript
from dpa_async.simulator.in_thread import serving
from dpa_async.simulator.memory import MemorySimulator
from dpa_async.simulator.platform import Platform
from dpa_async.simulator.records import Answer, Callback, Held, Request, SimulatedRun
from dpa_async.simulator.web import Simulator
from dpa_async.simulator.workflows import SimulatedWorkflow, echo

__all__ = [
    "Answer",
    "Application",
    "Behaviour",
    "Callback",
    "CallbackAttempt",
    "Ending",
    "Fault",
    "FaultScript",
    "Held",
    "MemorySimulator",
    "Platform",
    "Request",
    "SimulatedRun",
    "SimulatedWorkflow",
    "Simulator",
    "deliver_to",
    "echo",
    "serving",
]
