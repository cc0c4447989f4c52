"""Entries as rows of the file and back: texts, whole numbers, JSON and ISO times."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, cast

from dpa_async.checks import check_choice, refuse
from dpa_async.journal.entries import Entry, EntryState
from dpa_async.models import (
    NodeOutput,
    NodeOutputs,
    RunRef,
    RunResult,
    RunStatus,
    Submission,
)

Value = str | int | None
Row = tuple[Value, ...]

SELECT = """
    SELECT id, key, state, wants_outputs, origin, workflow_id, params_digest, params,
        sent_at, nonce_sha256, seen, run_origin, run_workflow_id, run_id, submitted_at,
        status, ended_at, looks, outputs, unread
    FROM entries
"""

_STATES = {state.value: state for state in EntryState}
_STATUSES = {status.value: status for status in RunStatus}


def intent_row(
    submission: Submission, params: Mapping[str, object] | None, *, wants_outputs: bool
) -> Row:
    """Give the values of an intent, in the order of the insertion.

    Raises:
        ConfigurationError: A value is not JSON, or a text not Unicode.
    """
    text = None if params is None else _json("params", dict(params))
    return _checked(
        submission.key,
        EntryState.INTENDED.value,
        int(wants_outputs),
        submission.origin,
        submission.workflow_id,
        submission.params_digest,
        text,
        *evidence_row(submission),
    )


def evidence_row(submission: Submission) -> Row:
    """Give what is known of a submission's fate.

    Raises:
        ConfigurationError: A text is not Unicode, or a time has no zone.
    """
    return _checked(
        _time("sent_at", submission.sent_at),
        submission.nonce_sha256,
        _json("seen", submission.seen) if submission.seen else None,
    )


def start_row(ref: RunRef, submitted_at: datetime | None) -> Row:
    """Give which run it is, and since when.

    Raises:
        ConfigurationError: A text is not Unicode, or the time has no zone.
    """
    at = _time("submitted_at", submitted_at)
    return _checked(ref.origin, ref.workflow_id, ref.run_id, at)


def result_row(result: RunResult) -> Row:
    """Give how a run ended.

    Raises:
        ConfigurationError: It did not end, a text is not Unicode, or a time has no
            zone.
    """
    check_choice("result.status", result.status.value, "SUCCEEDED", "FAILED")
    nodes = [(node.node_name, node.result) for node in result.outputs]
    return _checked(
        *start_row(result.ref, result.submitted_at),
        result.status.value,
        _time("ended_at", result.ended_at),
        result.looks,
        _json("outputs", nodes),
        result.outputs.unread,
    )


def check_text(name: str, text: str) -> str:
    """See that UTF-8 can hold it.

    Raises:
        ConfigurationError: It cannot.
    """
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            refuse(name, f"is {text[:100]!r}: it holds half a character (a surrogate)")
    return text


def read_entry(row: tuple[Any, ...]) -> Entry:
    """Give the entry of a row of `SELECT`.

    Raises:
        ValueError: It is none; so are `TypeError` and `KeyError` raised.
    """
    (_, key, state, wants, origin, workflow, digest, params, sent, nonce, seen) = row[
        :11
    ]
    run_origin, run_workflow, run_id, submitted, *end = row[11:]
    submission = Submission(
        origin,
        key,
        workflow,
        digest,
        _read_time(sent),
        nonce,
        tuple(_decode(seen)) if seen else (),
    )
    ref = RunRef(run_origin, run_workflow, run_id) if run_id is not None else None
    at = _read_time(submitted)
    return Entry(
        submission,
        None if params is None else cast("dict[str, object]", _decode(params)),
        _STATES[state],
        bool(wants),
        ref,
        at,
        None if ref is None or end[0] is None else _read_result(ref, at, *end),
    )


def _read_result(
    ref: RunRef,
    submitted_at: datetime | None,
    status: str,
    ended_at: str,
    looks: int,
    outputs: str,
    unread: str | None,
) -> RunResult:
    nodes = tuple([NodeOutput(name, result) for name, result in _decode(outputs)])
    return RunResult(
        ref,
        _STATUSES[status],
        NodeOutputs(nodes, unread),
        submitted_at,
        datetime.fromisoformat(ended_at),
        looks,
    )


def _decode(text: str) -> Any:  # noqa: ANN401 - JSON that this module wrote
    try:
        return json.loads(text)
    except RecursionError:
        deep = "nested too deep"
    raise ValueError(deep)


def _json(name: str, value: object) -> str:
    try:
        return json.dumps(
            value, separators=(",", ":"), ensure_ascii=False, allow_nan=False
        )
    except (ValueError, TypeError) as error:
        words = str(error)
    except RecursionError:
        words = "it is nested too deep"
    return refuse(name, f"cannot be journaled, because it is not JSON: {words}")


def _time(name: str, time: datetime | None) -> str | None:
    if time is None:
        return None
    if time.tzinfo is None:
        refuse(name, f"is {time.isoformat()}, without a time zone: give an aware time")
    return time.astimezone(UTC).isoformat(timespec="microseconds")


def _read_time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _checked(*values: Value) -> Row:
    for value in values:
        if isinstance(value, str):
            check_text("a text of the entry", value)
    return values
