"""The hook, the triggers and the operators by themselves, inside Airflow.

Not a test by its name: it needs the extra `airflow`. `nox -s airflow` runs it.
"""

import asyncio
import json
import os
from datetime import timedelta

import pytest
from airflow.providers_manager import ProvidersManager
from airflow.sdk import DAG, BaseHook
from airflow.sdk.exceptions import (
    AirflowFailException,
    AirflowNotFoundException,
    TaskDeferred,
)
from airflow.triggers.base import TaskFailedEvent, TaskSkippedEvent
from state_store import MemoryStore

from dpa_async import BusinessError, ConfigurationError, DPAClient, NotStartedError
from dpa_async.integrations.airflow import (
    DPAHook,
    DPARunLink,
    DPARunSensor,
    DPARunTrigger,
    DPARunWorkflowOperator,
    DPAWorkflowFreeTrigger,
)
from dpa_async.integrations.airflow.deadlines import deadline_from
from dpa_async.simulator import Fault, SimulatedWorkflow, Simulator, serving

TRIGGERS = "dpa_async.integrations.airflow.triggers"

LONG_AGO = "2020-01-01T00:00:00+00:00"


@pytest.fixture
def platform(monkeypatch):
    workflows = [
        SimulatedWorkflow("good", duration=0.3),
        SimulatedWorkflow("bad", duration=0.3, fails=True),
        SimulatedWorkflow("long", duration=6.0),
    ]
    with serving(Simulator(workflows)) as simulator:
        settings = simulator.settings()
        connection = {
            "conn_type": "dpa",
            "host": simulator.url,
            "login": settings.client_id,
            "password": settings.client_secret,
            "extra": {
                "execute_urls": settings.execute_urls,
                "run_url": "https://dpa.example/#/{workflow_id}/{run_id}",
            },
        }
        monkeypatch.setenv("AIRFLOW_CONN_DPA_DEFAULT", json.dumps(connection))
        monkeypatch.setattr(f"{TRIGGERS}._SETTLED", 0.2)
        monkeypatch.setattr(f"{TRIGGERS}._PAUSES", (0.1, 0.1))
        yield simulator


class TaskInstance:
    """What of Airflow's an operator uses."""

    dag_id, run_id, task_id, map_index, try_number = "d", "r", "t", -1, 1

    def __init__(self):
        self.xcoms = {}

    def xcom_push(self, key, value):
        self.xcoms[key] = value


def a_try(store, method="execute", event=None, **arguments):
    """One try of a task; gives what it returned, or the trigger that it waits for."""
    task = DPARunWorkflowOperator(task_id="t", **{"workflow_id": "good"} | arguments)
    context = {"task_state_store": store, "ti": TaskInstance()}
    try:
        return getattr(task, method)(context, *(() if event is None else (event,)))
    except TaskDeferred as deferred:
        return deferred.trigger


def executed(platform, workflow_id):
    async def execute():
        async with DPAClient(platform.settings()) as client:
            return (await client.execute(workflow_id)).run

    return asyncio.run(execute())


def events(trigger):
    """All that a trigger yields, after it went over the wire."""
    path, arguments = trigger.serialize()
    assert path == f"{type(trigger).__module__}.{type(trigger).__name__}"

    async def follow():
        again = type(trigger)(**json.loads(json.dumps(arguments)))
        return [event async for event in again.run()]

    return asyncio.run(follow())


def test_the_connection_can_be_tried_out(platform):
    assert DPAHook().test_connection() == (True, "the platform lists 3 workflows")
    platform.platform.revoke_all()
    connection = asyncio.run(DPAHook.aget_connection("dpa_default"))
    assert connection.host == platform.url


