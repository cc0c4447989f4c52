"""Spans and metrics, as the SDK's own in-memory exporters have them."""

import asyncio
import json
from itertools import pairwise

import pytest
from opentelemetry import trace
from opentelemetry.instrumentation.aiohttp_client import AioHttpClientInstrumentor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from scenes import called_back, journaled, lives

from dpa_async import (
    DPAClient,
    DPAError,
    RunError,
    RunFailedError,
    Runner,
    RunRef,
    RunRequest,
    WaitPolicy,
    run_and_wait,
    run_many,
)
from dpa_async.events import Uncertain
from dpa_async.integrations.otel import Telemetry
from dpa_async.simulator import Fault, MemorySimulator, SimulatedWorkflow, Simulator
from dpa_async.simulator.virtual_time import run

LONG = SimulatedWorkflow("wf", duration=60.0)
SHORT = SimulatedWorkflow("wf", duration=5.0)


class Seen:
    """What came of it, by the SDK."""

    def __init__(self, **options):
        self.told = []
        self._exporter = InMemorySpanExporter()
        self._reader = InMemoryMetricReader()
        self.tracers = TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.telemetry = Telemetry(
            tracer_provider=self.tracers,
            meter_provider=MeterProvider([self._reader]),
            **options,
        )

    def __call__(self, event):
        """Observe: what the telemetry is told is kept, too."""
        self.told.append(event)
        self.telemetry(event)

    @property
    def spans(self):
        return self._exporter.get_finished_spans()

    @property
    def runs(self):
        return [span for span in self.spans if span.name == "dpa.run"]

    @property
    def points(self):
        """Every point of every metric: name, attributes, value."""
        data = self._reader.get_metrics_data()
        return [
            (metric.name, dict(point.attributes), point)
            for of_resource in (data.resource_metrics if data else ())
            for of_scope in of_resource.scope_metrics
            for metric in of_scope.metrics
            for point in metric.data.data_points
        ]

    def metric(self, name, **wanted):
        """The points of one metric whose attributes have these values."""
        wanted = {key.replace("_", "."): value for key, value in wanted.items()}
        return [
            point
            for found, attributes, point in self.points
            if found == name and wanted.items() <= attributes.items()
        ]

    def total(self, name, **wanted):
        return sum(
            getattr(point, "value", None) or getattr(point, "count", 0)
            for point in self.metric(name, **wanted)
        )


def watched(test, *workflows, duration=5.0, **options):
    async def main():
        seen = Seen(**options)
        platform = MemorySimulator(workflows or None, duration=duration)
        async with DPAClient(
            platform.settings(), backend=platform, observers=[seen.telemetry]
        ) as client:
            await test(platform, client, seen)
        await platform.aclose()

    run(main())


def runner_of(client, seen, **options):
    return Runner(client, observers=[seen], **options)


def events_of(span):
    return [event.name for event in span.events]


def test_a_run_is_one_internal_span_within_its_callers():
    async def test(platform, client, seen):
        tracer = trace.get_tracer("the application", tracer_provider=seen.tracers)
        async with runner_of(client, seen) as runner:
            with tracer.start_as_current_span("the caller") as caller:
                result = await run_and_wait(runner, "wf", key="k")
                assert trace.get_current_span() is caller
        (span,) = seen.runs
        assert span.kind is SpanKind.INTERNAL
        assert span.parent.span_id == caller.get_span_context().span_id
        assert span.status.status_code is StatusCode.UNSET
        assert dict(span.attributes) == {
            "dpa.workflow.id": "wf",
            "dpa.key": "k",
            "dpa.platform": platform.url,
            "dpa.run.id": result.ref.run_id,
            "dpa.run.status": "SUCCEEDED",
            "dpa.run.looks": result.looks,
        }
        assert events_of(span) == ["submitted", "status", "status"]
        assert span.links == ()

    watched(test, SHORT)


def test_what_a_run_asks_for_over_http_is_within_its_span():
    async def main():
        seen = Seen()
        workflows = [SimulatedWorkflow(name, duration=0.3) for name in "ab"]
        instrumentor = AioHttpClientInstrumentor()
        instrumentor.instrument(tracer_provider=seen.tracers)
        try:
            async with (
                Simulator(workflows) as simulator,
                DPAClient(simulator.settings(), observers=[seen.telemetry]) as client,
                runner_of(client, seen) as runner,
            ):
                await asyncio.gather(*(run_and_wait(runner, name) for name in "ab"))
        finally:
            instrumentor.uninstrument()
        runs = {span.context.span_id: span for span in seen.runs}
        assert len(runs) == 2
        for words in ("execute", "getProcessRunStatus", "getOutParamByModelId"):
            parents = {
                span.parent.span_id
                for span in seen.spans
                if words in str(span.attributes.get("http.url"))
            }
            assert parents == set(runs), words

    asyncio.run(main())


