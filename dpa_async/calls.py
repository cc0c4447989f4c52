"""`run_and_wait` and `run_many`: the two lines that most need."""

import asyncio
from collections.abc import AsyncIterable, Iterable, Mapping
from functools import partial

from dpa_async.batch import Batch, Requests
from dpa_async.checks import check_count, check_type, refuse
from dpa_async.client import DPAClient
from dpa_async.models import RunResult
from dpa_async.order import OnUncertain
from dpa_async.runner import Runner


async def run_and_wait(
    target: DPAClient | Runner,
    workflow_id: str,
    params: Mapping[str, object] | None = None,
    *,
    timeout: float | None = None,
    check: bool = True,
    key: str | None = None,
    validate: bool = False,
    on_uncertain: OnUncertain = "report",
    outputs: bool = True,
) -> RunResult:
    """Run a workflow, wait for its end and give its outputs.

    Rests on interfaces 3, 4 and 7. If the caller is cancelled the run goes on: the
    platform has no cancel.

    Args:
        target: A client, whose one default runner is used, or a runner.
        workflow_id: Which workflow.
        params: Its parameters by name.
        timeout: Seconds for queueing, submission and waiting together; None: no limit.
        check: Whether a run that ended in FAIL raises.
        key: The caller's own id of this run; with a journal it is run once for good.
        validate: Whether the parameters' names are checked before it is executed.
        on_uncertain: What to do where an execute's answer is lost: see `Runner.start`.
        outputs: Whether outputs are read when it ends.

    Raises:
        ConfigurationError: Nothing was sent: an argument cannot be right.
        NotStartedError: The deadline came first; nothing was started.
        SubmissionUncertainError: A run may have been started.
        JournalError: The journal cannot be written or read; `ref` names a run that
            goes on all the same.
        SubmissionError: The runner was closed first; nothing was started.
        APIError: The platform refused; nothing was started.
        TransportError: The platform cannot be reached; nothing was started.
        UnexpectedResponseError: Another workflow was started, see `ref`; or the request
            was turned away.
        RunFailedError: It failed, and `check` is set; `.result` has its outputs.
        RunTimeoutError: It is still running; `.ref` can be attached to.
        RunUnreachableError: The platform was silent for `max_silence` seconds.
        RunSuspendedError: It is suspended, and the policy says to raise.
        OutputsUnavailableError: It succeeded, its outputs could not be read.
    """
    clock = asyncio.get_running_loop().time
    began = clock()
    run = await runner_of(target).start(
        workflow_id,
        params,
        key=key,
        timeout=timeout,
        validate=validate,
        outputs=outputs,
        on_uncertain=on_uncertain,
    )
    if timeout is not None:
        timeout = max(0.0, timeout - (clock() - began))
    return await run.result(timeout=timeout, check=check)


def run_many(
    target: DPAClient | Runner,
    requests: Requests,
    *,
    concurrency: int = 100,
    ordered: bool = False,
    fail_fast: bool = False,
    retry_failed: bool = False,
) -> Batch:
    """Run many workflows at once; gives their outcomes as they end.

        async with run_many(client, requests) as batch:
            async for outcome in batch:
                ...

    An outcome is yielded for each request, and never raised. `concurrency` counts runs
    on the platform; a request that waits for its workflow holds no place. The source is
    read as places become free, at most four times the concurrency ahead: a source of a
    million requests takes no more memory than one of a thousand, apart from the keys,
    which are kept to see that none comes twice. A request that cannot be right as it is
    (its parameters are no JSON, its key is journaled for another request) leaves its
    key free for a corrected one; one that the platform refused does not, in this batch.

    With a journal it can be called again after a crash, with the same requests: it
    yields again what ended, attaches to what runs, resolves or reports what is
    uncertain, and starts what never left. What has no key is always started.

    Args:
        target: A client, whose one default runner is used, or a runner.
        requests: What to run, plain or async iterable; read only as needed.
        concurrency: How many runs go on at once, 1 or more.
        ordered: Whether outcomes come in the order of the requests. One slow run then
            holds back those behind it, and in the end the reading of the source.
        fail_fast: Whether nothing more is started from the first outcome with an error
            on. What runs is waited for; what was not started, also what is left in a
            plain source, comes with a `NotStartedError`. An async source is not read
            any further.
        retry_failed: Whether requests that are journaled as failed are run again; else
            their failure is yielded again.

    Raises:
        ConfigurationError: `concurrency` is below 1, or `target` is neither.
    """
    check_count("concurrency", concurrency)
    check_type("requests", requests, Iterable | AsyncIterable)
    check_type("target", target, DPAClient | Runner)
    return Batch(
        partial(runner_of, target),
        requests,
        concurrency=concurrency,
        ordered=ordered,
        fail_fast=fail_fast,
        retry_failed=retry_failed,
    )


def runner_of(target: object) -> Runner:
    """Give the runner itself, or the one default runner of a client.

    Raises:
        ConfigurationError: It is neither; or the client is closed.
    """
    if isinstance(target, Runner):
        return target
    if not isinstance(target, DPAClient):
        refuse("target", f"is {type(target).__name__}: give a DPAClient or a Runner")
    return target.companion(Runner)
