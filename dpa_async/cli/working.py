"""What every command does around its own work: a loop, errors, an exit code."""

import asyncio
import logging
import sys
import warnings
from collections.abc import Callable, Coroutine
from typing import Any, TextIO, TypeAlias

from typing_extensions import override

from dpa_async.cli.exits import Exit
from dpa_async.cli.options import Options
from dpa_async.cli.printing import Printer, tell
from dpa_async.errors import (
    AuthenticationError,
    ConfigurationError,
    DPAError,
    NotStartedError,
    RunSuspendedError,
    RunTimeoutError,
    RunUnreachableError,
    SubmissionUncertainError,
)

Work: TypeAlias = Callable[[Printer], Coroutine[Any, Any, int] | int]
"""Gives an exit code, or the coroutine that does: what it does before, such as asking
on the terminal, is not on the event loop, and Ctrl-C ends it at once."""


class UsageError(Exception):
    """The words of the command line, or what they name, cannot be right."""


_CODES: tuple[tuple[type[DPAError], Exit], ...] = (
    (SubmissionUncertainError, Exit.UNCERTAIN),
    (RunTimeoutError, Exit.DEADLINE),
    (NotStartedError, Exit.DEADLINE),
    # Nobody waits any more, and as far as is known they still run.
    (RunUnreachableError, Exit.DEADLINE),
    (RunSuspendedError, Exit.DEADLINE),
    (ConfigurationError, Exit.CONFIGURATION),
    (AuthenticationError, Exit.CONFIGURATION),
)


def exit_of(error: DPAError) -> Exit:
    """Give the exit code of a command, or of a run, that ended with this error."""
    for kind, code in _CODES:
        if isinstance(error, kind):
            return code
    return Exit.FAILED


def work(options: Options, task: Work) -> int:
    """Run a command's work, on an event loop of its own; gives the exit code.

    What goes wrong is told in a line, with the run or the submission that exists as
    data. uvloop is used where it is installed.
    """
    _listen_to_the_library()
    printer = Printer(options)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always", UserWarning)
            warnings.showwarning = _show_warning
            return _done(task(printer))
    except DPAError as error:
        printer.problem(error)
        return exit_of(error)
    except UsageError as error:
        tell(f"dpa: {error}")
        return Exit.USAGE
    except OSError as error:
        tell(f"dpa: {error}")
        return Exit.FAILED
    except KeyboardInterrupt:
        tell("dpa: interrupted")
        return Exit.INTERRUPTED


def _done(begun: Coroutine[Any, Any, int] | int) -> int:
    if isinstance(begun, int):
        return begun
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(begun)


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Give what makes the event loop: uvloop's, where it is installed."""
    try:
        import uvloop  # noqa: PLC0415 - used when there
    except ImportError:
        return None
    return uvloop.new_event_loop


class _Talk(logging.Handler):
    """Writes what is logged as talk: it can quote the platform."""

    @override
    def emit(self, record: logging.LogRecord) -> None:
        tell(f"dpa: {record.getMessage()}")


def _listen_to_the_library() -> None:
    root = logging.getLogger()
    if not root.handlers:
        root.addHandler(_Talk(logging.WARNING))


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    del category, filename, lineno, file, line
    tell(f"dpa: {message}")


def read_stdin() -> str:
    """Read all of standard input as text.

    Raises:
        OSError: It cannot be read.
    """
    return "" if sys.stdin is None else sys.stdin.read()
