"""OpenTelemetry: a span for each run, and metrics of what runs and requests take.

    telemetry = Telemetry()
    async with (
        DPAClient(settings, observers=[telemetry]) as client,
        Runner(client, observers=[telemetry]) as runner,
    ):
        ...

It is an observer, and uses OpenTelemetry's API alone: without an SDK it does nothing.
The extra is `dpa-async[otel]`.
"""

import asyncio
from collections import deque
from collections.abc import Mapping, MutableMapping, Sequence

from attrs import define
from opentelemetry import context, metrics, trace
from opentelemetry.metrics import Histogram, MeterProvider
from opentelemetry.trace import (
    Link,
    Span,
    SpanContext,
    SpanKind,
    StatusCode,
    TracerProvider,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from dpa_async.events import (
    Attached,
    Detached,
    Ended,
    Exchanged,
    Looked,
    Queued,
    RunEvent,
    StatusChanged,
    Submitted,
    Uncertain,
    Unqueued,
)
from dpa_async.models import RunRef, RunStatus

_REMEMBERED = 10_000
_SCOPE = "dpa_async"

# Bounds of histograms: seconds, but for looks.
_RUNS = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1_800, 3_600, 7_200)
_REQUESTS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_LAGS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 30, 60)
_LOOKS = (1, 2, 3, 5, 8, 13, 20, 50, 100, 1_000)

_TRACEPARENT = "traceparent"
_GIVEN_UP = asyncio.CancelledError.__name__


@define
class _Followed:
    """What is known of a run, or of a request that waits to become one.

    Attributes:
        span: Its span, under way.
        workflow_id: Its workflow.
        since: The loop's time when it was queued or attached to; when it is submitted,
            of that.
        is_ours: Whether it was started here, so that it is known for how long it runs.
        looks: Looks so far.
        why: What the latest look was taken for.
    """

    span: Span
    workflow_id: str
    since: float
    is_ours: bool = False
    looks: int = 0
    why: str = "asked"

    def looked(self, event: Looked) -> None:
        """Take note of a look; only of one that failed there is something to show."""
        self.looks += 1
        self.why = event.why
        if event.status is None:
            self.span.add_event("look failed", {"dpa.look.reason": event.why})


class _Instruments:
    """What is measured.

    Args:
        provider: Where the instruments come from; None: the application's.
    """

    def __init__(self, provider: MeterProvider | None) -> None:
        self._meter = meter = metrics.get_meter(_SCOPE, meter_provider=provider)
        self.in_flight = meter.create_up_down_counter(
            "dpa.runs.in_flight", "{run}", "Runs that this process looks after"
        )
        self.submissions = meter.create_counter(
            "dpa.submissions", "{request}", "Requests that left their lane, by outcome"
        )
        self.requests = meter.create_counter(
            "dpa.requests", "{request}", "Tries of HTTP requests, by outcome"
        )
        self.renewals = meter.create_counter(
            "dpa.token.renewals", "{renewal}", "Tries to get a token, by outcome"
        )
        self.queue_wait = self._histogram(
            "dpa.queue.wait", "s", "From the queue to the execute's answer", _RUNS
        )
        self.duration = self._histogram(
            "dpa.run.duration", "s", "From the execute's answer to the end seen", _RUNS
        )
        self.lag = self._histogram(
            "dpa.run.lag", "s", "How late the end was seen, at most", _LAGS
        )
        self.looks = self._histogram(
            "dpa.run.looks", "{look}", "Looks that a run took here", _LOOKS
        )
        self.request_time = self._histogram(
            "dpa.request.duration", "s", "From departure to answer", _REQUESTS
        )

    def _histogram(
        self, name: str, unit: str, description: str, bounds: Sequence[float]
    ) -> Histogram:
        return self._meter.create_histogram(
            name, unit, description, explicit_bucket_boundaries_advisory=bounds
        )


