"""An Airflow connection as `Settings`, and where people see a run."""

import json
import re
from collections.abc import Mapping
from typing import Protocol
from urllib.parse import quote

import attrs

from dpa_async.checks import refuse
from dpa_async.models import RunRef
from dpa_async.settings import Settings

_RUN_URL = "run_url"
_PORT = re.compile(r":(\d+)$")
_NOT_EXTRA = {"base_url", "client_id", "client_secret", "secrets"}
_EXTRA = {field.name for field in attrs.fields(Settings)} - _NOT_EXTRA


class ConnectionFields(Protocol):
    """What is read of a connection; Airflow's own classes have it."""

    @property
    def host(self) -> str | None:
        """The base URL, or its host."""
        ...

    @property
    def schema(self) -> str | None:
        """The base URL's scheme, where the host has none."""
        ...

    @property
    def port(self) -> int | None:
        """The base URL's port, where the host has none."""
        ...

    @property
    def login(self) -> str | None:
        """The application's id."""
        ...

    @property
    def password(self) -> str | None:
        """The application's secret."""
        ...


def settings_of(connection: ConnectionFields, extra: Mapping[str, object]) -> Settings:
    """Read a connection of the type `dpa`; its extra fields are those of `Settings`.

    Args:
        connection: Host, login and password.
        extra: Its extra fields, decoded; empty ones count as left out.

    Raises:
        ConfigurationError: A field is missing, unknown, or cannot be right.
    """
    given = {k: v for k, v in extra.items() if v not in (None, "") and k != _RUN_URL}
    unknown = sorted(given.keys() - _EXTRA)
    if unknown:
        known = ", ".join(sorted(_EXTRA | {_RUN_URL}))
        refuse(
            "the connection's extra", f"has unknown keys {unknown}; known are {known}"
        )
    return Settings.from_env(
        {},  # a connection is whole: nothing of it comes from the worker's environment
        base_url=_base_url(connection),
        client_id=connection.login or "",
        client_secret=connection.password or "",
        **given,
    )


def run_url(ref: RunRef, extra: Mapping[str, object]) -> str:
    """Give the page where people see a run; the platform's own where none is known."""
    template = extra.get(_RUN_URL)
    if not isinstance(template, str) or not template:
        return ref.origin
    return template.replace("{workflow_id}", quote(ref.workflow_id, safe="")).replace(
        "{run_id}", quote(ref.run_id, safe="")
    )


def check_extra(extra: str | None) -> None:
    """See that extra fields are JSON: of what is not, Airflow makes an empty mapping.

    Args:
        extra: The connection's extra, as it is stored.

    Raises:
        ConfigurationError: They are not, or no object.
    """
    try:
        is_object = not extra or isinstance(json.loads(extra), dict)
    except ValueError:
        is_object = False
    if not is_object:
        refuse("the connection's extra", "is not a JSON object")


def _base_url(connection: ConnectionFields) -> str:
    """Join host and port, wherever the host's path, port and scheme are.

    Raises:
        ConfigurationError: There are two ports.
    """
    host, port = connection.host or "", connection.port
    if host and "://" not in host:
        host = f"{connection.schema or 'https'}://{host}"
    if not host or port is None:
        return host
    scheme, _, rest = host.partition("://")
    place, slash, path = rest.partition("/")
    written = _PORT.search(place)
    if written is None:
        return f"{scheme}://{place}:{port}{slash}{path}"
    if written[1] != str(port):
        refuse("the connection's port", f"is {port}, and in its host it is another")
    return host
