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
import logging
from collections import deque
from collections.abc import Generator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager

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
from dpa_async.models import RunRef, RunStatus, Submission

_REMEMBERED = 20_000
_SCOPE = "dpa_async"

# Bounds of histograms: seconds, but for looks.
_RUNS = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1_800, 3_600, 7_200)
_REQUESTS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_LAGS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 30, 60)
_LOOKS = (1, 2, 3, 5, 8, 13, 20, 50, 100, 1_000)

_TRACEPARENT = "traceparent"
_GIVEN_UP = asyncio.CancelledError.__name__

_log = logging.getLogger("dpa_async")


@define
class _Followed:
    """What is known of a run, or of a request that waits to become one.

    Attributes:
        span: Its span, under way.
        workflow_id: Its workflow.
        queued_at: The loop's time when it was queued or attached to.
        left_at: The loop's time when its execute left here; None: that is not known.
        looks: Looks so far.
        why: What the latest look was taken for.
    """

    span: Span
    workflow_id: str
    queued_at: float
    left_at: float | None = None
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
            "dpa.queue.wait", "s", "From the queue to the execute's departure", _RUNS
        )
        self.duration = self._histogram(
            "dpa.run.duration", "s", "From the execute's departure to the end", _RUNS
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
    """Remembers the spans of runs by reference, those of doubts by key: to link to.

    Args:
        shared: Where; None: here, the latest.
    """

    def __init__(self, shared: MutableMapping[str, str] | None) -> None:
        self._contexts: MutableMapping[str, str] = {} if shared is None else shared
        self._most = _REMEMBERED if shared is None else None
        self._format = TraceContextTextMapPropagator()

    def remember(self, name: str, span: Span) -> None:
        """Remember a span; one that no SDK made is nothing to link to."""
        carrier: dict[str, str] = {}
        self._format.inject(carrier, trace.set_span_in_context(span))
        if not carrier:
            return
        with self._usable():
            self._contexts.pop(name, None)  # the newest are at the end
            self._contexts[name] = carrier[_TRACEPARENT]
            if self._most is not None and len(self._contexts) > self._most:
                del self._contexts[next(iter(self._contexts))]

    def links(self, *names: str) -> list[Link]:
        """Give a link to the span of the first of these names that is remembered."""
        with self._usable():
            for name in names:
                if text := self._contexts.get(name):
                    return [Link(self._parsed(text))]
        return []

    def _parsed(self, text: str) -> SpanContext:
        extracted = self._format.extract({_TRACEPARENT: text}, context.Context())
        return trace.get_current_span(extracted).get_span_context()

    @contextmanager
    def _usable(self) -> Generator[None]:
        """Go on without, where what is shared is not to be had."""
        try:
            yield
        except Exception:  # noqa: BLE001 - a disk, a network: it is somebody else's
            _log.exception("the memory of spans raised: from now on there are no links")
            self._contexts, self._most = {}, _REMEMBERED


class Telemetry:
    """An observer of runners and clients: spans and metrics of what happens there.

    A span `dpa.run` (INTERNAL) lasts from when a request is queued, or a run attached
    to, until its end is seen or nobody here looks after it any more. Its parent is the
    span of whoever wanted it, and all that the run asks the platform for happens within
    it. It has a link to the span that the run had before, where that is remembered. No
    URL, parameter, output, token or secret is in any attribute; requests' keys are.
    Each runner has one of its own.

    Args:
        tracer_provider: Where spans come from; None: the application's.
        meter_provider: Where metrics come from; None: the application's.
        by_workflow: Whether the metrics of runs have their workflow's id: so many time
            series more.
        memory: Where the span of a run is remembered, as text by its reference, and
            that of a doubt by its key, so that who takes it up again links to it: other
            processes too, where they share it. It is asked on the event loop; one that
            raises is asked no more. None: the latest 20,000 of this process.
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
        # By workflow and key. Without a journal one can be there twice.
        self._queued: dict[tuple[str, str], deque[_Followed]] = {}
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
                links = self._memory.links(_named(workflow_id, key))
                queued = self._follow(workflow_id, {"dpa.key": _shown(key)}, links)
                self._queued.setdefault((workflow_id, key), deque()).append(queued)
            case Submitted(key=key, ref=ref):
                self._submitted(self._unqueued(ref.workflow_id, key), event)
            case Uncertain(submission=doubt):
                self._doubted(doubt)
            case Unqueued(key=key, workflow_id=workflow_id, problem=problem):
                self._left_lane(self._unqueued(workflow_id, key), problem)
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

    def _unqueued(self, workflow_id: str, key: str) -> _Followed | None:
        """Give who waited longest under a key; None: nobody that is followed."""
        waiting = self._queued.get((workflow_id, key))
        if waiting is None:
            return None
        followed = waiting.popleft()
        if not waiting:
            del self._queued[workflow_id, key]
        return followed

    def _submitted(self, followed: _Followed | None, event: Submitted) -> None:
        if followed is None:
            return
        attributes = self._of(followed)
        self._instruments.submissions.add(1, {"dpa.outcome": "started", **attributes})
        if event.seconds is not None:
            followed.left_at = _now() - event.seconds
            waited = followed.left_at - followed.queued_at
            self._instruments.queue_wait.record(waited, attributes)
        followed.span.set_attributes(_naming(event.ref))
        followed.span.add_event("submitted")
        self._keep(event.ref, followed)

    def _doubted(self, doubt: Submission) -> None:
        waiting = self._queued.get((doubt.workflow_id, doubt.key))
        if waiting is not None:
            waiting[0].span.add_event("uncertain")
            name = _named(doubt.workflow_id, doubt.key)
            self._memory.remember(name, waiting[0].span)

    def _left_lane(self, followed: _Followed | None, problem: str | None) -> None:
        if followed is None:
            return
        attributes = {"dpa.outcome": problem or "has a run", **self._of(followed)}
        self._instruments.submissions.add(1, attributes)
        if problem is not None and problem != _GIVEN_UP:
            followed.span.set_attribute("error.type", problem)
            followed.span.set_status(StatusCode.ERROR, "no run that is known of")
        followed.span.end()

    def _attached(self, ref: RunRef, key: str | None) -> None:
        names, attributes = [str(ref)], _naming(ref)
        if key is not None:
            names.append(_named(ref.workflow_id, key))
            attributes = {**attributes, "dpa.key": _shown(key)}
        links = self._memory.links(*names)
        followed = self._follow(ref.workflow_id, attributes, links)
        followed.span.add_event("attached")
        self._keep(ref, followed)

    def _keep(self, ref: RunRef, followed: _Followed) -> None:
        """Follow a run; whoever followed it before does not any more."""
        if ref in self._runs:
            self._left(self._runs.pop(ref))
        self._memory.remember(str(ref), followed.span)
        self._runs[ref] = followed
        self._instruments.in_flight.add(1, self._of(followed))

    def _ended(self, followed: _Followed, event: Ended) -> None:
        attributes = {"dpa.run.status": event.status.name, **self._of(followed)}
        if event.status is RunStatus.FAILED:
            followed.span.set_status(StatusCode.ERROR, "the run failed")
        followed.span.set_attribute("dpa.run.status", event.status.name)
        if followed.left_at is not None:
            self._instruments.duration.record(_now() - followed.left_at, attributes)
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
        # Of two requests: where the first one fails there is no second.
        failed_early = event.operation == "authorize" and event.how != "answered"
        if event.operation == "token" or failed_early:
            self._instruments.renewals.add(1, {"dpa.outcome": event.how})

    def _of(self, followed: _Followed) -> Mapping[str, str]:
        if not self._by_workflow:
            return {}
        return {"dpa.workflow.id": followed.workflow_id}


def _now() -> float:
    return asyncio.get_running_loop().time()


def _naming(ref: RunRef) -> Mapping[str, str]:
    return {"dpa.platform": ref.origin, "dpa.run.id": ref.run_id}


def _named(workflow_id: str, key: str) -> str:
    """Name a doubt: keys of two journals may be the same."""
    return f"{workflow_id} {_shown(key)}"


def _shown(key: str) -> str:
    """Give a key as text that can be sent: a lone surrogate cannot."""
    return key.encode("utf-8", "backslashreplace").decode()
