"""What a report tells of a run, from the journal or from an outcome."""

import enum
from datetime import datetime
from typing import Self

from attrs import field, frozen

from dpa_async.batch import RunOutcome
from dpa_async.errors import (
    DPAError,
    RunError,
    RunFailedError,
    SubmissionUncertainError,
)
from dpa_async.journal import Entry, EntryState
from dpa_async.models import NodeOutputs, RunRef, RunResult, RunStatus, Submission


class RunState(enum.Enum):
    """How far a run has come, as far as it is known."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    UNCERTAIN = "uncertain"
    """Its execute left, and nothing says whether it started."""
    RUNNING = "unfinished"
    """It started, and its end was not seen."""
    INTENDED = "intended"
    """Its execute was about to leave when it was last heard of."""
    NOT_STARTED = "not started"
    """It was refused, or given up before its execute left."""


@frozen(kw_only=True)
class ReportedRun:
    """One line of a report; `of_entry` and `of_outcome` make them.

    Attributes:
        workflow_id: Which workflow.
        state: How far it has come.
        key: The caller's key, where there is one.
        ref: The run, where one is known to exist.
        sent_at: When its execute left, where that is known.
        submitted_at: When its execute was answered, where that is known.
        ended_at: When its end was seen.
        looks: Status reads that were spent on it, where that is known.
        lag: Seconds from its end to the look that saw it, at most.
        outputs: What its nodes gave; only those of a failed run are shown.
        words: What is known of it besides, such as an error's words.
    """

    workflow_id: str
    state: RunState
    key: str | None = None
    ref: RunRef | None = None
    origin: str | None = None
    sent_at: datetime | None = None
    submitted_at: datetime | None = None
    ended_at: datetime | None = None
    looks: int | None = None
    lag: float | None = None
    outputs: NodeOutputs | None = field(default=None, repr=False)
    words: tuple[str, ...] = ()

    @classmethod
    def of_entry(cls, entry: Entry, *, lag: float | None = None) -> Self:
        """Tell of what is journaled of a key.

        Args:
            entry: From `dpa_async.journal.read_entries`, say.
            lag: From `Lags`, where there was one.
        """
        meant = entry.submission
        if entry.result is not None:
            return cls._ended(entry.result, meant.key, lag)
        return cls(
            workflow_id=meant.workflow_id,
            state=_UNFINISHED[entry.state],
            key=meant.key,
            ref=entry.ref,
            origin=meant.origin,
            sent_at=meant.sent_at,
            submitted_at=entry.submitted_at,
            words=meant.seen,
        )

    @classmethod
    def of_outcome(cls, outcome: RunOutcome, *, lag: float | None = None) -> Self:
        """Tell of what a batch gave.

        Args:
            outcome: From `run_many`.
            lag: From `Lags`, where there was one.
        """
        key, error = outcome.request.key, outcome.error
        if outcome.result is not None:
            return cls._ended(outcome.result, key, lag)
        if isinstance(error, RunFailedError):
            return cls._ended(error.result, key, lag)
        ref = None if error is None else error.ref
        meant = None if error is None else error.submission
        return cls(
            workflow_id=outcome.request.workflow_id,
            state=_state_of(error),
            key=key,
            ref=ref,
            origin=_origin(ref, meant),
            sent_at=None if meant is None else meant.sent_at,
            words=() if error is None else (str(error),),
        )

    @classmethod
    def _ended(cls, result: RunResult, key: str | None, lag: float | None) -> Self:
        failed = result.status is RunStatus.FAILED
        return cls(
            workflow_id=result.ref.workflow_id,
            state=RunState.FAILED if failed else RunState.SUCCEEDED,
            key=key,
            ref=result.ref,
            origin=result.ref.origin,
            submitted_at=result.submitted_at,
            ended_at=result.ended_at,
            looks=result.looks,
            lag=lag,
            outputs=result.outputs if failed else None,
        )


_UNFINISHED = {
    EntryState.INTENDED: RunState.INTENDED,
    EntryState.UNCERTAIN: RunState.UNCERTAIN,
    EntryState.STARTED: RunState.RUNNING,
    EntryState.FINISHED: RunState.RUNNING,  # without a result: its end is not told
}


def _state_of(error: DPAError | None) -> RunState:
    match error:
        case SubmissionUncertainError():
            return RunState.UNCERTAIN
        case RunError():
            return RunState.RUNNING
        case DPAError() if error.ref is not None:
            return RunState.RUNNING
        case _:
            return RunState.NOT_STARTED


def _origin(ref: RunRef | None, meant: Submission | None) -> str | None:
    if ref is not None:
        return ref.origin
    return None if meant is None else meant.origin
