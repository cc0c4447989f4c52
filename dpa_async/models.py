"""The values that callers hold: ids, statuses, outputs, requests and results.

Everything here is frozen, compares by value and can be pickled. Nothing here does
I/O, and nothing here holds a secret except `AccessToken`, which hides it.
"""

import enum
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Self, cast, overload
from urllib.parse import quote, unquote

from attrs import field, frozen
from typing_extensions import override

# Made once: `json.dumps` makes one for each call that is not plain.
_CANONICAL = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
)


class RunStatus(enum.Enum):
    """What the platform says of one run; only `SUCCEEDED` and `FAILED` are ends."""

    DEFAULT = "DEFAULT"
    RUNNING = "RUNNING"
    SUSPENDED = "SUSPENDED"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    UNKNOWN = "UNKNOWN"

    @property
    def ended(self) -> bool:
        """Whether a run with this status is over."""
        return self in _ENDS


_ENDS = frozenset({RunStatus.SUCCEEDED, RunStatus.FAILED})


class WorkflowStatus(enum.Enum):
    """What the platform's list says of a workflow: its latest run, if any."""

    DEFAULT = "DEFAULT"
    RUNNING = "RUNNING"
    SUSPENDED = "SUSPENDED"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    UNKNOWN = "UNKNOWN"

    @property
    def busy(self) -> bool:
        """Whether a workflow with this status refuses to be executed."""
        return self in _BUSY


_BUSY = frozenset({WorkflowStatus.RUNNING, WorkflowStatus.SUSPENDED})

_REF_PREFIX = "dpa-run:1:"


@frozen
class RunRef:
    """Names one run for good: printable, storable, attachable, without secrets.

    `str(ref)` and `RunRef.parse(text)` are inverse:
    `dpa-run:1:<workflow id>:<run id>@<origin>`, the ids percent-encoded.

    Attributes:
        origin: Where the platform lives: the settings' `base_url`.
        workflow_id: The platform's `modelId`.
        run_id: The platform's `instanceId`.
    """

    origin: str
    workflow_id: str
    run_id: str

    @override
    def __str__(self) -> str:
        ids = (
            quote(part, safe="", errors="surrogatepass")
            for part in (self.workflow_id, self.run_id)
        )
        return f"{_REF_PREFIX}{':'.join(ids)}@{self.origin}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what `str(ref)` wrote.

        Raises:
            ValueError: The text is not a run reference of a version known here.
        """
        body = text.strip().removeprefix(_REF_PREFIX)
        ids, _, origin = body.partition("@")
        workflow_id, _, run_id = ids.partition(":")
        if body != text.strip() and workflow_id and run_id and origin:
            try:
                return cls(origin, _unquoted(workflow_id), _unquoted(run_id))
            except UnicodeDecodeError:
                pass
        msg = (
            f"not a run reference: {text[:200]!r}; one looks like "
            f"{_REF_PREFIX}<workflow id>:<run id>@<platform's base URL>"
        )
        raise ValueError(msg)


def _unquoted(part: str) -> str:
    return unquote(part, errors="surrogatepass")


@frozen
class NodeOutput:
    """What one api or shell node of a workflow gave: often JSON in text."""

    node_name: str
    result: str | None = None


def _nodes(nodes: Iterable[NodeOutput]) -> tuple[NodeOutput, ...]:
    return tuple(nodes)


@frozen
class NodeOutputs(Sequence[NodeOutput]):
    """The outputs of a run's nodes, in the platform's order.

    `outputs["name"]` is the result of the first node of that name, `outputs[0]` the
    first node, `"name" in outputs` asks for a name.

    Attributes:
        nodes: The outputs themselves.
        unread: Why the outputs were not read (not asked for, or the platform could
            not give them), or None where `nodes` is what the platform said.
    """

    nodes: tuple[NodeOutput, ...] = field(default=(), converter=_nodes)
    unread: str | None = None

    @overload
    def __getitem__(self, index: int) -> NodeOutput: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[NodeOutput]: ...
    @overload
    def __getitem__(self, index: str) -> str | None: ...
    @override
    def __getitem__(
        self, index: int | slice | str
    ) -> NodeOutput | Sequence[NodeOutput] | str | None:
        if isinstance(index, str):
            return self.all(index)[0]
        return self.nodes[index]

    @override
    def __len__(self) -> int:
        return len(self.nodes)

    @override
    def __iter__(self) -> Iterator[NodeOutput]:
        return iter(self.nodes)

    @override
    def __contains__(self, item: object) -> bool:
        return item in self.nodes or any(node.node_name == item for node in self.nodes)

    def all(self, name: str) -> list[str | None]:
        """Give the results of every node of this name, at least one.

        Raises:
            KeyError: No node has this name; the message names those there are.
        """
        found = [node.result for node in self.nodes if node.node_name == name]
        if not found:
            raise KeyError(self._absent(name))
        return found

    def json(self, name: str) -> object:
        """Decode the result of the first node of this name; None stays None.

        Raises:
            KeyError: No node has this name.
            ValueError: The result is not JSON.
        """
        text = self[name]
        try:
            return None if text is None else json.loads(text)
        except RecursionError:
            msg = f"the result of node {name!r} is nested too deep"
        raise ValueError(msg)

    def _absent(self, name: str) -> str:
        if self.unread is not None:
            return f"no output of node {name!r}: {self.unread}"
        names = ", ".join(dict.fromkeys(repr(node.node_name) for node in self.nodes))
        return f"no output of node {name!r}; nodes with outputs: {names or 'none'}"


@frozen
class InputVariable:
    """A parameter that a workflow takes."""

    name: str
    type: str | None = None


@frozen
class Workflow:
    """A row of the platform's list of workflows; times are aware or None."""

    id: str
    name: str = ""
    status: WorkflowStatus = WorkflowStatus.UNKNOWN
    step_count: int | None = None
    created_by: str | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None


