"""Which platform is meant: the settings that are found, and where each comes from."""

import os
from collections.abc import Mapping
from pathlib import Path

import attrs

from dpa_async.cli.options import Options
from dpa_async.errors import ConfigurationError
from dpa_async.settings import Settings
from dpa_async.settings.sources import VARIABLES, read_environment, read_file

_HINT = (
    "`dpa config init` writes a settings file, `dpa doctor` says what is found where"
)


def usual_file(environ: Mapping[str, str] | None = None) -> Path:
    """Give where the settings file is looked for, when nothing else is said."""
    environ = os.environ if environ is None else environ
    kept = environ.get("XDG_CONFIG_HOME")
    folder = Path(kept) if kept else Path.home() / ".config"
    return folder / "dpa" / "config.toml"


def file_of(options: Options) -> Path | None:
    """Give the settings file that is meant; None where there is none.

    A file in the working directory is never taken unasked: it could send the secret
    of the environment somewhere else.
    """
    if options.config is not None:
        return options.config
    usual = usual_file()
    return usual if usual.is_file() else None


def settings_of(options: Options) -> Settings:
    """Read the settings: environment variables, and before them the file's.

    Raises:
        ConfigurationError: Something is missing or cannot be right.

    Warns:
        UserWarning: The file holds a secret and others can read it.
    """
    path = file_of(options)
    try:
        if path is not None:
            return Settings.from_file(path, options.profile)
        if options.profile is None:
            return Settings.from_env()
    except ConfigurationError as error:
        error.add_note(_HINT)
        raise
    msg = f"profile {options.profile!r} needs a settings file: {usual_file()}"
    raise ConfigurationError(msg)


def sources_of(options: Options) -> dict[str, str]:
    """Say of each setting that is given where it comes from; by the setting's name.

    Raises:
        ConfigurationError: The file cannot be read.
    """
    sources: dict[str, str] = {}
    path = file_of(options)
    if path is not None:
        known = [field.name for field in attrs.fields(Settings) if field.init]
        plain = read_file(path, None, known)
        sources.update(dict.fromkeys(plain, str(path)))
        if options.profile is not None:
            for name, value in read_file(path, options.profile, known).items():
                if plain.get(name) != value:
                    sources[name] = f"{path} [profiles.{options.profile}]"
    variables = {argument: variable for variable, argument in VARIABLES.items()}
    sources.update((name, variables[name]) for name in read_environment())
    return sources
