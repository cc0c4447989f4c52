"""Outcomes as they are printed and kept: one record each, in one set of words."""

from collections.abc import Mapping

from dpa_async.batch import RunOutcome
from dpa_async.cli import records
from dpa_async.errors import DPAError, RunFailedError, SubmissionUncertainError
from dpa_async.journal import Entry
from dpa_async.models import RunRequest, RunResult, RunStatus

COLUMNS = (
    "key",
    "workflow_id",
    "status",
    "ref",
    "run_id",
    "submitted_at",
    "ended_at",
    "looks",
    "outputs",
    "outputs_unread",
    "error_type",
    "error",
)
"""The fields of an outcome, in their order."""

ENDS = frozenset({RunStatus.SUCCEEDED.name, RunStatus.FAILED.name})
"""The statuses that are the last word; the others change when the batch goes on."""

UNCERTAIN = "UNCERTAIN"
OPEN = "OPEN"
NOT_STARTED = "NOT_STARTED"


def result_of(outcome: RunOutcome) -> RunResult | None:
    """Give how the run ended, also if it failed; None where that is not known."""
    if isinstance(outcome.error, RunFailedError):
        return outcome.error.result
    return outcome.result


def status_of(outcome: RunOutcome) -> str:
    """Say in a word what became of it.

    SUCCEEDED and FAILED are ends. OPEN: there is a run, and not all is known of it.
    UNCERTAIN: there may be one. NOT_STARTED: there is none.
    """
    result = result_of(outcome)
    if result is not None:
        return result.status.name
    if isinstance(outcome.error, SubmissionUncertainError):
        return UNCERTAIN
    known = outcome.error is not None and outcome.error.ref is not None
    return OPEN if known else NOT_STARTED


def of_outcome(outcome: RunOutcome) -> dict[str, object]:
    """Give the record of an outcome."""
    ref = None if outcome.error is None else outcome.error.ref
    known: Mapping[str, object] = {} if ref is None else records.of_run(ref)
    result = result_of(outcome)
    if result is not None:
        known = records.of_result(result)
    return _record(outcome.request, known, status_of(outcome), outcome.error)


def of_entry(entry: Entry) -> dict[str, object] | None:
    """Give the record of what a journal has as finished; None of anything else."""
    if entry.result is None:
        return None
    meant = entry.submission
    request = RunRequest(meant.workflow_id, entry.params, key=meant.key)
    failed = entry.result.status is RunStatus.FAILED
    error = RunFailedError(entry.result) if failed else None
    return of_outcome(RunOutcome(request, None if failed else entry.result, error))


def _record(
    request: RunRequest,
    known: Mapping[str, object],
    status: str,
    error: DPAError | None,
) -> dict[str, object]:
    record: dict[str, object] = {
        "key": request.key,
        **dict.fromkeys(COLUMNS[1:]),
        **known,
        "workflow_id": request.workflow_id,
        "status": status,
    }
    if error is not None:
        record["error_type"] = type(error).__name__
        record["error"] = str(error)
    return record