class _Memory:
    """Remembers the spans of runs, by reference and by key, as links to them.

    Args:
        shared: Where; None: here, the latest.
    """

    def __init__(self, shared: MutableMapping[str, str] | None) -> None:
        self._contexts: MutableMapping[str, str] = {} if shared is None else shared
        self._most = _REMEMBERED if shared is None else None
        self._format = TraceContextTextMapPropagator()

    def remember(self, name: object, span: Span) -> None:
        """Remember a span; one that no SDK made is nothing to link to."""
        carrier: dict[str, str] = {}
        self._format.inject(carrier, trace.set_span_in_context(span))
        if not carrier:
            return
        self._contexts.pop(str(name), None)  # the newest are at the end
        self._contexts[str(name)] = carrier[_TRACEPARENT]
        if self._most is not None and len(self._contexts) > self._most:
            del self._contexts[next(iter(self._contexts))]

    def links(self, *names: object) -> list[Link]:
        """Give links to the spans of these names, each once."""
        texts = dict.fromkeys(self._contexts.get(str(name), "") for name in names)
        return [Link(self._parsed(text)) for text in texts if text]

    def _parsed(self, text: str) -> SpanContext:
        extracted = self._format.extract({_TRACEPARENT: text}, context.Context())
        return trace.get_current_span(extracted).get_span_context()


