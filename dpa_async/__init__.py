"""An asyncio client for the DPA workflow platform.

async with DPAClient.from_env() as client:
    result = await run_and_wait(client, "mddaebe8b163", {"DPA_MODEL_WORKDIR": "/"})
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dpa_async.public import *  # noqa: F403 - its names are listed below
else:

    def __getattr__(name: str) -> object:
        """Load the library at the first use of a name: `dpa --help` needs none of it.

        Raises:
            AttributeError: There is no such name.
        """
        if name.startswith("__"):  # asked for by the interpreter and its tools
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        public = import_module("dpa_async.public")  # `from dpa_async` would ask here
        globals().update((known, getattr(public, known)) for known in __all__)
        if name not in globals():
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return globals()[name]

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})


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
