"""Tasks that get into trouble, for `standalone.py`."""

import os
import signal
from pathlib import Path

from airflow.sdk import Asset, dag, task
from airflow.sdk.exceptions import AirflowException, TaskDeferred

from dpa_async.integrations.airflow import DPARunSensor, DPARunWorkflowOperator


class FailsOnce(DPARunWorkflowOperator):
    """Its first try ends badly when the run is started."""

    def __init__(self, *, way, **kwargs):
        super().__init__(**kwargs)
        self.way = way

    def execute(self, context):
        try:
            return super().execute(context)
        except TaskDeferred as deferred:
            ref = deferred.trigger.ref
            if context["ti"].try_number == 1:
                path = Path(os.environ["SCENE_FIRST_REFS"], self.task_id)
                path.write_text(ref)
                if self.way == "crash":
                    os.kill(os.getpid(), signal.SIGKILL)
                raise AirflowException("after its run was started") from None
            raise


@task
def kind(outputs):
    return type(outputs).__name__


@task
def one_node(output):
    node, result = output
    return f"{node}: {type(result).__name__}"


@dag(schedule=None)
def retried():
    for way in ("raise", "crash"):
        run = FailsOnce(
            task_id=f"does_{way}",
            way=way,
            workflow_id=f"md-{way}",
            retries=1,
            retry_delay=1,
            outlets=[Asset(f"after-{way}")],
        )
        kind.override(task_id=f"kind_{way}")(run.output)
    one_node.expand(output=run.output)


@dag(schedule=None)
def one_lane():
    tasks = DPARunWorkflowOperator.partial(
        task_id="in_turn", workflow_id="md-lane", deadline=300
    ).expand(workflow_params=[{"NUMBER": str(number)} for number in range(3)])
    seen = DPARunSensor(
        task_id="seen",
        ref="{{ ti.xcom_pull(task_ids='in_turn', key='dpa_run', map_indexes=0) }}",
        timeout=60,
    )
    tasks >> seen


retried()
one_lane()