@frozen
class WorkflowStatuses:
    """The status of every workflow, by its id, as one list told it.

    Attributes:
        statuses: By workflow id.
        size: The bytes of the list: what it cost.
    """

    statuses: Mapping[str, WorkflowStatus]
    size: int


@frozen
class Execution:
    """The answer of an execute; whatever it carries, the status interface decides."""

    run: RunRef
    status: RunStatus | None = None
    outputs: NodeOutputs | None = None


@frozen
class AccessToken:
    """A bearer token; its value is in no repr.

    Attributes:
        value: The token itself: a secret.
        expires_in: Seconds it should live, counted from its receipt.
    """

    value: str = field(repr=False)
    expires_in: float


@frozen
class RunRequest:
    """One run that somebody wants.

    Attributes:
        workflow_id: Which workflow to execute.
        params: Its parameters by name, or None for none.
        key: The caller's own id of this request, unique in a batch.
        timeout: Seconds for queueing, submission and waiting together, or None.
    """

    workflow_id: str
    params: Mapping[str, object] | None = None
    key: str | None = field(default=None, kw_only=True)
    timeout: float | None = field(default=None, kw_only=True)


@frozen
class RunResult:
    """How a run ended.

    Attributes:
        ref: Which run.
        status: `SUCCEEDED` or `FAILED`.
        outputs: What its nodes gave; `outputs.unread` says why where it is not known.
        submitted_at: When the execute was answered; None where that is not known.
        ended_at: When a look saw the end: the run ended at this time or before.
        looks: Status reads that were spent on it.
    """

    ref: RunRef
    status: RunStatus
    outputs: NodeOutputs
    submitted_at: datetime | None
    ended_at: datetime
    looks: int


_SUBMISSION_PREFIX = "dpa-submission:1:"


@frozen
class Submission:
    """An execute that was meant, whether or not it is known to have happened.

    `str(submission)` and `Submission.parse(text)` are inverse; neither holds a secret
    nor the parameters themselves.

    Attributes:
        origin: Where the platform lives: the settings' `base_url`.
        key: The caller's key, or one made up.
        workflow_id: Which workflow.
        params_digest: SHA-256 of the parameters as canonical JSON, in hex.
        sent_at: When the request's head left, or None where it never did.
        nonce_sha256: SHA-256 of the callback nonce, or None without callbacks.
        seen: What was seen of it, in words, in order.
    """

    origin: str
    key: str
    workflow_id: str
    params_digest: str
    sent_at: datetime | None = None
    nonce_sha256: str | None = None
    seen: tuple[str, ...] = ()

    @staticmethod
    def digest(params: Mapping[str, object] | None) -> str:
        """Give the SHA-256 of parameters as canonical JSON, in hex.

        Raises:
            ValueError: A value is not JSON (NaN, an unpaired surrogate).
            TypeError: A value is of a type that JSON does not have.
        """
        text = _CANONICAL.encode(dict(params or {}))
        return hashlib.sha256(text.encode()).hexdigest()

    @override
    def __str__(self) -> str:
        values = [
            self.origin,
            self.key,
            self.workflow_id,
            self.params_digest,
            None if self.sent_at is None else self.sent_at.timestamp(),
            self.nonce_sha256,
            list(self.seen),
        ]
        return _SUBMISSION_PREFIX + json.dumps(values, separators=(",", ":"))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what `str(submission)` wrote.

        Raises:
            ValueError: The text is not a submission of a version known here.
        """
        prefix, body = text[: len(_SUBMISSION_PREFIX)], text[len(_SUBMISSION_PREFIX) :]
        try:
            if prefix != _SUBMISSION_PREFIX:
                raise ValueError(prefix)  # noqa: TRY301 - one message for all that can be wrong
            origin, key, workflow_id, digest, sent, nonce, seen = json.loads(body)
            texts = [origin, key, workflow_id, digest, *seen, nonce or ""]
            if isinstance(seen, list) and all(isinstance(part, str) for part in texts):
                at = None if sent is None else datetime.fromtimestamp(sent, UTC)
                words = tuple(cast("list[str]", seen))
                return cls(origin, key, workflow_id, digest, at, nonce, words)
        except (ValueError, TypeError, OverflowError, OSError, RecursionError):
            pass
        msg = f"not a submission: {text[:200]!r}"
        raise ValueError(msg)
