"""Every error that the library raises: one root, each picklable with its fields.

    DPAError
    ├── ConfigurationError            nothing was sent
    ├── TransportError                no usable answer (.request_sent)
    ├── UnexpectedResponseError       an answer, but not one of the platform's
    ├── APIError                      the platform said no (.code, .message)
    │   ├── InvalidParameterError     400
    │   ├── AuthenticationError       403
    │   ├── EndpointNotFoundError     404
    │   ├── ServerError               500, 503
    │   ├── OperationFailedError      997
    │   ├── UserNotFoundError         998
    │   └── BusinessError             999
    ├── SubmissionError               about starting a run (.submission)
    │   ├── WorkflowBusyError         it is running already
    │   ├── NotStartedError           the deadline came before the POST
    │   └── SubmissionUncertainError  the POST left, its fate is not known
    ├── JournalError                  the journal could not be written or read
    └── RunError                      about a run that exists (.ref)
        ├── RunFailedError            it ended in FAIL (.result)
        ├── RunTimeoutError           it is still running
        ├── RunUnreachableError       the platform was silent for too long
        ├── RunSuspendedError         it hangs, and the policy says to raise
        └── OutputsUnavailableError   it succeeded, its outputs cannot be read

Whatever exists when something goes wrong travels with the error: `.ref` names the run,
`.submission` the execute that was meant. No error holds a secret, and none keeps a
foreign exception that could: what is known of the cause is in its words.
"""

from collections.abc import Mapping
from typing import Self, cast

from typing_extensions import override

from dpa_async.models import RunRef, RunResult, Submission


class DPAError(Exception):
    """The root: catch it to catch all that this library raises."""

    _ref: RunRef | None = None
    _submission: Submission | None = None

    @property
    def ref(self) -> RunRef | None:
        """The run that exists, where one is known to."""
        return self._ref

    @property
    def submission(self) -> Submission | None:
        """The execute that was meant, where there was one."""
        return self._submission

    @override
    def __reduce__(self) -> tuple[object, ...]:
        # The default rebuilds by `cls(*args)`, which loses keyword-only fields.
        return _rebuild, (type(self), self.args, self.__dict__)

    def about(
        self, *, ref: RunRef | None = None, submission: Submission | None = None
    ) -> Self:
        """Note what this error is about, where it does not say so; gives it back."""
        self._ref = self._ref or ref
        self._submission = self._submission or submission
        return self


def _rebuild(
    cls: type[DPAError], args: tuple[object, ...], fields: dict[str, object]
) -> DPAError:
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(fields)
    # A copy's notes are its own: one failure is raised as many copies.
    for note in cast("list[str]", error.__dict__.pop("__notes__", ())):
        error.add_note(note)
    return error


class ConfigurationError(DPAError):
    """A setting or an argument cannot be right; nothing was sent.

    The message names the field and says what would be right: mend it, call again.
    """


class TransportError(DPAError):
    """There was no usable answer: the connection failed, or time ran out.

    `request_sent` False is certain: the platform never saw the request, and it can be
    sent again. True means that it may have been carried out.

    Attributes:
        operation: The platform's name of the interface that was called.
        reason: What happened, in words.
        request_sent: Whether the request's head had left.
        permanent: Whether trying again is pointless, as with a wrong certificate.
    """

    def __init__(
        self,
        operation: str,
        reason: str,
        *,
        request_sent: bool,
        permanent: bool = False,
    ) -> None:
        if request_sent:
            fate = "it may have been carried out: look before you send it again"
        elif permanent:
            fate = "it was not sent: mend that first"
        else:
            fate = "it was not sent: it can be sent again"
        super().__init__(f"{operation}: {reason}; {fate}")
        self.operation = operation
        self.reason = reason
        self.request_sent = request_sent
        self.permanent = permanent


class UnexpectedResponseError(DPAError):
    """Something answered, but not as the platform does: a proxy, or a wrong URL.

    Look at `excerpt` for who speaks there, and check the settings' URLs. With `ref`, an
    execute started that run, of another workflow than the one asked for.

    Attributes:
        operation: The platform's name of the interface that was called.
        reason: What is wrong with the answer, in words.
        http_status: HTTP's status of the answer.
        excerpt: The body's beginning, at most 512 bytes, secrets blotted out.
        retry_after: Where the request was turned away before anything was done (HTTP
            429, or 503 with `Retry-After`): after how many seconds to come again.
    """

    def __init__(
        self,
        operation: str,
        reason: str,
        *,
        http_status: int,
        excerpt: str = "",
        ref: RunRef | None = None,
        retry_after: float | None = None,
    ) -> None:
        advice = "see who answers there, and check the settings' URLs"
        if retry_after is not None:
            advice = "try again after that"
        shown = f": {excerpt!r}" if excerpt else ""
        super().__init__(f"{operation}: HTTP {http_status}, {reason}; {advice}{shown}")
        self.operation = operation
        self.reason = reason
        self.http_status = http_status
        self.excerpt = excerpt
        self._ref = ref
        self.retry_after = retry_after


