"""What the platform's things look like when they are printed."""

from datetime import datetime

from dpa_async.cli.printing import Record
from dpa_async.models import InputVariable, NodeOutput, RunRef, RunResult, Workflow

WORKFLOW_COLUMNS = ("id", "name", "status", "updated_at")
VARIABLE_COLUMNS = ("name", "type")
OUTPUT_COLUMNS = ("node", "result")


def of_workflow(workflow: Workflow) -> Record:
    """Give a row of `dpa list`."""
    return {
        "id": workflow.id,
        "name": workflow.name,
        "status": workflow.status.name,
        "step_count": workflow.step_count,
        "created_by": workflow.created_by,
        "created_at": _time(workflow.created_at),
        "updated_at": _time(workflow.updated_at),
    }


def of_variable(variable: InputVariable) -> Record:
    """Give a row of `dpa vars`."""
    return {"name": variable.name, "type": variable.type}


def of_output(node: NodeOutput) -> Record:
    """Give a row of `dpa outputs`."""
    return {"node": node.node_name, "result": node.result}


def of_run(ref: RunRef) -> dict[str, object]:
    """Give what names a run; more can be put to it."""
    return {"ref": str(ref), "workflow_id": ref.workflow_id, "run_id": ref.run_id}


def of_result(result: RunResult) -> dict[str, object]:
    """Give how a run ended, with its outputs in the platform's order."""
    return {
        **of_run(result.ref),
        "status": result.status.name,
        "submitted_at": _time(result.submitted_at),
        "ended_at": _time(result.ended_at),
        "looks": result.looks,
        "outputs": [of_output(node) for node in result.outputs],
        "outputs_unread": result.outputs.unread,
    }


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
