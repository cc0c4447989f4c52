"""Tasks: one that runs a workflow, and one that waits for a run; both let go at once.

worker     execute: what the state store has, or start ──► deferred
triggerer  the run's end ──► the task fails, or
worker     when_over: the outputs ──► the task succeeds
"""

# Airflow's constructors take dicts of it does not say what, and its context is whole
# where a task runs, whatever its type says.
# pyright: reportUnknownMemberType=false, reportTypedDictNotRequiredAccess=false

import asyncio
from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any, ClassVar, Literal, NoReturn

from airflow.sdk import (
    BaseOperator,
    BaseOperatorLink,
    BaseSensorOperator,
    Context,
)
from airflow.sdk.exceptions import AirflowFailException
from airflow.sdk.execution_time.context import NEVER_EXPIRE, TaskStateStoreAccessor
from airflow.sdk.types import TaskInstanceKey
from typing_extensions import override

from dpa_async.checks import check_choice
from dpa_async.client import DPAClient
from dpa_async.errors import SubmissionUncertainError, UnexpectedResponseError
from dpa_async.integrations.airflow.beginning import Begun, Busy, Wanted, begin
from dpa_async.integrations.airflow.deadlines import check_deadline, deadline_from
from dpa_async.integrations.airflow.hook import DEFAULT_CONNECTION, DPAHook
from dpa_async.integrations.airflow.task_journal import STORED_AS, TaskJournal
from dpa_async.integrations.airflow.triggers import (
    DPARunTrigger,
    DPAWorkflowFreeTrigger,
    Free,
    Over,
    xcom_of,
)
from dpa_async.models import RunRef

RUN_XCOM = "dpa_run"
"""The XCom with the run's reference, from when it is started."""


class DPARunLink(BaseOperatorLink):
    """Leads from a task to its run on the platform."""

    @property
    @override
    def name(self) -> str:
        """What the button says."""
        return "DPA run"

    @override
    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """Give the address that the connection names; nothing before there is a run."""
        del ti_key  # called in the worker, when it lets go, with what it started
        return getattr(operator, "run_url", "")


class DPARunWorkflowOperator(BaseOperator):
    """Runs a workflow once, and gives its outputs as XCom, by their nodes' names.

    The worker starts the run and lets go. A retry finds it in the task's state store:
    one that goes on is waited for, one that succeeded gives its outputs, and one that
    failed, or that was started with other parameters, is followed by another. Where it
    is not known whether an execute was carried out, the task fails and no retry sends
    it again.

    Args:
        workflow_id: Which workflow; templated.
        workflow_params: Its parameters by name; templated.
        dpa_conn_id: The connection; templated.
        deadline: Seconds from the try's begin until it fails, wherever it waits; what
            was started goes on, and a retry takes it up. None: no limit.
        retry_failed: Whether a retry starts another run where the run ended in FAIL.
        on_uncertain: What to do where an execute's answer is lost: "report" fails the
            task, "rerun", for a workflow that may run twice without harm, executes
            again.
        validate: Whether the parameters' names are compared with those that the
            workflow takes.
        **kwargs: Those of every operator.

    Raises:
        ConfigurationError: `deadline` or `on_uncertain` cannot be right.
    """

    template_fields: Collection[str] = ("workflow_id", "workflow_params", "dpa_conn_id")
    template_fields_renderers: ClassVar[dict[str, str]] = {"workflow_params": "json"}
    operator_extra_links = (DPARunLink(),)
    ui_color = "#d6efe9"

    def __init__(
        self,
        *,
        workflow_id: str,
        workflow_params: Mapping[str, object] | None = None,
        dpa_conn_id: str = DEFAULT_CONNECTION,
        deadline: float | timedelta | None = None,
        retry_failed: bool = True,
        on_uncertain: Literal["report", "rerun"] = "report",
        validate: bool = False,
        **kwargs: Any,  # noqa: ANN401 - BaseOperator's own
    ) -> None:
        super().__init__(**kwargs)
        check_deadline("deadline", deadline)
        check_choice("on_uncertain", on_uncertain, "report", "rerun")
        self.workflow_id = workflow_id
        self.workflow_params = workflow_params
        self.dpa_conn_id = dpa_conn_id
        self.deadline = deadline
        self.retry_failed = retry_failed
        self.on_uncertain: Literal["report", "rerun"] = on_uncertain
        self.validate = validate

    @override
    def execute(self, context: Context) -> dict[str, str | None] | None:
        """Start the run, or find the one of an earlier try; then defer.

        Raises:
            TaskDeferred: Always, but where an earlier try's run has succeeded.
            AirflowFailException: It is not known whether there is a run; or the URL of
                another workflow was executed. No retry follows.
            DPAError: Nothing was started; or an earlier try's run is another one than
                what is wanted now, and goes on.
        """
        return self._begin(context, deadline_from(self.deadline))

    def when_free(self, context: Context, event: Free) -> dict[str, str | None] | None:
        """Go on as `execute` does, now that the workflow was seen free.

        Raises:
            TaskDeferred: It was started, or is busy again.
            AirflowFailException: As `execute` raises it; so is `DPAError` raised.
        """
        return self._begin(context, event["deadline"], event["refusals"])

    def when_over(self, context: Context, event: Over) -> dict[str, str | None]:
        """Give the outputs of the run, which has succeeded; raises nothing."""
        del context
        self.run_url = event["url"]
        self.log.info("run %s succeeded", event["ref"])
        return event["outputs"]

    @override
    def on_kill(self) -> None:
        """Say that the run goes on: the platform has no cancel."""
        journal: TaskJournal | None = getattr(self, "_journal", None)
        if journal is None:  # the store was not read yet, or the run is over
            return
        if journal.entry is None:
            self.log.warning("the task was killed; nothing was started")
        elif journal.entry.ref is None:
            words = "the task was killed; its run may have been started: %s"
            self.log.warning(words, journal.entry.submission)
        else:
            words = "the task was killed; its run goes on on the platform: %s"
            self.log.warning(words, journal.entry.ref)

    def _begin(
        self, context: Context, deadline: str | None, refusals: int = 0
    ) -> dict[str, str | None] | None:
        journal = self._journal = TaskJournal(_Lasting(context["task_state_store"]))
        wanted = self._wanted(context, deadline, refusals)
        try:
            begun = asyncio.run(self._begun(journal, wanted))
        except SubmissionUncertainError as error:
            raise AirflowFailException(f"{error}; {_settle(error)}") from None
        except UnexpectedResponseError as error:
            if error.ref is None:
                raise
            # A run of another workflow: each retry would start one more.
            raise AirflowFailException(str(error)) from None
        if isinstance(begun, Busy):
            self.log.info("%s; waiting until it is free", begun.words)
            self._wait_until_free(deadline, begun.refusals)
        self.log.info("%s run %s", "found" if begun.again else "started", begun.ref)
        if begun.problem is not None:
            self.log.warning("its run goes on, in spite of this: %s", begun.problem)
        context["ti"].xcom_push(RUN_XCOM, str(begun.ref))
        if begun.outputs is not None:
            return xcom_of(begun.outputs)
        trigger = DPARunTrigger(
            str(begun.ref),
            self.dpa_conn_id,
            deadline,
            push_outputs=bool(self.do_xcom_push),
        )
        return self.defer(trigger=trigger, method_name="when_over")

    def _wait_until_free(self, deadline: str | None, refusals: int) -> NoReturn:
        trigger = DPAWorkflowFreeTrigger(
            self.workflow_id, self.dpa_conn_id, deadline, refusals
        )
        self.defer(trigger=trigger, method_name="when_free")

    def _wanted(self, context: Context, deadline: str | None, refusals: int) -> Wanted:
        ti = context["ti"]
        index = "" if ti.map_index is None or ti.map_index < 0 else f"/{ti.map_index}"
        return Wanted(
            workflow_id=self.workflow_id,
            params=self.workflow_params,
            key=f"{ti.dag_id}/{ti.run_id}/{ti.task_id}{index}",
            deadline=deadline,
            retry_failed=self.retry_failed,
            on_uncertain=self.on_uncertain,
            validate=self.validate,
            outputs=bool(self.do_xcom_push),
            refusals=refusals,
        )

    async def _begun(self, journal: TaskJournal, wanted: Wanted) -> Begun | Busy:
        platform = await DPAHook(self.dpa_conn_id).platform()
        async with DPAClient(platform.settings) as client:
            begun = await begin(client, journal, wanted)
        if isinstance(begun, Begun):
            self.run_url = platform.run_url(begun.ref)
        return begun


