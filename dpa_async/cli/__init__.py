"""The command line, `dpa`: needs the extra `cli`, and says so where it is missing."""

import sys
from collections.abc import Sequence

from dpa_async.cli.exits import Exit


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and give the process's exit code; raises nothing of its own.

    Args:
        arguments: The command line's words; None: those of this process.
    """
    try:
        from dpa_async.cli import app  # noqa: PLC0415 - the extra may be missing
    except ModuleNotFoundError as error:
        if error.name != "cyclopts":  # rich comes with it
            raise
        sys.stderr.write(
            "dpa: the command line is an extra: pip install 'dpa-async[cli]'\n"
        )
        return Exit.CONFIGURATION
    except KeyboardInterrupt:  # while it was still being loaded
        return Exit.INTERRUPTED
    return app.main(arguments)
