"""How a process ends, for the scripts that call it."""

import enum


class Exit(enum.IntEnum):
    """The exit codes; `docs/command-line.md` has them as a table."""

    SUCCEEDED = 0
    FAILED = 1
    USAGE = 2
    DEADLINE = 3
    UNCERTAIN = 4
    CONFIGURATION = 5
    INTERRUPTED = 130
