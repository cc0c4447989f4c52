"""The plain values that pass between the platform, its faces and its users."""

from collections.abc import Mapping
from typing import Literal

from attrs import field, frozen

EndStatus = Literal["FINISH", "FAIL"]


@frozen
class Request:
    """One HTTP request as it came in.

    Attributes:
        method: "GET" or "POST".
        target: Path and query, percent-encoded as on the wire.
        headers: By lower-case name; the platform reads only `authorization`.
        body: Empty where there is none.
    """

    method: str
    target: str
    headers: Mapping[str, str] = field(factory=dict[str, str], repr=False)
    body: bytes = field(default=b"", repr=False)


@frozen
class Answer:
    """One HTTP answer: status, headers by lower-case name, body."""

    http_status: int
    headers: dict[str, str]
    body: bytes


@frozen
class Held:
    """An answer that is held back: a `sync` execute waits for its run.

    Attributes:
        until: The moment at which the answer is let go.
        answer: What it says then.
    """

    until: float
    answer: Answer


@frozen(kw_only=True, eq=False)
class SimulatedRun:
    """A run that really happened on the simulated platform: the ground truth.

    Attributes:
        run_id: The platform's `instanceId`.
        workflow_id: The platform's `modelId`.
        params: The `mapParam` it was executed with.
        submitted_at: When it was executed.
        ends_at: When it ends; infinite for a run that never does.
        end_status: What it ends in.
        default_until: Until then its status is `DEFAULT`.
        suspensions: From when until when it is `PENDING`.
        callback_url: Where its end is told, if it was asked for.
        foreign: Whether another user executed it.
        listed_from: From when on listAll shows it, and not what was before it.
    """

    run_id: str
    workflow_id: str
    params: Mapping[str, object]
    submitted_at: float
    ends_at: float
    end_status: EndStatus
    default_until: float
    suspensions: tuple[tuple[float, float], ...] = ()
    callback_url: str | None = None
    foreign: bool = False
    listed_from: float

    def status_at(self, now: float) -> str:
        """Tell the run's status in the platform's word."""
        if now >= self.ends_at:
            return self.end_status
        if any(start <= now < end for start, end in self.suspensions):
            return "PENDING"
        return "DEFAULT" if now < self.default_until else "RUNNING"

    def has_ended(self, now: float) -> bool:
        """Tell whether the run is over."""
        return now >= self.ends_at

    def next_change(self, now: float) -> float:
        """Tell when its status may next be another one; infinite: never again."""
        edges = (self.ends_at, self.default_until)
        inner = (edge for pair in self.suspensions for edge in pair)
        return min((edge for edge in (*edges, *inner) if edge > now), default=_NEVER)


@frozen
class Callback:
    """What the platform has to tell a receiver: a run ended."""

    url: str
    run_id: str
    workflow_id: str
    status: EndStatus

    def payload(self) -> dict[str, str]:
        """Give the JSON object that is POSTed."""
        return {
            "instanceId": self.run_id,
            "modelId": self.workflow_id,
            "status": self.status,
        }


_NEVER = float("inf")
