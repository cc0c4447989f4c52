"""What an execute has done on the platform, by every way that it can end."""

import enum
from collections.abc import Collection

from dpa_async.errors import (
    APIError,
    DPAError,
    SubmissionUncertainError,
    TransportError,
    UnexpectedResponseError,
)
from dpa_async.models import Submission

_REFUSED_CODES = frozenset({400, 403, 404, 998, 999})


class Verdict(enum.Enum):
    """What an execute that raised has done on the platform."""

    NOT_SENT = "it did not reach the platform"
    REFUSED = "it was refused before anything ran"
    BUSY = "it was refused, maybe because the workflow is running"
    STARTED = "it started a run, though not the one that was meant"
    UNCERTAIN = "it may have started a run"


def verdict(error: DPAError, busy_codes: Collection[int]) -> Verdict:
    """Judge what an execute did by the error that it ended in.

    Args:
        error: What `DPAClient.execute` raised.
        busy_codes: The dialect's codes for a workflow that is running.
    """
    match error:
        case TransportError(operation="execute", request_sent=True):
            return Verdict.UNCERTAIN
        case UnexpectedResponseError(operation="execute"):
            return _of_foreign_answer(error)
        case APIError(operation="execute"):
            return _of_body_code(error, busy_codes)
        case _:  # not an answer to the execute, so that it never left
            return Verdict.NOT_SENT


def _of_foreign_answer(error: UnexpectedResponseError) -> Verdict:
    if error.ref is not None:
        return Verdict.STARTED
    turned_away = error.retry_after is not None
    return Verdict.REFUSED if turned_away else Verdict.UNCERTAIN


def _of_body_code(error: APIError, busy_codes: Collection[int]) -> Verdict:
    if error.code in busy_codes:
        return Verdict.BUSY
    return Verdict.REFUSED if error.code in _REFUSED_CODES else Verdict.UNCERTAIN


def uncertain_error(submission: Submission, seen: str) -> SubmissionUncertainError:
    """Make the error for an execute whose fate is not known."""
    return SubmissionUncertainError(
        submission,
        f"it is not known whether a run was started ({seen}); look at the workflow on "
        "the platform before you submit again",
    )