def test_a_run_that_fails_and_what_comes_to_no_run_are_errors():
    async def test(platform, client, seen):
        async with runner_of(client, seen) as runner:
            with pytest.raises(RunFailedError):
                await run_and_wait(runner, "fails")
            platform.faults.add("execute", Fault.answer_lost())
            with pytest.raises(DPAError):
                await run_and_wait(runner, "lost")
        failed, lost = seen.runs
        assert failed.status.status_code is StatusCode.ERROR
        assert failed.attributes["dpa.run.status"] == "FAILED"
        assert lost.status.status_code is StatusCode.ERROR
        assert lost.attributes["error.type"] == "SubmissionUncertainError"
        assert events_of(lost) == ["uncertain"]
        assert seen.total("dpa.submissions", dpa_outcome="started") == 1
        lost = {"dpa_outcome": "SubmissionUncertainError"}
        assert seen.total("dpa.submissions", **lost) == 1

    failing = SimulatedWorkflow("fails", duration=2.0, fails=True)
    watched(test, failing, SimulatedWorkflow("lost"))


def test_who_takes_a_run_up_again_links_to_its_span_before():
    async def test(platform, client, seen):
        async with runner_of(client, seen) as runner:
            run = await runner.start("wf", key="k")
            with pytest.raises(TimeoutError):
                await run.result(timeout=3)
            result = await run.result()
        before, after = seen.runs
        assert events_of(before)[-1] == "detached"
        assert events_of(after)[0] == "attached"
        (link,) = after.links
        assert link.context.span_id == before.context.span_id
        assert link.context.trace_id == before.context.trace_id
        assert after.attributes["dpa.run.id"] == result.ref.run_id
        looks = [span.attributes["dpa.run.looks"] for span in seen.runs]
        assert sum(looks) == result.looks

    watched(test, LONG)


def test_another_process_links_where_the_memory_is_shared(tmp_path):
    memory = {}
    lives_seen = [Seen(memory=memory) for _ in range(2)]

    async def test(platform):
        for number, seen in enumerate(lives_seen):
            observers = [seen.telemetry]
            async with journaled(platform, tmp_path / "j", observers=observers) as (
                runner,
                _,
            ):
                if number == 0:
                    await runner.start("wf", key="k")
                else:
                    await run_and_wait(runner, "wf", key="k")

    lives(test, SimulatedWorkflow("wf", duration=0.5))
    ((before,), (after,)) = (seen.runs for seen in lives_seen)
    assert [link.context.span_id for link in after.links] == [before.context.span_id]
    assert after.context.trace_id != before.context.trace_id
    assert after.attributes["dpa.key"] == "k"


def test_what_was_in_doubt_and_is_found_later_links_to_the_doubt():
    async def test(platform, client, seen):
        async with runner_of(client, seen) as runner:
            platform.faults.add("execute", Fault.answer_lost(), calls={1})
            with pytest.raises(DPAError) as caught:
                await run_and_wait(runner, "wf", key="k")
            submission = caught.value.submission
            (execution,) = platform.platform.executions("wf")
            ref = RunRef(platform.url, "wf", execution.run_id)
            await runner.settle(submission, ran=ref)
            await runner.attach(ref)
        doubt, found = seen.runs
        assert [link.context.span_id for link in found.links] == [doubt.context.span_id]

    watched(test, SHORT)


def test_the_metrics_of_runs_add_up():
    async def test(platform, client, seen):
        policy = WaitPolicy(first_look=1, multiplier=1, jitter=lambda s: s)
        async with runner_of(client, seen, wait=policy) as runner:
            requests = (RunRequest(f"w{n % 5}") for n in range(10))
            outcomes = [outcome async for outcome in run_many(runner, requests)]
            left = asyncio.create_task(run_and_wait(runner, "w0"))
            await asyncio.sleep(1)
            assert seen.total("dpa.runs.in_flight") == 1
        with pytest.raises(RunError):
            await left
        assert seen.total("dpa.runs.in_flight") == 0
        (durations,) = seen.metric("dpa.run.duration", dpa_run_status="SUCCEEDED")
        assert durations.count == 10
        assert 40 <= durations.sum <= 60
        (looks,) = seen.metric("dpa.run.looks")
        assert looks.sum == sum(outcome.result.looks for outcome in outcomes)
        (lags,) = seen.metric("dpa.run.lag", dpa_look_reason="schedule")
        assert lags.count == 10
        assert 0 < lags.max <= 1.2
        (waits,) = seen.metric("dpa.queue.wait")
        assert waits.count == 11
        assert waits.max > 4  # the second run of a workflow waits for the first

    watched(test, *(SimulatedWorkflow(f"w{n}", duration=4.5) for n in range(5)))


