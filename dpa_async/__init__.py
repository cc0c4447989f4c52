"""An asyncio client for the DPA workflow platform.

async with DPAClient.from_env() as client:
    result = await run_and_wait(client, "mddaebe8b163", {"DPA_MODEL_WORKDIR": "/"})
"""

from dpa_async.auth import TokenManager, TokenProvider
from dpa_async.batch import Batch, RunOutcome
from dpa_async.calls import run_and_wait, run_many
from dpa_async.client import DPAClient
from dpa_async.errors import (
    APIError,
    AuthenticationError,
    BusinessError,
    ConfigurationError,
    DPAError,
    EndpointNotFoundError,
    InvalidParameterError,
    JournalError,
    NotStartedError,
    OperationFailedError,
    OutputsUnavailableError,
    RunError,
    RunFailedError,
    RunSuspendedError,
    RunTimeoutError,
    RunUnreachableError,
    ServerError,
    SubmissionError,
    SubmissionUncertainError,
    TransportError,
    UnexpectedResponseError,
    UserNotFoundError,
    WorkflowBusyError,
)
from dpa_async.events import RunEvent
from dpa_async.models import (
    AccessToken,
    Execution,
    InputVariable,
    NodeOutput,
    NodeOutputs,
    RunRef,
    RunRequest,
    RunResult,
    RunStatus,
    Submission,
    Workflow,
    WorkflowStatus,
)
from dpa_async.run import Run
from dpa_async.runner import Runner
from dpa_async.settings import Dialect, Limits, Settings
from dpa_async.transport import Backend
from dpa_async.waiting import WaitPolicy

__all__ = [
    "APIError",
    "AccessToken",
    "AuthenticationError",
    "Backend",
    "Batch",
    "BusinessError",
    "ConfigurationError",
    "DPAClient",
    "DPAError",
    "Dialect",
    "EndpointNotFoundError",
    "Execution",
    "InputVariable",
    "InvalidParameterError",
    "JournalError",
    "Limits",
    "NodeOutput",
    "NodeOutputs",
    "NotStartedError",
    "OperationFailedError",
    "OutputsUnavailableError",
    "Run",
    "RunError",
    "RunEvent",
    "RunFailedError",
    "RunOutcome",
    "RunRef",
    "RunRequest",
    "RunResult",
    "RunStatus",
    "RunSuspendedError",
    "RunTimeoutError",
    "RunUnreachableError",
    "Runner",
    "ServerError",
    "Settings",
    "Submission",
    "SubmissionError",
    "SubmissionUncertainError",
    "TokenManager",
    "TokenProvider",
    "TransportError",
    "UnexpectedResponseError",
    "UserNotFoundError",
    "WaitPolicy",
    "Workflow",
    "WorkflowBusyError",
    "WorkflowStatus",
    "run_and_wait",
    "run_many",
]
