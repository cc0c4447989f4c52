"""What a worker does: find the run that the task started before, or start it.

stored   asked for        the platform says   then
nothing                                       it is started
a doubt                                       a person has to settle it
a run    the same         it goes on, or      it is waited for
                          cannot be read
                          SUCCEEDED           its outputs are given
                          FAILED              another one is started
a run    something else   it goes on          the try fails
                          it is over          another one is started
"""

from collections.abc import Mapping
from typing import Literal

from attrs import frozen

from dpa_async.client import DPAClient
from dpa_async.errors import (
    APIError,
    ConfigurationError,
    DPAError,
    JournalError,
    NotStartedError,
    SubmissionUncertainError,
    WorkflowBusyError,
)
from dpa_async.integrations.airflow.deadlines import seconds_left
from dpa_async.integrations.airflow.task_journal import TaskJournal
from dpa_async.models import NodeOutputs, RunRef, RunStatus, Submission
from dpa_async.run import Run
from dpa_async.runner import Runner
from dpa_async.verdicts import Verdict, uncertain_error, verdict

_REFUSALS = 5
"""Refusals in a row, of a workflow that the list shows idle, that mean "busy" still: so
many tasks may race each other. What is refused that often is so for another reason."""


@frozen(kw_only=True)
class Wanted:
    """What a task is to run.

    Attributes:
        workflow_id: Which workflow.
        params: Its parameters by name.
        key: The task's name, for whoever reads what is stored.
        deadline: Until when it may be started, in ISO form; None: no limit.
        retry_failed: Whether a run that ended in FAIL is followed by another.
        on_uncertain: What to do where an execute's answer is lost.
        validate: Whether the parameters' names are compared before.
        outputs: Whether outputs are wanted of a run that is over already.
        refusals: How often it was refused as busy, and the list did not say so.
    """

    workflow_id: str
    params: Mapping[str, object] | None
    key: str
    deadline: str | None = None
    retry_failed: bool = True
    on_uncertain: Literal["report", "rerun"] = "report"
    validate: bool = False
    outputs: bool = True
    refusals: int = 0

    def is_meant_by(self, submission: Submission) -> bool:
        """Tell whether an earlier try wanted the same, of whatever platform.

        Raises:
            ConfigurationError: The parameters cannot be sent.
        """
        try:
            digest = Submission.digest(self.params)
        except (ValueError, TypeError, RecursionError) as error:
            problem = str(error)
        else:
            then = (submission.workflow_id, submission.params_digest)
            return then == (self.workflow_id, digest)
        msg = f"workflow_params cannot be sent as JSON: {problem}"
        raise ConfigurationError(msg)


@frozen
class Begun:
    """A run that there is.

    Attributes:
        ref: Which one.
        again: Whether an earlier try had started it.
        outputs: Its outputs, where it has succeeded already.
        problem: What went wrong, without harm to the run.
    """

    ref: RunRef
    again: bool = False
    outputs: NodeOutputs | None = None
    problem: str | None = None


@frozen
class Busy:
    """The workflow runs for somebody else; nothing was started.

    Attributes:
        words: How that was seen.
        refusals: How often in a row it was refused and the list did not say so.
    """

    words: str
    refusals: int = 0


async def begin(
    client: DPAClient, journal: TaskJournal, wanted: Wanted
) -> Begun | Busy:
    """Give the run that an earlier try of the task started, or start it.

    Raises:
        NotStartedError: The deadline came first; nothing was started.
        SubmissionUncertainError: This or an earlier try's POST left, and its fate is
            not known.
        ConfigurationError: The earlier run is none of what is wanted now, and goes on;
            or nothing was started, for the reason that it gives.
        JournalError: The task's state store fails; nothing was started.
        DPAError: Nothing was started.
    """
    try:
        async with Runner(client, journal=journal) as runner:
            known = await _known(runner, journal, wanted)
            return known or await _started(runner, wanted)
    except SubmissionUncertainError as error:
        # A POST that is out at the deadline is finished while the runner is closed.
        entry, submission = journal.entry, error.submission
        if entry is not None:
            if entry.ref is None:
                raise
            return Begun(entry.ref)
    words = "the deadline came, and then the platform refused; nothing was started"
    raise NotStartedError(submission, words)


async def _known(runner: Runner, journal: TaskJournal, wanted: Wanted) -> Begun | None:
    """Give an earlier try's run; None: there is none, or one that is followed by more.

    Raises:
        SubmissionUncertainError: It is not known whether there is one.
        DPAError: As `_found` says.
    """
    entry = journal.entry
    if entry is None:
        return None
    then = entry.submission
    if entry.ref is not None:
        return await _found(runner.attach(entry.ref), then, journal, wanted)
    is_here = then.origin == runner.client.settings.base_url
    if not is_here or not wanted.is_meant_by(then):
        words = "an earlier try ended before it knew, and wanted something else"
        raise uncertain_error(then, words)
    return None  # the runner knows what to do about a doubt


async def _found(
    run: Run, then: Submission, journal: TaskJournal, wanted: Wanted
) -> Begun | None:
    """Give the run that an earlier try started; None: another one is to follow.

    Raises:
        ConfigurationError: It is none of what is wanted now, and goes on.
        DPAError: It is none of that, and cannot be looked at; or it succeeded, and its
            outputs cannot be read.
    """
    is_meant = wanted.is_meant_by(then)
    try:
        status = await run.status()
    except DPAError as error:
        if not is_meant:
            raise
        return Begun(run.ref, again=True, problem=str(error))  # who waits looks again
    if not is_meant and not status.ended:
        raise _other(then, run.ref)
    if not is_meant or (status is RunStatus.FAILED and wanted.retry_failed):
        journal.forget()
        return None
    if status is not RunStatus.SUCCEEDED:
        return Begun(run.ref, again=True)
    if not wanted.outputs:
        return Begun(run.ref, again=True, outputs=NodeOutputs(unread="not asked for"))
    return Begun(run.ref, again=True, outputs=(await run.result()).outputs)


async def _started(runner: Runner, wanted: Wanted) -> Begun | Busy:
    """Start it.

    Raises:
        DPAError: As `begin` says.
    """
    try:
        run = await runner.start(
            wanted.workflow_id,
            wanted.params,
            key=wanted.key,
            if_busy="fail",
            timeout=seconds_left(wanted.deadline),
            validate=wanted.validate,
            on_uncertain=wanted.on_uncertain,
        )
    except WorkflowBusyError as error:
        return Busy(str(error))
    except APIError as error:
        # Its list can be behind: what others have just started is not yet in it.
        codes = runner.client.settings.dialect.busy_codes
        is_maybe_busy = verdict(error, codes) is Verdict.BUSY
        if not is_maybe_busy or wanted.refusals >= _REFUSALS:
            raise
        return Busy(str(error), wanted.refusals + 1)
    except JournalError as error:
        if error.ref is None:
            raise
        return Begun(error.ref, problem=str(error))  # it runs: that must not be lost
    return Begun(run.ref)


def _other(submission: Submission, ref: RunRef) -> ConfigurationError:
    """Say that a run goes on that is none of what the task wants now."""
    words = (
        f"an earlier try started run {ref}, of workflow {submission.workflow_id!r} and "
        "with what the task's parameters were then; it still goes on. Wait until it is "
        "over and clear the task, and what it wants now is started; or, to start that "
        "beside it, delete the key 'dpa_async' in the task's state store first"
    )
    return ConfigurationError(words).about(submission=submission, ref=ref)