def test_metrics_have_the_workflow_only_where_that_is_wanted():
    async def test(platform, client, seen):
        async with runner_of(client, seen) as runner:
            await run_and_wait(runner, "wf")
        of_workflows = [name for name, a, _ in seen.points if "dpa.workflow.id" in a]
        by_workflow = seen.telemetry._by_workflow
        assert len(of_workflows) == (6 if by_workflow else 0)

    for by_workflow in (False, True):
        watched(test, SHORT, by_workflow=by_workflow)


def test_the_metrics_of_requests_are_by_interface_and_outcome():
    async def test(platform, client, seen):
        platform.faults.add("listAll", Fault.body_code(997), calls={2})
        platform.faults.add("listAll", Fault.token_revoked(), calls={3})
        await client.list_workflows()
        with pytest.raises(DPAError):
            await client.list_workflows()
        await client.list_workflows()

        def requests(**wanted):
            return seen.total("dpa.requests", dpa_operation="listAll", **wanted)

        assert requests(dpa_outcome="answered") == 2
        assert requests(dpa_outcome="refused", dpa_code=997) == 1
        assert requests(dpa_outcome="refused", dpa_code=403) == 1
        assert seen.total("dpa.token.renewals", dpa_outcome="answered") == 2
        (times,) = seen.metric("dpa.request.duration", dpa_operation="token")
        assert times.count == 2

    watched(test, SHORT)


def test_no_attribute_has_an_address_a_parameter_an_output_or_a_secret():
    async def test(platform, client, seen):
        platform.faults.add("execute", Fault.token_revoked(), calls={1})
        platform.faults.add("getProcessRunStatus", Fault.reset(), calls={1})
        async with runner_of(client, seen) as runner:
            result = await run_and_wait(runner, "wf", {"name": "a parameter's value"})
            assert result.outputs
        told = json.dumps(
            [
                *(span.to_json() for span in seen.spans),
                *([name, attributes] for name, attributes, _ in seen.points),
            ]
        )
        token = (await client.tokens.get()).value
        settings = client.settings
        for secret in (
            settings.client_secret,
            settings.client_id,
            token,
            "a parameter's value",
            *(str(output.result) for output in result.outputs),
            "?",
        ):
            assert secret not in told

    watched(test, SHORT)


def test_without_an_sdk_it_costs_nothing_and_remembers_nothing():
    memory = {}

    async def main():
        platform = MemorySimulator([SHORT])
        telemetry = Telemetry(memory=memory)
        async with (
            DPAClient(
                platform.settings(), backend=platform, observers=[telemetry]
            ) as client,
            Runner(client, observers=[telemetry]) as runner,
        ):
            assert (await run_and_wait(runner, "wf")).status.ended
        await platform.aclose()

    run(main())
    assert memory == {}


def test_nothing_is_kept_of_what_is_over():
    async def test(platform, client, seen):
        async with runner_of(client, seen) as runner:
            for number in range(3):
                await run_and_wait(runner, "wf", key=f"{number}")
            with pytest.raises(DPAError):
                await run_and_wait(runner, "nobody's", key="refused")
        telemetry = seen.telemetry
        assert not telemetry._runs
        assert not telemetry._queued

    watched(test, SHORT)


def linked(span):
    return [link.context.span_id for link in span.links]


def id_of(span):
    return span.context.span_id


def test_a_run_that_is_followed_when_its_doubt_is_settled_has_no_span_left_open():
    async def test(platform, client, seen):
        platform.faults.add("execute", Fault.answer_lost(), calls={1})
        async with runner_of(client, seen) as runner:
            starting = asyncio.create_task(
                run_and_wait(runner, "wf", key="k", on_uncertain="wait")
            )
            await asyncio.sleep(3)
            (doubt,) = (e.submission for e in seen.told if isinstance(e, Uncertain))
            (execution,) = platform.platform.executions("wf")
            ref = RunRef(platform.url, "wf", execution.run_id)
            waiting = asyncio.create_task(runner.attach(ref).result())
            await asyncio.sleep(1)
            await runner.settle(doubt, ran=ref)
            await asyncio.gather(starting, waiting)
        attached, submitted = seen.runs
        assert events_of(attached)[-1] == "detached"
        assert events_of(submitted)[:2] == ["uncertain", "submitted"]
        assert submitted.attributes["dpa.run.status"] == "SUCCEEDED"
        assert seen.total("dpa.runs.in_flight") == 0

    watched(test, LONG)