def _settle(error: SubmissionUncertainError) -> str:
    """Say what a person has to do about a doubt."""
    return (
        f"settle it in the task's state store, key {STORED_AS!r}: if it ran, add "
        '"run": "dpa-run:1:…" to the value; if it did not, delete the key; then clear '
        f"the task. It is about {error.submission}"
    )


class _Lasting:
    """The task's state store, for good: what was started must not be forgotten.

    Airflow forgets it with the DAG run. It answers when it has written; that blocks
    the loop of this one task, in which there is nothing else.
    """

    def __init__(self, store: TaskStateStoreAccessor) -> None:
        self._store = store

    def get(self, key: str) -> object:
        return self._store.get(key)

    def set(self, key: str, value: Mapping[str, str | bool]) -> None:
        self._store.set(key, {**value}, retention=NEVER_EXPIRE)

    def delete(self, key: str) -> None:
        self._store.delete(key)


class DPARunSensor(BaseSensorOperator):
    """Waits for a run that somebody else started, and gives its outputs as XCom.

    The sensor's own `timeout` and `soft_fail` hold; it never pokes, so its other
    arguments mean nothing.

    Args:
        ref: The run, as `str(RunRef)`; templated.
        dpa_conn_id: The connection; templated.
        **kwargs: Those of every sensor.

    Raises:
        ConfigurationError: The timeout cannot be right.
    """

    template_fields: Collection[str] = ("ref", "dpa_conn_id")
    ui_color = "#d6efe9"

    def __init__(
        self,
        *,
        ref: str,
        dpa_conn_id: str = DEFAULT_CONNECTION,
        **kwargs: Any,  # noqa: ANN401 - BaseSensorOperator's own
    ) -> None:
        super().__init__(**kwargs)
        check_deadline("timeout", self.timeout)
        self.ref = ref
        self.dpa_conn_id = dpa_conn_id

    @override
    def execute(self, context: Context) -> NoReturn:
        """Defer until the run is over.

        Raises:
            TaskDeferred: Always.
            AirflowFailException: It is no reference of a run.
        """
        try:
            ref = str(RunRef.parse(self.ref))
        except ValueError as error:
            raise AirflowFailException(str(error)) from None
        trigger = DPARunTrigger(
            ref,
            self.dpa_conn_id,
            deadline_from(self.timeout),
            push_outputs=bool(self.do_xcom_push),
            soft_fail=self.soft_fail,
        )
        self.defer(trigger=trigger, method_name="when_over")

    def when_over(self, context: Context, event: Over) -> dict[str, str | None]:
        """Give the outputs of the run, which has succeeded; raises nothing."""
        del context
        self.log.info("run %s succeeded", event["ref"])
        return event["outputs"]
