"""A reader per interface: a request and its reply to a model, or an error."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import TypeAlias, TypeVar, cast

from dpa_async.errors import UnexpectedResponseError
from dpa_async.models import (
    AccessToken,
    Execution,
    InputVariable,
    NodeOutput,
    NodeOutputs,
    RunRef,
    RunStatus,
    Workflow,
    WorkflowStatus,
    WorkflowStatuses,
)
from dpa_async.settings import Settings
from dpa_async.wire import json_text
from dpa_async.wire.converter import RunRow, converter, read_status, read_text
from dpa_async.wire.envelope import read_data, unexpected
from dpa_async.wire.lifetime import token_lifetime
from dpa_async.wire.messages import Reply, Request

_T = TypeVar("_T")

_Rows: TypeAlias = Sequence[Mapping[str, str]]

_NOT_A_ROW = (KeyError, TypeError, ValueError, AttributeError, RecursionError)
"""What structuring raises where a row is not of the shape that it should have."""


def authorization_code(request: Request, reply: Reply) -> str:
    """Read the code of an authorize answer (1.1)."""
    return _secret(request, reply, "code")


def access_token(settings: Settings, request: Request, reply: Reply) -> AccessToken:
    """Read the token of a token answer (1.2), with the time it should live."""
    value = _secret(request, reply, "access_token")
    default = settings.dialect.token_lifetime
    return AccessToken(value, token_lifetime(value, reply, default))


def variables(
    settings: Settings, request: Request, reply: Reply
) -> list[InputVariable]:
    """Read the parameters of a workflow (2); null where it takes none."""
    return _rows(settings, request, reply, InputVariable)


def execution(
    settings: Settings, workflow_id: str, request: Request, reply: Reply
) -> Execution:
    """Read an execute answer (3), in any of the shapes that it may have.

    Raises:
        UnexpectedResponseError: No run id is in it; or another workflow was started,
            then the error carries the run.
    """
    row = _started(_translated(settings, request, reply))
    try:
        run_id = read_text(row.get("instanceId"))
        answered_id = read_text(row.get("modelId") or workflow_id)
    except TypeError:
        run_id = answered_id = ""
    if not run_id:
        unexpected(request, reply, "no instanceId; a run may have been started")
    if answered_id != workflow_id:
        ref = RunRef(settings.base_url, answered_id, run_id)
        raise UnexpectedResponseError(
            request.operation,
            f"it started workflow {answered_id!r} instead of {workflow_id!r}: the "
            "execute URL is another workflow's",
            http_status=reply.status,
            ref=ref,
        )
    return _execution(settings, RunRef(settings.base_url, workflow_id, run_id), row)


def run_status(
    settings: Settings, run: RunRef, request: Request, reply: Reply
) -> RunStatus:
    """Read the status of a run (4), and see that it is this run's.

    Raises:
        UnexpectedResponseError: An id is missing, or it is another run's answer.
    """
    data = read_data(request, reply)
    row = _one(settings, request, reply, data)
    if (row.model_id, row.instance_id) != (run.workflow_id, run.run_id):
        unexpected(request, reply, "the answer is about another run")
    return row.status


def workflows(settings: Settings, request: Request, reply: Reply) -> list[Workflow]:
    """Read the list of workflows (6); names come trimmed."""
    return _rows(settings, request, reply, Workflow)


def statuses(request: Request, reply: Reply) -> WorkflowStatuses:
    """Read from the list of workflows (6) the status of each, and nothing else.

    Rows that are none are left out: whoever asks for this only wants to know when to
    look.
    """
    data = read_data(request, reply)
    rows = json_text.as_list(data)
    if rows is None and data is not None:
        unexpected(request, reply, "data is not the list of rows that is documented")
    words = _words(rows or ())
    known = {word: read_status(word, WorkflowStatus) for word in set(words.values())}
    found = {workflow_id: known[word] for workflow_id, word in words.items()}
    return WorkflowStatuses(found, len(reply.body))


def _words(rows: Sequence[object]) -> dict[str, str]:
    """Give the status by workflow id; nearly always no row has to be looked at twice.

    So it takes a third of the time, and lists are asked for every second.
    """
    with suppress(TypeError, KeyError):
        words = {row["processModelId"]: row["status"] for row in cast("_Rows", rows)}
        if set(map(type, words)) | set(map(type, words.values())) <= {str}:
            return words
    fields = (json_text.as_object(row) or {} for row in rows)
    pairs = ((row.get("processModelId"), row.get("status")) for row in fields)
    return {
        workflow_id: word
        for workflow_id, word in pairs
        if isinstance(workflow_id, str) and isinstance(word, str)
    }


def outputs(settings: Settings, request: Request, reply: Reply) -> NodeOutputs:
    """Read the outputs of a run's nodes (7); null where there are none."""
    return NodeOutputs(tuple(_rows(settings, request, reply, NodeOutput)))