class APIError(DPAError):
    """The platform answered, and the answer is no; the code says why.

    Subclasses stand for the documented codes; a code that is not documented comes as
    this class itself.

    Attributes:
        code: The envelope's body code.
        message: The platform's own words, secrets blotted out; can be empty.
        http_status: HTTP's status of the answer.
        operation: The platform's name of the interface that was called.
    """

    advice = "the code is not documented: ask whoever runs the platform"

    def __init__(
        self, code: int, message: str, http_status: int, operation: str
    ) -> None:
        said = f" {message!r}" if message else ""
        super().__init__(
            f"{operation}: code {code}{said} (HTTP {http_status}); {self.advice}"
        )
        self.code = code
        self.message = message
        self.http_status = http_status
        self.operation = operation


class InvalidParameterError(APIError):
    """Code 400: the platform refuses a parameter; compare with `list_variables`."""

    advice = "check the ids and the parameters' names and values"


class AuthenticationError(APIError):
    """Code 403, HTTP 401 or 403: the application or its token is refused.

    A token was renewed once already when a call raises this. The client id or secret
    is wrong, the application's own expiry date has passed, or it may not do this.
    """

    advice = (
        "the client id or secret is wrong, or the application has expired: both are "
        "shown in the platform's security centre"
    )


class EndpointNotFoundError(APIError):
    """Code 404: the URL is none of the platform's; check the base and execute URLs."""

    advice = "check base_url and execute_urls"


class ServerError(APIError):
    """Code 500 or 503: the platform failed inside; try again later."""

    advice = "the platform failed inside: try again later"


class OperationFailedError(APIError):
    """Code 997: the platform calls it an unknown failure."""

    advice = "the platform does not say more: try again later, or look in its own logs"


class UserNotFoundError(APIError):
    """Code 998: no such user; check the settings' `user_id`."""

    advice = "check user_id"


class BusinessError(APIError):
    """Code 999: a rule of the platform forbids it, such as an unknown workflow."""

    advice = "a rule of the platform forbids it; its message says which"


API_ERRORS: Mapping[int, type[APIError]] = {
    400: InvalidParameterError,
    403: AuthenticationError,
    404: EndpointNotFoundError,
    500: ServerError,
    503: ServerError,
    997: OperationFailedError,
    998: UserNotFoundError,
    999: BusinessError,
}
"""Body code to class, the whole of it; any other code is an `APIError` itself."""


class SubmissionError(DPAError):
    """Something is wrong about starting a run; `submission` says which start."""

    def __init__(self, submission: Submission, words: str) -> None:
        super().__init__(f"workflow {submission.workflow_id!r}: {words}")
        self._meant = submission

    @property
    @override
    def submission(self) -> Submission:
        """The execute that was meant."""
        return self._meant


class WorkflowBusyError(SubmissionError):
    """The workflow is running or suspended, and `if_busy="fail"` was asked for.

    Nothing was started: try later, or let it queue with `if_busy="queue"`.
    """


class NotStartedError(SubmissionError, TimeoutError):
    """The deadline came while the request was still queued; nothing was started."""


class SubmissionUncertainError(SubmissionError):
    """The execute left and no answer says whether a run started.

    Nothing is sent again, because it could run twice. Look at the workflow on the
    platform; then submit again, or attach to the run that is there.
    """


class JournalError(DPAError):
    """The journal cannot be written or read; what it holds already stays readable."""


class RunError(DPAError):
    """Something is wrong about a run that exists; `ref` names it.

    `Runner.attach(error.ref)` goes on waiting for it.
    """

    def __init__(self, ref: RunRef, words: str) -> None:
        super().__init__(f"run {ref}: {words}")
        self._run = ref

    @property
    @override
    def ref(self) -> RunRef:
        """The run; attach to it to go on."""
        return self._run


class RunFailedError(RunError):
    """The run ended in FAIL; `result` has its outputs, where they can be read."""

    def __init__(self, result: RunResult) -> None:
        names = ", ".join(repr(node.node_name) for node in result.outputs[:5])
        super().__init__(
            result.ref,
            f"it ended in {result.status.name}; see .result.outputs"
            + (f" (nodes {names})" if names else ""),
        )
        self.result = result


class RunTimeoutError(RunError, TimeoutError):
    """The deadline came while the run was going on, and it still is.

    The platform has no cancel: attach to `ref` to go on waiting.
    """


class RunUnreachableError(RunError):
    """The platform gave no usable status for `max_silence` seconds.

    The run may well go on: attach to `ref` when the platform is back. Or it was
    attached to and never seen, and the platform does not know it: see where the
    reference comes from.
    """


class RunSuspendedError(RunError):
    """The platform suspended the run, and the policy says not to wait for that."""


class OutputsUnavailableError(RunError):
    """The run succeeded, but its outputs could not be read.

    It is not to be run again for that: ask `DPAClient.get_outputs(ref)` later.
    """
