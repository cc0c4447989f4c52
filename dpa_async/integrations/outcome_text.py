"""What became of a run as text, for engines that carry results from place to place.

The text is JSON. Reading it makes this library's own values and errors and nothing
else, whoever wrote it: unlike a pickle, it runs no code.
"""

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypeAlias, cast

from dpa_async import errors
from dpa_async.errors import DPAError
from dpa_async.models import (
    NodeOutput,
    NodeOutputs,
    RunRef,
    RunResult,
    RunStatus,
    Submission,
)

Outcome: TypeAlias = RunResult | DPAError
"""How a run ended, or what went wrong; a run that failed is a `RunFailedError`."""

_ERRORS: Mapping[str, type[DPAError]] = {
    name: value
    for name, value in vars(errors).items()
    if isinstance(value, type) and issubclass(value, DPAError)
}


def write_outcome(outcome: Outcome) -> str:
    """Give an outcome as JSON text; `read_outcome` gives it back as it was."""
    return json.dumps(_plain(outcome), separators=(",", ":"))


def read_outcome(text: str) -> Outcome:
    """Read what `write_outcome` wrote.

    Raises:
        ValueError: It did not.
    """
    try:
        outcome = _made(json.loads(text))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        outcome = None
    if isinstance(outcome, RunResult | DPAError):
        return outcome
    msg = f"not the outcome of a run: {text[:200]!r}"
    raise ValueError(msg)


def _plain(value: object) -> object:  # noqa: PLR0911 - a line for each kind
    """Give a value as JSON has it; those of this library say what they are."""
    match value:
        case RunRef():
            return {"ref": str(value)}
        case Submission():
            return {"submission": str(value)}
        case RunResult():
            return {"result": _plain_result(value)}
        case DPAError():
            return {"error": _plain_error(value)}
        case list() | tuple():
            return [_plain(part) for part in cast("list[object]", value)]
        case str() | int() | float() | None:
            return value
        case _:
            return str(value)


def _made(value: object) -> object:
    """Make what `_plain` has taken apart.

    Raises:
        ValueError: It is none of it; so are `AttributeError`, `KeyError` and
            `TypeError` raised.
    """
    if isinstance(value, list):
        return [_made(part) for part in cast("list[object]", value)]
    if not isinstance(value, dict):
        return value
    ((kind, parts),) = cast("dict[str, Any]", value).items()
    return _MAKERS[kind](parts)


def _plain_result(result: RunResult) -> list[object]:
    submitted_at = result.submitted_at
    return [
        str(result.ref),
        result.status.value,
        None if submitted_at is None else submitted_at.isoformat(),
        result.ended_at.isoformat(),
        result.looks,
        [[node.node_name, node.result] for node in result.outputs.nodes],
        result.outputs.unread,
    ]


def _result(
    ref: str,
    status: str,
    submitted_at: str | None,
    ended_at: str,
    looks: int,
    nodes: list[tuple[str, str | None]],
    unread: str | None,
) -> RunResult:
    return RunResult(
        RunRef.parse(ref),
        RunStatus(status),
        NodeOutputs([NodeOutput(name, result) for name, result in nodes], unread),
        None if submitted_at is None else datetime.fromisoformat(submitted_at),
        datetime.fromisoformat(ended_at),
        looks,
    )


def _plain_error(error: DPAError) -> list[object]:
    known = next(kind for kind in type(error).__mro__ if kind in _ERRORS.values())
    fields = {name: _plain(value) for name, value in vars(error).items()}
    return [known.__name__, _plain(error.args), fields]


def _error(name: str, words: object, fields: Mapping[str, object]) -> DPAError:
    """Make an error as unpickling would: its fields, and no call of its constructor."""
    kind = _ERRORS[name]
    error = kind.__new__(kind)
    error.args = tuple(cast("list[object]", _made(words)))
    made = {field: _made(value) for field, value in fields.items()}
    notes = made.pop("__notes__", [])
    vars(error).update(made)
    for note in cast("list[str]", notes):
        error.add_note(note)
    return error


_MAKERS: Mapping[str, Callable[[Any], object]] = {
    "ref": RunRef.parse,
    "submission": Submission.parse,
    "result": lambda parts: _result(*parts),
    "error": lambda parts: _error(*parts),
}
