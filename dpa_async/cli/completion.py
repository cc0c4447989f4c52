"""The option `--install-completion`: the shell completes what can be typed."""

from pathlib import Path
from typing import Literal

from dpa_async.cli.app import app
from dpa_async.cli.exits import Exit
from dpa_async.cli.printing import tell


def install(
    *,
    shell: Literal["bash", "zsh", "fish", "powershell"] | None = None,
    output: Path | None = None,
) -> int:
    """Install completion for your shell.

    It writes a script, and the line that loads it into the shell's start file.

    $ dpa --install-completion
    $ dpa --install-completion --shell zsh

    Args:
        shell: Which shell; by default the one that this is called from.
        output: Where the script is written, instead of where that shell looks.
    """
    written = app.install_completion(shell=shell, output=output)
    tell(f"written: {written}; it works in a new shell")
    return Exit.SUCCEEDED
