"""The one cattrs converter: rows of the platform to models, tolerantly.

Words that are not known become UNKNOWN; times, texts and numbers that are not there
become None or empty. Only an id or a name that is missing is an error.
"""

import functools
import json
from collections.abc import Callable, Mapping
from datetime import datetime, tzinfo
from typing import Any, TypeVar, cast

import attrs
import cattrs
from cattrs.gen import make_dict_structure_fn, override

from dpa_async.checks import is_number
from dpa_async.models import (
    InputVariable,
    NodeOutput,
    RunStatus,
    Workflow,
    WorkflowStatus,
)

_Status = TypeVar("_Status", RunStatus, WorkflowStatus)


@attrs.frozen
class RunRow:
    """What status and execute answers say of a run."""

    instance_id: str
    model_id: str
    status: RunStatus = RunStatus.UNKNOWN


_COLUMNS: Mapping[type, Mapping[str, Any]] = {
    RunRow: {
        "instance_id": override(rename="instanceId"),
        "model_id": override(rename="modelId"),
    },
    InputVariable: {},
    NodeOutput: {"node_name": override(rename="nodeName")},
    Workflow: {
        "id": override(rename="processModelId"),
        "name": override(
            rename="modelName",
            struct_hook=lambda value, _: (read_optional(value) or "").strip(),
        ),
        "step_count": override(rename="stepNums"),
        "created_by": override(rename="createUser"),
        "created_at": override(rename="createTime"),
        "updated_at": override(rename="updateTime"),
    },
}
"""Our names to the platform's, where they differ."""

_STATUSES: Mapping[str, str] = {
    "DEFAULT": "DEFAULT",
    "RUNNING": "RUNNING",
    "PENDING": "SUSPENDED",
    "FINISH": "SUCCEEDED",
    "SUCCESS": "SUCCEEDED",
    "FAIL": "FAILED",
}
"""Both vocabularies, a run's and a workflow's, in capitals; to our member names."""

_MILLISECONDS_FROM = 1e11  # as seconds it would be the year 5138


@functools.cache
def converter(zone: tzinfo) -> cattrs.Converter:
    """Give the converter of a dialect whose times are of this zone."""
    made = cattrs.Converter(detailed_validation=False)
    made.register_structure_hook(str, lambda value, _: read_text(value))
    made.register_structure_hook(str | None, lambda value, _: read_optional(value))
    made.register_structure_hook(int | None, lambda value, _: _read_count(value))
    made.register_structure_hook(
        datetime | None, lambda value, _: read_time(value, zone)
    )
    for kind in (RunStatus, WorkflowStatus):
        made.register_structure_hook(kind, read_status)
    for model, columns in _COLUMNS.items():
        hook = cast(
            "Callable[[Any, Any], Any]",
            make_dict_structure_fn(model, made, **columns),
        )
        made.register_structure_hook(model, hook)
    return made


def read_status(word: object, kind: type[_Status]) -> _Status:
    """Read a status word in any case; any that is not known is `UNKNOWN`."""
    # Not ASCII is not known: "FI" can be one letter that becomes two in capitals.
    if not isinstance(word, str) or not word.isascii():
        return kind["UNKNOWN"]
    return kind[_STATUSES.get(word.strip().upper(), "UNKNOWN")]


def read_text(value: object) -> str:
    """Read what has to be there: text, or a number as text.

    Raises:
        TypeError: It is neither, or empty.
    """
    text = read_optional(value) if isinstance(value, str) or is_number(value) else None
    if not text or text.isspace():
        msg = "a text that is needed is not there"
        raise TypeError(msg)
    return text


def read_optional(value: object) -> str | None:
    """Read text as it is; what is no text as the JSON it came as; None as None."""
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)


def read_time(value: object, zone: tzinfo) -> datetime | None:
    """Read epoch seconds or milliseconds, or ISO text; None for anything else."""
    try:
        if isinstance(value, str):
            time = datetime.fromisoformat(value.strip())
            return time if time.tzinfo else time.replace(tzinfo=zone)
        if is_number(value):
            seconds = value / 1000 if abs(value) >= _MILLISECONDS_FROM else value
            return datetime.fromtimestamp(seconds, zone)
    except (ValueError, OverflowError, OSError):
        return None
    return None


def _read_count(value: object) -> int | None:
    return int(value) if is_number(value) else None