def test_workflows_that_share_a_key_do_not_share_spans():
    async def test(platform, client, seen):
        async with runner_of(client, seen) as runner:
            before = asyncio.create_task(run_and_wait(runner, "a", key="0"))
            await asyncio.sleep(0)
            both = await asyncio.gather(
                *(run_and_wait(runner, name, key="1") for name in ("a", "b"))
            )
            await before
        for result in both:
            (span,) = (
                s
                for s in seen.runs
                if s.attributes["dpa.workflow.id"] == result.ref.workflow_id
                and s.attributes["dpa.key"] == "1"
            )
            assert span.attributes["dpa.run.id"] == result.ref.run_id

    watched(test, *(SimulatedWorkflow(name, duration=20.0) for name in "ab"))


def test_each_span_links_to_the_one_before_it_and_to_no_other(tmp_path):
    seen = Seen()

    async def life(platform, name, *workflows):
        async with journaled(platform, tmp_path / name, observers=[seen]) as (
            runner,
            _,
        ):
            for workflow_id in workflows:
                with pytest.raises(TimeoutError):
                    await run_and_wait(runner, workflow_id, key="1", timeout=0.2)

    async def test(platform):
        await life(platform, "one", "a", "a", "a")
        await life(platform, "another", "b")
        await life(platform, "one", "a")

    lives(test, *(SimulatedWorkflow(name, duration=60.0) for name in "ab"))
    *of_a, of_b, last = seen.runs
    assert of_b.attributes["dpa.workflow.id"] == "b"
    assert linked(of_a[0]) == linked(of_b) == []
    for before, after in pairwise([*of_a, last]):
        assert linked(after) == [id_of(before)]


def test_a_doubt_that_is_taken_up_again_by_its_key_links_to_itself_before(tmp_path):
    seen = Seen()

    async def test(platform):
        platform.faults.add("execute", Fault.answer_lost(), calls={1})
        async with journaled(platform, tmp_path / "j", observers=[seen]) as (runner, _):
            for _ in range(2):
                with pytest.raises(DPAError):
                    await run_and_wait(runner, "wf", key="k")

    lives(test, SHORT)
    doubt, again = seen.runs
    assert linked(again) == [id_of(doubt)]


def test_as_many_runs_as_are_remembered_can_be_taken_up_at_once(monkeypatch):
    monkeypatch.setattr("dpa_async.integrations.otel._REMEMBERED", 80)

    async def test(platform, client, seen):
        async with runner_of(client, seen) as runner:
            requests = [RunRequest(f"w{n}", timeout=60) for n in range(80)]
            refs = [o.error.ref async for o in run_many(runner, requests)]
            again = [asyncio.ensure_future(runner.attach(ref).result()) for ref in refs]
            await asyncio.sleep(1)
        ended = await asyncio.gather(*again, return_exceptions=True)
        assert all(isinstance(end, RunError) for end in ended)
        assert [len(span.links) for span in seen.runs] == [0] * 80 + [1] * 80

    watched(test, duration=3_600.0)


def test_what_a_run_took_counts_from_when_its_execute_left():
    seen = Seen()

    async def test(platform, runner):
        platform.faults.add("execute", Fault.answer_lost(), calls={1})
        await run_and_wait(runner, "wf", key="k")
        (duration,) = seen.metric("dpa.run.duration")
        assert duration.sum == pytest.approx(60.0, abs=1)
        (waited,) = seen.metric("dpa.queue.wait")
        assert waited.sum < 1

    called_back(test, LONG, observers=[seen])


def test_so_does_what_a_run_took_whose_answer_was_held():
    async def test(platform, client, seen):
        async with runner_of(client, seen, wait=WaitPolicy(sync_wait=30)) as runner:
            await run_and_wait(runner, "wf")
        (duration,) = seen.metric("dpa.run.duration")
        assert duration.sum == pytest.approx(5.0, abs=1)
        (waited,) = seen.metric("dpa.queue.wait")
        assert waited.sum < 1

    watched(test, SHORT)


@pytest.mark.parametrize("step", ["authorize", "token"])
def test_a_token_that_is_not_to_be_had_is_a_renewal_that_failed(step):
    async def test(platform, client, seen):
        platform.faults.add(step, Fault.body_code(998))
        with pytest.raises(DPAError):
            await client.list_workflows()
        assert seen.total("dpa.token.renewals", dpa_outcome="refused") == 1

    watched(test, SHORT)


def test_a_memory_that_raises_costs_links_and_nothing_else(caplog):
    class Full(dict):
        def __setitem__(self, name, text):
            raise OSError("the disk is full")

    async def test(platform, client, seen):
        async with runner_of(client, seen) as runner:
            for _ in range(3):
                await run_and_wait(runner, "wf", key="a lone surrogate: \udcff")
        assert len(seen.runs) == 3
        assert seen.runs[0].attributes["dpa.key"] == "a lone surrogate: \\udcff"
        assert seen.total("dpa.runs.in_flight") == 0

    watched(test, SHORT, memory=Full())
    (record,) = caplog.records
    assert "no links" in record.message
