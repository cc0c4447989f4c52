"""Where settings come from: environment variables, and TOML files with profiles.

Both give the arguments of `Settings` as plain values; checking them is its business.
"""

import os
import stat
import tomllib
import warnings
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import cast

from dpa_async.checks import refuse

VARIABLES: Mapping[str, str] = {
    "DPA_BASE_URL": "base_url",
    "DPA_AUTH_BASE_URL": "auth_base_url",
    "DPA_CLIENT_ID": "client_id",
    "DPA_CLIENT_SECRET": "client_secret",
    "DPA_SCOPE": "scope",
    "DPA_USER_ID": "user_id",
    "DPA_EXECUTE_URL": "execute_urls",
}
"""Environment variable to argument; a variable that is empty counts as not set."""

_WORKFLOWS = "workflows"
_PROFILES = "profiles"
_READABLE_BY_OTHERS = stat.S_IRGRP | stat.S_IROTH


def read_environment(environ: Mapping[str, str] | None = None) -> dict[str, object]:
    """Read the `DPA_*` variables that are set."""
    environ = os.environ if environ is None else environ
    return {
        argument: environ[variable]
        for variable, argument in VARIABLES.items()
        if environ.get(variable)
    }


def read_file(
    path: str | os.PathLike[str], profile: str | None, known: Collection[str]
) -> dict[str, object]:
    """Read a TOML file; `[profiles.NAME]` overrides what stands above it.

    Raises:
        ConfigurationError: The file cannot be read, is not TOML, has no such profile,
            or has a key that is no setting.
    """
    tables = _load(Path(path))
    profiles = _table(path, tables.pop(_PROFILES, {}))
    if any("client_secret" in table for table in (tables, *_tables(profiles))):
        _warn_if_others_can_read(Path(path))
    arguments = _arguments(path, tables, known)
    if profile is not None:
        if profile not in profiles:
            names = ", ".join(profiles) or "none"
            refuse(path, f"has no profile {profile!r}; it has: {names}")
        arguments.update(_arguments(path, _table(path, profiles[profile]), known))
    return arguments


def _load(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        problem = f"cannot be read: {error.strerror}"
    except (ValueError, RecursionError) as error:
        # The position is enough: the line itself could be the secret's.
        problem = f"is not TOML ({type(error).__name__}): check its quotes and brackets"
    return refuse(path, problem)


def _table(path: str | os.PathLike[str], value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        refuse(path, f"has a profile that is no table: write [{_PROFILES}.NAME]")
    return cast("dict[str, object]", value)


def _tables(profiles: Mapping[str, object]) -> list[dict[str, object]]:
    return [table for table in profiles.values() if isinstance(table, dict)]


def _arguments(
    path: str | os.PathLike[str], table: dict[str, object], known: Collection[str]
) -> dict[str, object]:
    arguments = dict(table)
    if _WORKFLOWS in arguments:
        if "execute_urls" in arguments:
            refuse(path, "has both [workflows] and execute_urls: keep one of them")
        arguments["execute_urls"] = arguments.pop(_WORKFLOWS)
    unknown = sorted(arguments.keys() - set(known))
    if unknown:
        refuse(
            path,
            f"has unknown keys {', '.join(unknown)}; known: {', '.join(sorted(known))}"
            f", [{_WORKFLOWS}], [{_PROFILES}.NAME]",
        )
    return arguments


def _warn_if_others_can_read(path: Path) -> None:
    if os.name == "posix" and path.stat().st_mode & _READABLE_BY_OTHERS:
        warnings.warn(
            f"{path} holds a client secret and others can read it: chmod 600 it",
            UserWarning,
            stacklevel=4,
        )
