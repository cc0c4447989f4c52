"""What the platform POSTs when a run ends (5): the body of a callback, read.

It is unsigned, and anybody can send one, so nothing in it decides anything: its words
are passed on as they came, and only the run's id has to be there.
"""

from attrs import frozen

from dpa_async.wire import json_text
from dpa_async.wire.converter import read_optional, read_text

MAX_BYTES = 4096
"""The longest body that is read: a real one has three short words."""


@frozen
class Callback:
    """A callback's body, in the platform's words.

    Attributes:
        run_id: Its `instanceId`; never empty.
        workflow_id: Its `modelId`; empty where there is none.
        status: `FINISH` or `FAIL`, or any other word; empty where there is none.
    """

    run_id: str
    workflow_id: str
    status: str


def read_callback(body: bytes) -> Callback:
    """Read the body of a callback.

    Raises:
        ValueError: It is no JSON object, or has no `instanceId`; the words say which,
            and hold nothing of the body.
    """
    try:
        row = json_text.as_object(json_text.decode(body))
    except ValueError:
        row = None
    if row is None:
        raise ValueError("the body is no JSON object")
    try:
        run_id = read_text(row.get("instanceId"))
    except TypeError:
        run_id = ""
    if not run_id:
        raise ValueError("the body has no instanceId")
    workflow_id = read_optional(row.get("modelId")) or ""
    return Callback(run_id, workflow_id, read_optional(row.get("status")) or "")