def test_a_wrong_connection_says_what_is_wrong(platform, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_OTHER", '{"conn_type": "dpa", "host": ""}')
    works, words = DPAHook("other").test_connection()
    assert not works
    assert "client_id is missing" in words
    del platform


@pytest.mark.parametrize(
    "connection",
    [None, "not json {", '{"conn_type": "dpa", "host": "h", "extra": "{not json"}'],
)
def test_what_is_no_connection_is_told_and_not_raised(
    platform, monkeypatch, connection
):
    if connection is not None:
        monkeypatch.setenv("AIRFLOW_CONN_OTHER", connection)
    works, words = DPAHook("other").test_connection()
    assert not works
    assert words
    del platform


def test_a_connection_that_is_not_answered_for_is_asked_for_again(
    platform, monkeypatch
):
    ref = str(executed(platform, "good"))
    asked = []

    async def aget_connection(_, conn_id):
        asked.append(conn_id)
        if len(asked) < 3:
            raise AirflowNotFoundException(conn_id)
        return BaseHook.get_connection(conn_id)

    monkeypatch.setattr(DPAHook, "aget_connection", aget_connection)
    assert events(DPARunTrigger(ref))[0].payload["ref"] == ref
    assert len(asked) == 3


def test_a_connection_that_is_not_there_is_told(platform):
    ref = str(executed(platform, "good"))
    with pytest.raises(AirflowNotFoundException):
        events(DPARunTrigger(ref, "nowhere"))


def test_a_hook_opens_a_client(platform):
    async def listed():
        async with DPAHook().client() as client:
            return [workflow.id for workflow in await client.list_workflows()]

    assert sorted(asyncio.run(listed())) == ["bad", "good", "long"]
    del platform


def test_a_run_that_succeeds_goes_back_to_a_worker_with_its_outputs(platform):
    ref = executed(platform, "good")
    (event,) = events(DPARunTrigger(str(ref)))
    store = MemoryStore()
    outputs = a_try(store, "when_over", event.payload)
    assert isinstance(outputs, dict)  # a mapping: a task can be expanded over it
    assert outputs
    assert all(isinstance(name, str) for name in outputs)
    assert event.payload["url"] == f"https://dpa.example/#/good/{ref.run_id}"
    sensor = DPARunSensor(task_id="s", ref=str(ref), timeout=9)
    with pytest.raises(TaskDeferred) as deferred:
        sensor.execute({})
    assert deferred.value.method_name == "when_over"
    assert sensor.when_over({}, event.payload) == outputs


def test_outputs_that_are_not_wanted_are_not_missed(platform):
    ref = str(executed(platform, "good"))
    platform.faults.add("getOutParamByModelId", Fault.body_code(500))
    (event,) = events(DPARunTrigger(ref, push_outputs=False))
    assert event.payload["outputs"] == {}
    assert isinstance(events(DPARunTrigger(ref))[0], TaskFailedEvent)


def test_the_link_leads_to_the_run_when_it_is_over_too(platform):
    task = DPARunWorkflowOperator(task_id="t", workflow_id="good")
    event = {"ref": "dpa-run:1:good:in1@https://h", "url": "https://h/1", "outputs": {}}
    task.when_over({}, event)
    assert DPARunLink().get_link(task, ti_key=None) == "https://h/1"
    task.on_kill()
    del platform


@pytest.mark.parametrize(
    "wrong",
    [
        {"on_uncertain": "wait"},
        {"deadline": -5},
        {"deadline": float("nan")},
        {"deadline": 1e300},
        {"deadline": "60"},
        {"deadline": timedelta(-1)},
    ],
)
def test_what_cannot_be_right_is_told_when_the_dag_is_read(wrong):
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        DPARunWorkflowOperator(task_id="t", workflow_id="w", **wrong)


def test_a_retry_waits_for_its_run_though_a_look_fails(platform):
    store = MemoryStore()
    first = a_try(store, workflow_id="long")
    platform.faults.add("getProcessRunStatus", Fault.body_code(503), first=1)
    assert a_try(store, workflow_id="long").ref == first.ref


def test_a_run_whose_name_cannot_be_stored_is_waited_for(platform, capsys):
    store = MemoryStore()
    store.writes_left = 1
    trigger = a_try(store, workflow_id="long")
    (run,) = platform.platform.executions("long")
    assert f":{run.run_id}@" in trigger.ref
    assert "no server" in capsys.readouterr().out


def test_a_mended_task_that_is_cleared_runs_anew(platform):
    store = MemoryStore()
    old = a_try(store, workflow_params={"day": "1"})
    events(old)  # it is over
    new = a_try(store, workflow_params={"day": "2"})
    assert new.ref != old.ref
    assert len(platform.platform.executions("good")) == 2


def test_a_doubt_fails_the_task_for_good_whatever_it_wants_now(platform):
    platform.faults.add("execute", Fault.answer_lost(), first=1)
    store = MemoryStore()
    for day in ("1", "1", "2"):
        with pytest.raises(AirflowFailException, match="delete the key"):
            a_try(store, workflow_params={"day": day})
    assert len(platform.platform.executions("good")) == 1


def test_a_wrong_url_starts_one_wrong_run_and_not_one_with_each_retry(
    platform, monkeypatch
):
    connection = json.loads(os.environ["AIRFLOW_CONN_DPA_DEFAULT"])
    template = connection["extra"]["execute_urls"]
    wrong = {"good": template.replace("{workflow_id}", "long")}
    connection["extra"]["execute_urls"] = wrong
    monkeypatch.setenv("AIRFLOW_CONN_DPA_DEFAULT", json.dumps(connection))
    with pytest.raises(AirflowFailException, match="long"):
        a_try(MemoryStore())
    assert len(platform.platform.executions("long")) == 1


def test_nothing_is_started_after_the_deadline(platform):
    event = {"deadline": LONG_AGO, "refusals": 0}
    with pytest.raises(NotStartedError):
        a_try(MemoryStore(), "when_free", event, deadline=60)
    assert not platform.platform.executions("good")


def test_refusals_while_the_list_lags_are_waited_out_some_times(platform):
    platform.faults.add("execute", Fault.body_code(999))
    store = MemoryStore()
    trigger = a_try(store)
    for number in range(1, 6):
        assert trigger.refusals == number
        (event,) = events(trigger)
        assert event.payload == {"deadline": None, "refusals": number}
        if number < 5:
            trigger = a_try(store, "when_free", event.payload)
    with pytest.raises(BusinessError):
        a_try(store, "when_free", event.payload)


def test_a_run_that_fails_fails_its_task_or_has_it_skipped(platform):
    ref = str(executed(platform, "bad"))
    assert isinstance(events(DPARunTrigger(ref))[0], TaskFailedEvent)
    softly = DPARunTrigger(ref, soft_fail=True)
    assert isinstance(events(softly)[0], TaskSkippedEvent)


def test_at_the_deadline_the_task_fails_and_the_run_goes_on(platform, monkeypatch):
    monkeypatch.setattr("dpa_async.integrations.airflow.triggers._ONE_LOOK", 1.0)
    ref = executed(platform, "long")
    (event,) = events(DPARunTrigger(str(ref), deadline=deadline_from(0)))
    assert isinstance(event, TaskFailedEvent)
    (success,) = events(DPARunTrigger(str(ref), deadline=deadline_from(30)))
    assert success.payload["ref"] == str(ref)


def test_a_triggerer_that_was_down_past_the_deadline_sees_the_end(platform):
    ref = executed(platform, "good")
    (event,) = events(DPARunTrigger(str(ref), deadline=LONG_AGO))
    assert event.payload["ref"] == str(ref)


def test_a_busy_workflow_is_waited_for(platform):
    executed(platform, "long")
    deadline = deadline_from(60)
    (event,) = events(DPAWorkflowFreeTrigger("long", deadline=deadline, refusals=3))
    assert event.payload == {"deadline": deadline, "refusals": 0}  # it was seen busy
    (event,) = events(DPAWorkflowFreeTrigger("long"))
    assert event.payload == {"deadline": None, "refusals": 0}


def test_a_workflow_that_stays_busy_fails_the_task(platform, monkeypatch):
    monkeypatch.setattr("dpa_async.integrations.airflow.triggers._ONE_LOOK", 0.5)
    executed(platform, "long")
    (event,) = events(DPAWorkflowFreeTrigger("long", deadline=LONG_AGO))
    assert isinstance(event, TaskFailedEvent)


def test_a_killed_task_says_that_its_run_goes_on(capsys):
    asyncio.run(DPARunTrigger("dpa-run:1:w:in1@https://dpa.example").on_kill())
    said = capsys.readouterr().out
    assert "goes on" in said
    assert "dpa-run:1:w:in1@https://dpa.example" in said


def test_what_is_templated_is_rendered():
    with DAG("d", schedule=None):
        task = DPARunWorkflowOperator(
            task_id="t",
            workflow_id="md-{{ day }}",
            workflow_params={"DAY": "{{ day }}", "all": ["{{ day }}"]},
        )
        sensor = DPARunSensor(task_id="s", ref="{{ ref }}", timeout=9)
    task.render_template_fields({"day": "1"})
    sensor.render_template_fields({"ref": "x"})
    assert task.workflow_id == "md-1"
    assert task.workflow_params == {"DAY": "1", "all": ["1"]}
    assert sensor.ref == "x"
    assert [link.name for link in task.operator_extra_links] == ["DPA run"]
    assert DPARunLink().get_link(task, ti_key=None) == ""


def test_airflow_knows_the_provider():
    manager = ProvidersManager()
    assert "dpa-async" in manager.providers
    fields = manager.connection_form_widgets
    assert "extra__dpa__execute_urls" in fields
    assert issubclass(DPAHook, BaseHook)
    assert f"{DPARunLink.__module__}.DPARunLink" in manager.extra_links_class_names
