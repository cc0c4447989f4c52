"""A builder per interface: settings and arguments to a `Request`, yet without token."""

import math
from collections.abc import Mapping
from typing import cast
from urllib.parse import urlencode

from dpa_async.checks import check_number, refuse
from dpa_async.models import RunRef
from dpa_async.settings import Dialect, Settings
from dpa_async.wire import json_text
from dpa_async.wire.messages import Request

_JSON = "application/json"
_FORM = "application/x-www-form-urlencoded"
_SHARED_HEADERS = {"Accept": _JSON, "Accept-Encoding": "identity"}


def authorize(settings: Settings) -> Request:
    """Ask for an authorization code (1.1)."""
    query = urlencode(
        {
            "client_id": settings.client_id,
            "response_type": "code",
            "scope": settings.scope,
        }
    )
    return Request(
        operation="authorize",
        method="GET",
        url=f"{_auth_base(settings)}/authorize?{query}",
        headers={**_SHARED_HEADERS, **settings.headers},
        body=None,
        own_connection=True,
        budget="tokens",
        max_body_bytes=settings.max_body_bytes,
        secrets=(*settings.secrets, settings.client_id),
        secret_answer=True,
    )


def exchange_code(settings: Settings, code: str) -> Request:
    """Exchange an authorization code for a token (1.2); the code is good for once."""
    fields = {
        "code": code,
        "client_id": settings.client_id,
        "client_secret": settings.client_secret,
        "grant_type": "authorization_code",
    }
    if settings.user_id is not None:
        fields["user_id"] = settings.user_id
    as_form = settings.dialect.token_body == "form"  # noqa: S105 - no password
    body = urlencode(fields).encode() if as_form else json_text.encode(fields)
    return Request(
        operation="token",
        method="POST",
        url=f"{_auth_base(settings)}/token",
        headers=_headers(settings, _FORM if as_form else _JSON),
        body=body,
        repeatable=False,
        own_connection=True,
        budget="tokens",
        max_body_bytes=settings.max_body_bytes,
        secrets=(*settings.secrets, settings.client_id, code),
        secret_answer=True,
    )


def list_variables(settings: Settings, workflow_id: str) -> Request:
    """Ask which parameters a workflow takes (2).

    Raises:
        ConfigurationError: The id is no text.
    """
    _check_ids(workflow_id)
    body = {"processModelId": workflow_id, "type": "running"}
    return _read(settings, "listVar", "variable/listVar", body)


def execute(
    settings: Settings,
    workflow_id: str,
    params: Mapping[str, object] | None,
    *,
    callback_url: str | None = None,
    sync_wait: float | None = None,
    designated_nodes_only: bool = False,
) -> Request:
    """Execute a workflow (3).

    Raises:
        ConfigurationError: No execute URL is known, a parameter is not JSON, or
            `sync_wait` is no number of seconds.
    """
    dialect = settings.dialect
    body: dict[str, object] = {}
    if callback_url is not None:
        body["callbackUrl"] = callback_url
    if params:
        body["mapParam"] = _params(dialect, params)
    body["sync"] = _flag(dialect, value=sync_wait is not None)
    hold = 0
    if sync_wait is not None:
        # The platform counts whole seconds; less than one would ask for none at all.
        check_number("sync_wait", sync_wait, least=0)
        hold = max(1, math.ceil(sync_wait))
        body["second"] = _number(dialect, hold)
    body["paramFlag"] = _flag(dialect, value=designated_nodes_only)
    return Request(
        operation="execute",
        method="POST",
        url=settings.execute_url(workflow_id),
        headers=_headers(settings, _JSON),
        body=_encode("params", body),
        repeatable=False,
        own_connection=True,
        budget="held" if hold else "submissions",
        hold=hold,
        max_body_bytes=settings.max_body_bytes,
        secrets=(*settings.secrets, *([callback_url] if callback_url else [])),
    )


def run_status(settings: Settings, run: RunRef, *, repeatable: bool = True) -> Request:
    """Ask for the status of a run (4).

    Raises:
        ConfigurationError: An id is no text.
    """
    _check_ids(run.workflow_id, run.run_id)
    query = urlencode({"modelId": run.workflow_id, "instanceId": run.run_id})
    path = "/api/dpa/process/processrun/getProcessRunStatus"
    return Request(
        operation="getProcessRunStatus",
        method="GET",
        url=f"{settings.base_url}{path}?{query}",
        # A content type without content, as the document has it.
        headers=_headers(settings, _FORM),
        body=None,
        repeatable=repeatable,
        max_body_bytes=settings.max_body_bytes,
        secrets=settings.secrets,
    )


def list_workflows(settings: Settings, *, repeatable: bool = True) -> Request:
    """Ask for all workflows and their statuses (6)."""
    body = settings.dialect.list_all_body
    return _read(
        settings, "listAll", "processModel/listAll", body, repeatable=repeatable
    )


def outputs(settings: Settings, run: RunRef, *, designated_nodes_only: bool) -> Request:
    """Ask for the outputs of a run's nodes (7).

    Raises:
        ConfigurationError: An id is no text.
    """
    _check_ids(run.workflow_id, run.run_id)
    body = {
        "modelId": run.workflow_id,
        "instanceId": run.run_id,
        "paramFlag": _flag(settings.dialect, value=designated_nodes_only),
    }
    name = "getOutParamByModelId"
    return _read(
        settings,
        name,
        f"processModel/{name}",
        body,
        max_body_bytes=settings.max_outputs_bytes,
    )


def _read(
    settings: Settings,
    operation: str,
    path: str,
    body: Mapping[str, object],
    *,
    repeatable: bool = True,
    max_body_bytes: int | None = None,
) -> Request:
    """A POST that only reads."""
    return Request(
        operation=operation,
        method="POST",
        url=f"{settings.base_url}/api/dpa/process/{path}",
        headers=_headers(settings, _JSON),
        body=_encode(operation, dict(body)),
        repeatable=repeatable,
        max_body_bytes=max_body_bytes or settings.max_body_bytes,
        secrets=settings.secrets,
    )


def _auth_base(settings: Settings) -> str:
    return f"{settings.auth_base_url or settings.base_url}/api/dp/auth/oauth"


def _headers(settings: Settings, content_type: str) -> dict[str, str]:
    return {**_SHARED_HEADERS, **settings.headers, "Content-Type": content_type}


def _flag(dialect: Dialect, *, value: bool) -> bool | str:
    if dialect.flags == "json":
        return value
    return "true" if value else "false"


def _number(dialect: Dialect, value: int) -> int | str:
    return value if dialect.flags == "json" else str(value)


def _check_ids(*ids: object) -> None:
    """See that ids can be sent; what they look like is the platform's business."""
    for value in ids:
        if not isinstance(value, str) or not value:
            refuse("an id", f"is {value!r}: ids are text")
        if any("\ud800" <= char <= "\udfff" for char in value):
            refuse("an id", f"is {value!r}, which has half a character in it")


def _params(dialect: Dialect, params: object) -> dict[str, object]:
    if not isinstance(params, Mapping):
        refuse("params", f"is {type(params).__name__}: give a mapping of name to value")
    values = dict(cast("Mapping[str, object]", params))
    if dialect.params == "json":
        return values
    return {
        name: value if isinstance(value, str) else _encode("params", value).decode()
        for name, value in values.items()
    }


def _encode(name: str, value: object) -> bytes:
    try:
        return json_text.encode(value)
    except (ValueError, TypeError, RecursionError) as error:
        problem = str(error)
    return refuse(name, f"cannot be sent as JSON: {problem}")
