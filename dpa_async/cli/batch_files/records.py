"""What one line of a batch file asks for, or what is wrong with it."""

from collections.abc import Iterator, Mapping
from typing import TypeAlias, cast

from attrs import frozen

from dpa_async.models import RunRequest, Submission

FIELDS = ("workflow_id", "key", "params", "timeout")
"""What a line can say; only the first has to be there."""

_MOST_SECONDS = 1e12


@frozen
class Record:
    """A line that can be right.

    Attributes:
        line: On which line of the file it begins, from 1 on.
        request: What it asks for; its key is None where the line has none.
        params_digest: The SHA-256 of its parameters.
    """

    line: int
    request: RunRequest
    params_digest: str


@frozen
class BadLine:
    """A line that cannot be right.

    Attributes:
        line: On which line of the file it begins, from 1 on.
        reason: What is wrong with it, all of it.
    """

    line: int
    reason: str


Records: TypeAlias = Iterator[Record | BadLine]


def read_record(line: int, fields: Mapping[str, object]) -> Record | BadLine:
    """Make a request of what a line says, or say everything that is wrong with it.

    Args:
        line: Where it begins.
        fields: What it says, by name.
    """
    params = fields.get("params")
    digest, wrong = _digest(params)
    wrong = [
        *_wrong_names(fields),
        *_wrong_text("workflow_id", fields.get("workflow_id")),
        *(() if fields.get("key") is None else _wrong_text("key", fields["key"])),
        *wrong,
        *_wrong_timeout(fields.get("timeout")),
    ]
    if wrong:
        return BadLine(line, "; ".join(wrong))
    request = RunRequest(
        cast("str", fields["workflow_id"]),
        cast("Mapping[str, object] | None", params),
        key=cast("str | None", fields.get("key")),
        timeout=cast("float | None", fields.get("timeout")),
    )
    return Record(line, request, digest)


def _wrong_names(fields: Mapping[str, object]) -> Iterator[str]:
    unknown = [name for name in fields if name not in FIELDS]
    if unknown:
        names = ", ".join(map(repr, unknown[:5])) + (", …" if unknown[5:] else "")
        yield f"{names} is not known: a line has {', '.join(FIELDS)}"


def _wrong_text(name: str, value: object) -> Iterator[str]:
    if value is None:
        yield f"{name} is missing"
    elif not isinstance(value, str):
        yield f"{name} is {value!r:.40}: write it as text, in quotes"
    elif not value.strip():
        yield f"{name} is empty"
    elif not _is_unicode(value):
        yield f"{name} holds half a character (an unpaired surrogate)"


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _digest(params: object) -> tuple[str, list[str]]:
    if params is not None and not isinstance(params, dict):
        return "", [f"params is {params!r:.40}: write names and values"]
    try:
        digest = Submission.digest(cast("dict[str, object] | None", params))
    except RecursionError:
        words = "it is nested too deep"
    except (ValueError, TypeError) as error:
        words = str(error)
    else:
        return digest, []
    return "", [f"params cannot be sent as JSON: {words}"]


def _wrong_timeout(value: object) -> Iterator[str]:
    if value is None:
        return
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not 0 <= cast("float", value) <= _MOST_SECONDS:
        yield f"timeout is {value!r:.40}: give seconds, 0 or more"
