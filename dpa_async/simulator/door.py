"""The way in: one request, through the fault script, to the platform and back.

Both faces go through here, so that a fault is the same trouble in both.
"""

from attrs import frozen

from dpa_async.simulator.clock import LoopClock
from dpa_async.simulator.faults import Ending, Fault, FaultScript, http_date
from dpa_async.simulator.platform import Interface, Platform
from dpa_async.simulator.records import Answer, Held, Request
from dpa_async.simulator.security import bearer


@frozen
class Delivery:
    """What a face has to do about a request.

    Attributes:
        at: Not before this moment.
        answer: What is sent, where the ending is one that sends.
        ending: How the exchange ends.
        cut_at: After how many bytes a body that is CUT is cut.
    """

    at: float
    answer: Answer
    ending: Ending
    cut_at: int


class Door:
    """Lets requests in to the platform, in the order in which they come."""

    def __init__(
        self, platform: Platform, faults: FaultScript, clock: LoopClock
    ) -> None:
        self._platform = platform
        self._faults = faults
        self._clock = clock
        self._date = (0, "")

    def enter(self, request: Request) -> "Passage":
        """Count a request, and see what awaits it."""
        interface = self._platform.interface_of(request)
        fault = self._faults.draw(interface, request)
        return Passage(self, request, interface, fault)

    def carry_out(self, request: Request, fault: Fault) -> Delivery:
        """Do what is asked, now, as far as the fault lets it come to that."""
        at = self._clock.now()
        if fault.revokes_token:
            self._platform.revoke(bearer(request.headers.get("authorization", "")))
        answer: Answer | Held = Answer(200, {}, b"")
        if fault.carried_out:
            answer = self._platform.handle(request, at, staleness=fault.staleness)
        if isinstance(answer, Held):
            at, answer = answer.until, answer.answer
        at += fault.answer_delay
        shown = at + self._platform.behaviour.clock_skew
        if fault.reshape is not None:
            answer = fault.reshape(answer, shown)
        answer.headers["date"] = self._http_date(shown)
        return Delivery(at, answer, fault.ending, fault.cut_at)

    def _http_date(self, at: float) -> str:
        # Written once a second, not once a request.
        second = int(at)
        if self._date[0] != second:
            self._date = (second, http_date(second))
        return self._date[1]


@frozen
class Passage:
    """One request on its way in, with what strikes it there."""

    _door: Door
    _request: Request
    interface: Interface
    fault: Fault

    def carry_out(self) -> Delivery:
        """Have the request carried out, now."""
        return self._door.carry_out(self._request, self.fault)
