"""What a worker does: find the run that the task started before, or start it."""

from collections.abc import Mapping
from typing import Literal

from attrs import frozen

from dpa_async.client import DPAClient
from dpa_async.integrations.airflow.task_journal import TaskJournal
from dpa_async.models import RunRef, RunResult, RunStatus
from dpa_async.runner import Runner


@frozen(kw_only=True)
class Wanted:
    """What a task is to run.

    Attributes:
        workflow_id: Which workflow.
        params: Its parameters by name.
        key: The task's name, for whoever reads what is stored.
        retry_failed: Whether a run that ended in FAIL is followed by another.
        on_uncertain: What to do where an execute's answer is lost.
        validate: Whether the parameters' names are compared before.
    """

    workflow_id: str
    params: Mapping[str, object] | None
    key: str
    retry_failed: bool = True
    on_uncertain: Literal["report", "rerun"] = "report"
    validate: bool = False


@frozen
class Begun:
    """A run that there is.

    Attributes:
        ref: Which one.
        again: Whether an earlier try had started it.
        result: How it ended, where it is over already.
    """

    ref: RunRef
    again: bool = False
    result: RunResult | None = None


async def begin(client: DPAClient, journal: TaskJournal, wanted: Wanted) -> Begun:
    """Give the run that an earlier try of the task started, or start it.

    Raises:
        WorkflowBusyError: It is busy; nothing was started.
        SubmissionUncertainError: This or an earlier try's POST left, and its fate is
            not known.
        JournalError: The task's state store fails. With `ref`: the run goes on.
        DPAError: Nothing was started, or the earlier run cannot be looked at.
    """
    async with Runner(client, journal=journal) as runner:
        ref = None if journal.entry is None else journal.entry.ref
        if ref is not None:
            run = runner.attach(ref)
            status = await run.status()
            if status is RunStatus.SUCCEEDED:
                return Begun(ref, again=True, result=await run.result())
            if status is not RunStatus.FAILED or not wanted.retry_failed:
                return Begun(ref, again=True)
            journal.forget()  # over, and not well: another one is what a retry is for
        run = await runner.start(
            wanted.workflow_id,
            wanted.params,
            key=wanted.key,
            if_busy="fail",
            validate=wanted.validate,
            on_uncertain=wanted.on_uncertain,
        )
        return Begun(run.ref)
