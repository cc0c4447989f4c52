"""What runs in a triggerer: waiting for runs, and for workflows to be free."""

# Of Airflow's constructors that have no types, mypy wants to hear, pyright does not.
# pyright: reportUnnecessaryTypeIgnoreComment=false

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from airflow.sdk.exceptions import AirflowNotFoundException
from airflow.triggers.base import (
    BaseTrigger,
    TaskFailedEvent,
    TaskSkippedEvent,
    TriggerEvent,
)
from typing_extensions import TypedDict, override

from dpa_async.errors import DPAError, OutputsUnavailableError
from dpa_async.integrations.airflow.deadlines import seconds_left
from dpa_async.integrations.airflow.hook import DEFAULT_CONNECTION, DPAHook, Platform
from dpa_async.integrations.airflow.together import together
from dpa_async.models import NodeOutputs, RunRef

_ONE_LOOK = 10.0
"""Seconds that a trigger has at the least: a triggerer that was down past the deadline
still sees that the run is over."""

_SETTLED = 5.0
"""Seconds from a trigger's begin until it sends its task back to a worker: sooner, the
executor can take the task for the one that has just let go, and fail it."""

_PAUSES = (1.0, 3.0, 9.0)
"""Seconds before a connection is asked for again."""


class Over(TypedDict):
    """What a trigger tells of a run that succeeded.

    Attributes:
        ref: Which one, as text.
        url: The page where people see it.
        outputs: Its outputs by their nodes' names; empty where they are not wanted.
    """

    ref: str
    url: str
    outputs: dict[str, str | None]


class Free(TypedDict):
    """What a trigger tells of a workflow that is free.

    Attributes:
        deadline: The task's, as it was given.
        refusals: How often in a row it was refused while it was shown as free.
    """

    deadline: str | None
    refusals: int


def xcom_of(outputs: NodeOutputs) -> dict[str, str | None]:
    """Give outputs by their nodes' names; of nodes that share a name, the first."""
    return {node.node_name: outputs[node.node_name] for node in outputs}


class DPARunTrigger(BaseTrigger):
    """Waits for a run's end, then sends its task back to a worker, with the outputs.

    A worker, though a trigger could end the task by itself: what Airflow stores then is
    not a mapping but its JSON as text, which nothing can be expanded over, and the
    task's outlets are left out. A run that fails ends its task here.

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
        """Wait; gives an `Over` as the event, or fails the task.

        Raises:
            AirflowNotFoundException: There is no such connection.
        """
        begun_at = asyncio.get_running_loop().time()
        try:
            platform = await _platform(self.dpa_conn_id)
            outputs = await self._outputs(platform)
        except DPAError as error:
            self.log.error("%s", error)  # noqa: TRY400 - the words say all
            yield TaskSkippedEvent() if self.soft_fail else TaskFailedEvent()
            return
        await _settle(begun_at)
        url = platform.run_url(RunRef.parse(self.ref))
        yield _event(Over(ref=self.ref, url=url, outputs=xcom_of(outputs)))

    @override
    async def on_kill(self) -> None:
        """Say that the run goes on: the platform has no cancel; raises nothing."""
        self.log.warning(
            "the task was killed; its run goes on on the platform: %s", self.ref
        )

    async def _outputs(self, platform: Platform) -> NodeOutputs:
        """Wait for the run's end.

        Raises:
            DPAError: It failed, or goes on at the deadline, or nobody knows.
        """
        async with together(self.dpa_conn_id, platform.settings) as shared:
            run = shared.runner.attach(self.ref)
            timeout = seconds_left(self.deadline, least=_ONE_LOOK)
            try:
                result = await run.result(timeout=timeout)
            except OutputsUnavailableError as error:
                if self.push_outputs:
                    raise
                return NodeOutputs(unread=str(error))
        self.log.info("run %s succeeded, after %d looks", self.ref, result.looks)
        return result.outputs if self.push_outputs else NodeOutputs()


class DPAWorkflowFreeTrigger(BaseTrigger):
    """Waits until a workflow is free, then sends its task back to a worker.

    Args:
        workflow_id: Which workflow.
        dpa_conn_id: The connection.
        deadline: Until when to wait, in ISO form with a zone; None: no limit.
        refusals: How often in a row it was refused while it was shown as free.
    """

    def __init__(
        self,
        workflow_id: str,
        dpa_conn_id: str = DEFAULT_CONNECTION,
        deadline: str | None = None,
        refusals: int = 0,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # Airflow's own
        self.workflow_id = workflow_id
        self.dpa_conn_id = dpa_conn_id
        self.deadline = deadline
        self.refusals = refusals

    @override
    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Give what makes this trigger again; no secret is in it."""
        arguments = {
            "workflow_id": self.workflow_id,
            "dpa_conn_id": self.dpa_conn_id,
            "deadline": self.deadline,
            "refusals": self.refusals,
        }
        return f"{__name__}.DPAWorkflowFreeTrigger", arguments

    @override
    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait; gives a `Free` as the event, or fails the task at the deadline.

        Raises:
            AirflowNotFoundException: There is no such connection.
        """
        begun_at = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(seconds_left(self.deadline, least=_ONE_LOOK)):
                # First of all: meanwhile a list that is behind catches up.
                await _settle(begun_at)
                was_busy = await self._until_free()
        except (DPAError, TimeoutError) as error:
            words = str(error) or "its deadline came"
            self.log.error(  # noqa: TRY400 - the words say all; the trace is ours
                "workflow %r is busy, nothing was started: %s", self.workflow_id, words
            )
            yield TaskFailedEvent()
            return
        refusals = 0 if was_busy else self.refusals
        yield _event(Free(deadline=self.deadline, refusals=refusals))

    async def _until_free(self) -> bool:
        """Wait until it is free; tells whether it was ever busy."""
        platform = await _platform(self.dpa_conn_id)
        async with together(self.dpa_conn_id, platform.settings) as shared:
            return await shared.listing.until_idle(self.workflow_id)


async def _platform(dpa_conn_id: str) -> Platform:
    """Read a connection.

    Airflow tells nobody whether there is none or its own server failed to answer; in
    the latter case a task that has its run would be lost for a moment's trouble.

    Raises:
        ConfigurationError: A field is missing, or cannot be right.
        AirflowNotFoundException: There is no such connection.
    """
    hook = DPAHook(dpa_conn_id)
    for pause in _PAUSES:
        try:
            return await hook.platform()
        except AirflowNotFoundException:
            await asyncio.sleep(pause)
    return await hook.platform()


async def _settle(begun_at: float) -> None:
    """Wait until a worker that has let go is forgotten."""
    passed = asyncio.get_running_loop().time() - begun_at
    await asyncio.sleep(max(0.0, _SETTLED - passed))


def _event(payload: Over | Free) -> TriggerEvent:
    return TriggerEvent(payload)  # type: ignore[no-untyped-call] # Airflow's own