def _secret(request: Request, reply: Reply, name: str) -> str:
    data = read_data(request, reply)
    value = (json_text.as_object(data) or {}).get(name)
    if not isinstance(value, str) or not value:
        # No excerpt: whatever is in this answer could be the secret, misspelled.
        raise UnexpectedResponseError(
            request.operation, f"no {name} in it", http_status=reply.status
        )
    return value


def _rows(
    settings: Settings, request: Request, reply: Reply, model: type[_T]
) -> list[_T]:
    data = read_data(request, reply)
    if data is None:
        return []
    tools = converter(settings.dialect.timezone)
    rows = json_text.as_list(data)
    if rows is not None:
        with suppress(*_NOT_A_ROW):
            return [tools.structure(row, model) for row in rows]
    what = "data is not the list of rows that is documented"
    return unexpected(request, reply, what)


def _one(settings: Settings, request: Request, reply: Reply, data: object) -> RunRow:
    with suppress(*_NOT_A_ROW):
        return converter(settings.dialect.timezone).structure(data, RunRow)
    return unexpected(request, reply, "data has no instanceId and modelId")


def _translated(settings: Settings, request: Request, reply: Reply) -> object:
    """Give the `data` of an execute answer, in the words that are known here."""
    data = read_data(request, reply)
    reader = settings.dialect.execute_reader
    if reader is None:
        return data
    try:
        return reader(data)
    except Exception as error:  # noqa: BLE001 - a run may be there, whatever it raises
        problem = type(error).__name__
    return unexpected(request, reply, f"the dialect's execute_reader raised {problem}")


def _started(data: object) -> Mapping[str, object]:
    """Find the row of an execute answer: plain text, an object, or one level deeper."""
    if isinstance(data, str):
        return {"instanceId": data}
    row = json_text.as_object(data) or {}
    if "instanceId" in row:
        return row
    for value in row.values():
        inner = json_text.as_object(value) or {}
        if "instanceId" in inner:
            return inner
    return {}


def _execution(settings: Settings, ref: RunRef, row: Mapping[str, object]) -> Execution:
    """Add what a synchronous answer may carry; none of it decides anything."""
    tools = converter(settings.dialect.timezone)
    status = tools.structure(row["status"], RunStatus) if "status" in row else None
    nodes = _node_rows(row.values())
    if nodes is not None:
        with suppress(*_NOT_A_ROW):
            rows = [tools.structure(node, NodeOutput) for node in nodes]
            return Execution(ref, status, NodeOutputs(rows))
    return Execution(ref, status)


def _node_rows(values: Iterable[object]) -> list[dict[str, object]] | None:
    """Find the list of node outputs among the values of an execute answer."""
    for value in values:
        items = [
            json_text.as_object(item) or {} for item in json_text.as_list(value) or ()
        ]
        if items and all(isinstance(item.get("nodeName"), str) for item in items):
            return items
    return None
