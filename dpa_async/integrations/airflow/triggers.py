"""What runs in a triggerer: waiting for runs, and for workflows to be free."""

# Of Airflow's constructors that have no types, mypy wants to hear, pyright does not.
# pyright: reportUnnecessaryTypeIgnoreComment=false

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

from airflow.triggers.base import (
    BaseTrigger,
    TaskFailedEvent,
    TaskSkippedEvent,
    TaskSuccessEvent,
    TriggerEvent,
)
from pydantic import JsonValue
from typing_extensions import override

from dpa_async.errors import DPAError, RunFailedError
from dpa_async.integrations.airflow.hook import DEFAULT_CONNECTION, DPAHook
from dpa_async.integrations.airflow.together import together
from dpa_async.models import NodeOutputs, RunResult, RunStatus

_ONE_LOOK = 10.0
"""Seconds that a trigger has at the least: a triggerer that was down past the deadline
still sees that the run is over."""

_SETTLED = 5.0
"""Seconds from a trigger's begin until it sends its task back to a worker: sooner, the
executor can take the task for the one that has just let go, and fail it."""


def seconds_left(deadline: str | None) -> float | None:
    """Give the seconds until a deadline in ISO form, at least those of one look.

    By the wall clock: the deadline was set by another machine.
    """
    if deadline is None:
        return None
    left = datetime.fromisoformat(deadline) - datetime.now(UTC)
    return max(left.total_seconds(), _ONE_LOOK)


def xcom_of(outputs: NodeOutputs) -> dict[str, str | None]:
    """Give outputs by their nodes' names; of nodes that share a name, the first."""
    return {node.node_name: outputs[node.node_name] for node in outputs}


class DPARunTrigger(BaseTrigger):
    """Waits for a run's end and ends its task with it: no worker is asked again.

    All of one triggerer and connection share a client and a runner. A trigger that is
    begun again, in another triggerer after the first was killed, waits for the same
    run.

    Args:
        ref: The run, as `str(RunRef)`.
        dpa_conn_id: The connection.
        deadline: Until when to wait, in ISO form with a zone; None: no limit.
        push_outputs: Whether the run's outputs become the task's XCom.
        soft_fail: Whether a task whose run fails is skipped.
    """

    def __init__(
        self,
        ref: str,
        dpa_conn_id: str = DEFAULT_CONNECTION,
        deadline: str | None = None,
        push_outputs: bool = True,
        soft_fail: bool = False,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # Airflow's own
        self.ref = ref
        self.dpa_conn_id = dpa_conn_id
        self.deadline = deadline
        self.push_outputs = push_outputs
        self.soft_fail = soft_fail

    @override
    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Give what makes this trigger again; no secret is in it."""
        arguments = {
            "ref": self.ref,
            "dpa_conn_id": self.dpa_conn_id,
            "deadline": self.deadline,
            "push_outputs": self.push_outputs,
            "soft_fail": self.soft_fail,
        }
        return f"{__name__}.DPARunTrigger", arguments

    @override
    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, and give the one event that ends the task.

        Raises:
            AirflowNotFoundException: There is no such connection.
        """
        try:
            result = await self._result()
        except DPAError as error:
            yield self._failed(error)
            return
        if result.status is RunStatus.FAILED:
            yield self._failed(RunFailedError(result))
            return
        self.log.info("run %s succeeded, after %d looks", self.ref, result.looks)
        xcoms: dict[str, JsonValue] = {"return_value": {**xcom_of(result.outputs)}}
        yield TaskSuccessEvent(xcoms=xcoms if self.push_outputs else None)

    @override
    async def on_kill(self) -> None:
        """Say that the run goes on: the platform has no cancel; raises nothing."""
        self.log.warning(
            "the task was killed; its run goes on on the platform: %s", self.ref
        )

    async def _result(self) -> RunResult:
        platform = await DPAHook(self.dpa_conn_id).platform()
        async with together(self.dpa_conn_id, platform.settings) as shared:
            run = shared.runner.attach(self.ref)
            timeout = seconds_left(self.deadline)
            return await run.result(timeout=timeout, check=False)

    def _failed(self, error: DPAError) -> TriggerEvent:
        self.log.error("%s", error)
        return TaskSkippedEvent() if self.soft_fail else TaskFailedEvent()


class DPAWorkflowFreeTrigger(BaseTrigger):
    """Waits until a workflow is free, then sends its task back to a worker.

    Args:
        workflow_id: Which workflow.
        dpa_conn_id: The connection.
        deadline: Until when to wait, in ISO form with a zone; None: no limit.
    """

    def __init__(
        self,
        workflow_id: str,
        dpa_conn_id: str = DEFAULT_CONNECTION,
        deadline: str | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # Airflow's own
        self.workflow_id = workflow_id
        self.dpa_conn_id = dpa_conn_id
        self.deadline = deadline

    @override
    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Give what makes this trigger again; no secret is in it."""
        arguments = {
            "workflow_id": self.workflow_id,
            "dpa_conn_id": self.dpa_conn_id,
            "deadline": self.deadline,
        }
        return f"{__name__}.DPAWorkflowFreeTrigger", arguments

    @override
    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait; gives the deadline back as the event, or fails the task at it.

        Raises:
            AirflowNotFoundException: There is no such connection.
        """
        loop = asyncio.get_running_loop()
        begun_at = loop.time()
        try:
            async with asyncio.timeout(seconds_left(self.deadline)):
                await self._until_free()
        except (DPAError, TimeoutError) as error:
            words = str(error) or "its deadline came"
            self.log.error(  # noqa: TRY400 - the words say all; the trace is ours
                "workflow %r is busy, nothing was started: %s", self.workflow_id, words
            )
            yield TaskFailedEvent()
            return
        await asyncio.sleep(max(0.0, begun_at + _SETTLED - loop.time()))
        yield TriggerEvent(  # type: ignore[no-untyped-call] # Airflow's own
            {"deadline": self.deadline}
        )

    async def _until_free(self) -> None:
        platform = await DPAHook(self.dpa_conn_id).platform()
        async with together(self.dpa_conn_id, platform.settings) as shared:
            _ = await shared.listing.until_idle(self.workflow_id)
