"""Entries as rows of the file and back: JSON, and times as microseconds since 1970."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from dpa_async.checks import refuse
from dpa_async.journal.entries import Entry, EntryState
from dpa_async.models import (
    NodeOutput,
    NodeOutputs,
    RunRef,
    RunResult,
    RunStatus,
    Submission,
)

Row = tuple[str | int | None, ...]

# All JSON of an entry as one text: two columns and one decoding cost half of what
# twenty columns do.
SELECT = """
    SELECT id, key, state, '[' || intent || ',' || params
        || ',' || coalesce(evidence, 'null')
        || ',' || coalesce(run, 'null')
        || ',' || coalesce(submitted_at, 'null')
        || ',' || coalesce(result, 'null') || ']'
    FROM entries
"""

_STATES = {state.value: state for state in EntryState}
_STATUSES = {status.value: status for status in RunStatus if status.ended}
_ENCODER = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False)
_DECODER = json.JSONDecoder()
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_NO_EVIDENCE = (None, None, ())


def intent_row(
    submission: Submission, params: Mapping[str, object] | None, *, wants_outputs: bool
) -> Row:
    """Give the key, the intent, the parameters and what is known of its fate.

    Raises:
        ConfigurationError: A value is not JSON, or a text not Unicode.
    """
    intent = [
        submission.origin,
        submission.workflow_id,
        submission.params_digest,
        wants_outputs,
    ]
    return (
        check_text("key", submission.key),
        _json("submission", intent),
        _json("params", None if params is None else dict(params)),
        evidence_text(submission),
    )


def evidence_text(submission: Submission) -> str | None:
    """Give what is known of a submission's fate; None for nothing.

    Raises:
        ConfigurationError: A text is not Unicode, or the time has no zone.
    """
    evidence = (submission.sent_at, submission.nonce_sha256, submission.seen)
    if evidence == _NO_EVIDENCE:
        return None
    sent_at = _time("sent_at", submission.sent_at)
    return _json("submission", [sent_at, *evidence[1:]])


def start_row(ref: RunRef, submitted_at: datetime | None) -> Row:
    """Give which run it is, and since when.

    Raises:
        ConfigurationError: A text is not Unicode, or the time has no zone.
    """
    run = _json("ref", [ref.origin, ref.workflow_id, ref.run_id])
    return run, _time("submitted_at", submitted_at)


def result_row(result: RunResult) -> Row:
    """Give which run it is, since when, and how it ended.

    Raises:
        ConfigurationError: It did not end, a text is not Unicode, or a time has no
            zone.
    """
    if not result.status.ended:
        refuse("result.status", f"is {result.status}: only a run that ended has one")
    end = [
        result.status.value,
        _time("ended_at", result.ended_at),
        result.looks,
        [(node.node_name, node.result) for node in result.outputs.nodes],
        result.outputs.unread,
    ]
    return *start_row(result.ref, result.submitted_at), _json("result", end)


def check_text(name: str, text: str) -> str:
    """See that UTF-8 can hold it.

    Raises:
        ConfigurationError: It cannot.
    """
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            refuse(name, "holds half a character (an unpaired surrogate)")
    return text


def microseconds(name: str, time: datetime) -> int:
    """Give how long after 1970 it is.

    Raises:
        ConfigurationError: It has no zone.
    """
    if time.tzinfo is None:
        refuse(name, f"is {time.isoformat()}, without a time zone: give an aware time")
    return (time - _EPOCH) // _MICROSECOND


def read_entry(row: tuple[Any, ...]) -> Entry:
    """Give the entry of a row of `SELECT`.

    Raises:
        ValueError: It is none; so are `TypeError`, `KeyError` and
            `OverflowError` raised.
    """
    _, key, state, text = row
    intent, params, evidence, run, submitted, result = _decode(text)
    origin, workflow_id, digest, wants_outputs = intent
    sent_at, nonce_sha256, seen = evidence or _NO_EVIDENCE
    submission = Submission(
        origin, key, workflow_id, digest, _read_time(sent_at), nonce_sha256, tuple(seen)
    )
    ref = RunRef(*run) if run else None
    submitted_at = _read_time(submitted)
    ended = None
    if ref is not None and result:
        ended = _read_result(ref, submitted_at, *result)
    return Entry(
        submission,
        params,
        _STATES[state],
        wants_outputs,
        ref,
        submitted_at,
        ended,
    )


def _read_result(
    ref: RunRef,
    submitted_at: datetime | None,
    status: str,
    ended_at: int,
    looks: int,
    outputs: list[tuple[str, str | None]],
    unread: str | None,
) -> RunResult:
    nodes = tuple([NodeOutput(name, result) for name, result in outputs])
    return RunResult(
        ref,
        _STATUSES[status],
        NodeOutputs(nodes, unread),
        submitted_at,
        _EPOCH + ended_at * _MICROSECOND,
        looks,
    )


def _decode(text: str) -> Any:  # noqa: ANN401 - JSON that this module wrote
    try:
        value, end = _DECODER.raw_decode(text)
    except RecursionError:
        value, end = None, -1
    if end != len(text):
        msg = "no JSON text of this module"
        raise ValueError(msg)
    return value


def _json(name: str, value: object) -> str:
    try:
        return check_text(name, _ENCODER.encode(value))
    except (ValueError, TypeError) as error:
        words = str(error)
    except RecursionError:
        words = "it is nested too deep"
    return refuse(name, f"cannot be journaled, because it is not JSON: {words}")


def _read_time(count: int | None) -> datetime | None:
    return None if count is None else _EPOCH + count * _MICROSECOND


def _time(name: str, time: datetime | None) -> int | None:
    return None if time is None else microseconds(name, time)
