"""The options that every command has."""

from pathlib import Path
from typing import Annotated, Literal

from attrs import frozen
from cyclopts import Group, Parameter

Format = Literal["table", "json", "jsonl"]

_EVERYWHERE = Group("Options of every command", sort_key=9)


@Parameter(name="*", group=_EVERYWHERE)
@frozen(kw_only=True)
class Options:
    """What a command is told beside its own words.

    Attributes:
        output: How data is written; by default a table on a terminal, else jsonl.
        quiet: Whether only data and errors are written.
        profile: Which profile of the settings file.
        config: The settings file, instead of ~/.config/dpa/config.toml.
    """

    output: Annotated[Format | None, Parameter(alias="-o")] = None
    quiet: Annotated[bool, Parameter(alias="-q", negative="", show_default=False)] = (
        False
    )
    profile: Annotated[str | None, Parameter(env_var="DPA_PROFILE")] = None
    config: Annotated[Path | None, Parameter(env_var="DPA_CONFIG")] = None


NO_OPTIONS = Options()