class Telemetry:
    """An observer of runners and clients: spans and metrics of what happens there.

    A span `dpa.run` (INTERNAL) lasts from when a request is queued, or a run attached
    to, until its end is seen or nobody here looks after it any more. Its parent is the
    span of whoever wanted it, and all that the run asks the platform for happens within
    it. It has a link to the span that the run had before, where that is remembered. No
    URL, parameter, output, token or secret is in any attribute; requests' keys are.

    Args:
        tracer_provider: Where spans come from; None: the application's.
        meter_provider: Where metrics come from; None: the application's.
        by_workflow: Whether the metrics of runs have their workflow's id: so many time
            series more.
        memory: Where the span of a run is remembered, as text by reference and by key,
            so that who takes the run up again links to it: other processes too, where
            they share it. It is asked on the event loop, and must not raise anything
            but `KeyError`. None: the latest 10,000 of this process.
    """

    def __init__(
        self,
        *,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
        by_workflow: bool = False,
        memory: MutableMapping[str, str] | None = None,
    ) -> None:
        self._tracer = trace.get_tracer(_SCOPE, tracer_provider=tracer_provider)
        self._instruments = _Instruments(meter_provider)
        self._by_workflow = by_workflow
        self._memory = _Memory(memory)
        self._queued: dict[str, deque[_Followed]] = {}  # a key can be there twice
        self._runs: dict[RunRef, _Followed] = {}

    def __call__(self, event: RunEvent | Exchanged) -> None:
        """Take note of an event, of a runner or of a client."""
        match event:
            case Exchanged():
                self._exchanged(event)
            case Looked(ref=ref) if ref in self._runs:
                self._runs[ref].looked(event)
            case StatusChanged(ref=ref, after=after) if ref in self._runs:
                self._runs[ref].span.add_event("status", {"dpa.run.status": after.name})
            case Ended(ref=ref) if ref in self._runs:
                self._ended(self._runs.pop(ref), event)
            case Detached(ref=ref) if ref in self._runs:
                self._left(self._runs.pop(ref))
            case _:
                self._began(event)

    def _began(self, event: RunEvent | Exchanged) -> None:
        match event:
            case Queued(key=key, workflow_id=workflow_id):
                queued = self._follow(workflow_id, {"dpa.key": key})
                self._queued.setdefault(key, deque()).append(queued)
            case Submitted(key=key, ref=ref) if key in self._queued:
                self._submitted(self._unqueue(key), ref, key)
            case Uncertain(submission=submission) if submission.key in self._queued:
                span = self._queued[submission.key][0].span
                span.add_event("uncertain")
                self._memory.remember(submission.key, span)
            case Unqueued(key=key, problem=problem) if key in self._queued:
                self._unqueued(self._unqueue(key), problem)
            case Attached(ref=ref, key=key) if ref not in self._runs:
                self._attached(ref, key)
            case _:
                pass  # nothing that is followed, or nothing that is shown

    def _follow(
        self, workflow_id: str, more: Mapping[str, str], links: Sequence[Link] = ()
    ) -> _Followed:
        """Begin a span, and have all that is done for the run be within it.

        These are called in the run's own context, so there is nothing to put back.
        """
        span = self._tracer.start_span(
            "dpa.run",
            kind=SpanKind.INTERNAL,
            attributes={"dpa.workflow.id": workflow_id, **more},
            links=links,
        )
        _ = context.attach(trace.set_span_in_context(span))
        return _Followed(span, workflow_id, _now())

    def _unqueue(self, key: str) -> _Followed:
        """Give who waited longest under a key."""
        waiting = self._queued[key]
        followed = waiting.popleft()
        if not waiting:
            del self._queued[key]
        return followed

    def _submitted(self, followed: _Followed, ref: RunRef, key: str) -> None:
        attributes = self._of(followed)
        self._instruments.submissions.add(1, {"dpa.outcome": "started", **attributes})
        self._instruments.queue_wait.record(_now() - followed.since, attributes)
        followed.since, followed.is_ours = _now(), True
        followed.span.set_attributes(_naming(ref))
        followed.span.add_event("submitted")
        self._memory.remember(key, followed.span)
        self._keep(ref, followed)

    def _unqueued(self, followed: _Followed, problem: str | None) -> None:
        attributes = {"dpa.outcome": problem or "has a run", **self._of(followed)}
        self._instruments.submissions.add(1, attributes)
        if problem is not None and problem != _GIVEN_UP:
            followed.span.set_attribute("error.type", problem)
            followed.span.set_status(StatusCode.ERROR, "no run that is known of")
        followed.span.end()

    def _attached(self, ref: RunRef, key: str | None) -> None:
        names = _naming(ref) if key is None else {**_naming(ref), "dpa.key": key}
        links = self._memory.links(ref, ref if key is None else key)
        followed = self._follow(ref.workflow_id, names, links)
        followed.span.add_event("attached")
        self._keep(ref, followed)

    def _keep(self, ref: RunRef, followed: _Followed) -> None:
        self._memory.remember(ref, followed.span)
        self._runs[ref] = followed
        self._instruments.in_flight.add(1, self._of(followed))

    def _ended(self, followed: _Followed, event: Ended) -> None:
        attributes = {"dpa.run.status": event.status.name, **self._of(followed)}
        if event.status is RunStatus.FAILED:
            followed.span.set_status(StatusCode.ERROR, "the run failed")
        followed.span.set_attribute("dpa.run.status", event.status.name)
        if followed.is_ours:
            self._instruments.duration.record(_now() - followed.since, attributes)
        self._instruments.looks.record(followed.looks, attributes)
        if event.lag is not None:
            told_by = {"dpa.look.reason": followed.why, **attributes}
            self._instruments.lag.record(event.lag, told_by)
        self._over(followed)

    def _left(self, followed: _Followed) -> None:
        followed.span.add_event("detached")
        self._over(followed)

    def _over(self, followed: _Followed) -> None:
        self._instruments.in_flight.add(-1, self._of(followed))
        followed.span.set_attribute("dpa.run.looks", followed.looks)
        followed.span.end()

    def _exchanged(self, event: Exchanged) -> None:
        attributes: dict[str, str | int] = {
            "dpa.operation": event.operation,
            "dpa.outcome": event.how,
        }
        if event.code is not None:
            attributes["dpa.code"] = event.code
        self._instruments.requests.add(1, attributes)
        if event.seconds is not None:
            self._instruments.request_time.record(event.seconds, attributes)
        if event.operation == "token":
            self._instruments.renewals.add(1, {"dpa.outcome": event.how})

    def _of(self, followed: _Followed) -> Mapping[str, str]:
        if not self._by_workflow:
            return {}
        return {"dpa.workflow.id": followed.workflow_id}


def _now() -> float:
    return asyncio.get_running_loop().time()


def _naming(ref: RunRef) -> Mapping[str, str]:
    return {"dpa.platform": ref.origin, "dpa.run.id": ref.run_id}
