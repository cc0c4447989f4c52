"""The commands of `dpa`, by name: each is imported when it is called.

A command is a function of a module of its own. It takes `options: Options` beside its
own words, hands its work to `working.work`, and gives an exit code.
"""

import os
import sys
from collections.abc import Sequence

from cyclopts import App, CycloptsError, Group

from dpa_async.cli.exits import Exit
from dpa_async.cli.printing import prepare_streams, show_traceback, tell

_HERE = "dpa_async.cli"
_RUNS = Group("Runs", sort_key=1)
_LOOKING = Group("Looking", sort_key=2)
_TRYING = Group("Trying and setting up", sort_key=3)

_COMMANDS: tuple[tuple[str, str, Group, str], ...] = (
    ("run", "run:run", _RUNS, "Run a workflow, wait for its end, print its outputs."),
    ("batch", "batch:batch", _RUNS, "Run what a file asks for, each line once."),
    ("resume", "of_journals:resume", _RUNS, "Go on with what a journal has open."),
    ("settle", "of_journals:settle", _RUNS, "Say whether an uncertain start ran."),
    ("report", "of_journals:report", _RUNS, "Draw a journal as one HTML page."),
    ("wait", "run:wait", _RUNS, "Wait for the end of a run that was started before."),
    ("status", "looking:status", _LOOKING, "Ask how a run is."),
    ("outputs", "looking:outputs", _LOOKING, "Print the outputs of a run."),
    ("list", "looking:list_workflows", _LOOKING, "List the workflows."),
    ("vars", "looking:list_variables", _LOOKING, "List a workflow's parameters."),
    ("listen", "listen:listen", _LOOKING, "Receive callbacks and print them."),
    ("doctor", "doctor:doctor", _TRYING, "Check settings, connection, clock, token."),
    ("demo", "demo:demo", _TRYING, "Run hundreds of workflows on a simulator."),
    ("simulate", "simulate:simulate", _TRYING, "Serve a simulated platform."),
    ("config", "config:app", _TRYING, "Write a settings file."),
)

_NAMES = frozenset(name for name, *_ in _COMMANDS)


def _version() -> str:
    from importlib.metadata import version  # noqa: PLC0415 - slow, and seldom asked

    return version("dpa-async")


app = App(
    name="dpa",
    help="Run DPA workflows: each started once, none lost, outputs in your hands.",
    help_epilogue="Settings: DPA_* variables or a file (dpa config init). "
    "Exit codes: 0 succeeded, 1 failed, 2 usage, 3 deadline, 4 uncertain, "
    "5 configuration or authentication, 130 interrupted.",
    help_format="plaintext",
    version=_version,
    result_action="return_value",
    print_error=False,
    exit_on_error=False,
    suppress_keyboard_interrupt=False,
)
for _name, _path, _group, _help in _COMMANDS:
    app.command(f"{_HERE}.{_path}", name=_name, group=_group, help=_help)
app.command(
    f"{_HERE}.completion:install",
    name="--install-completion",
    help="Install completion for your shell.",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and give the process's exit code; raises nothing of its own.

    Args:
        arguments: The command line's words; None: those of this process.
    """
    prepare_streams()
    sys.excepthook = show_traceback
    for name in ("DPA_CONFIG", "DPA_PROFILE"):
        if not os.environ.get(name):  # empty counts as not set, as with the others
            os.environ.pop(name, None)
    words = sys.argv[1:] if arguments is None else list(arguments)
    if not words:
        tell("usage: dpa COMMAND; dpa --help lists the commands")
        return Exit.USAGE
    _load(words[0])
    try:
        code = app(words)
    except CycloptsError as error:
        _tell_usage(error)
        return Exit.USAGE
    return code if isinstance(code, int) else Exit.SUCCEEDED


def _load(name: str) -> None:
    """Import a command, and have it say more of itself than the list of commands.

    Raises:
        ImportError: What it rests on cannot be imported.
    """
    if name not in _NAMES:
        return
    try:
        command = app[name]
    except ImportError as error:
        cause = error.__cause__ or error
    else:
        if command.default_command is not None:
            command.help = None  # then its docstring is shown
        return
    raise cause


def _tell_usage(error: CycloptsError) -> None:
    """Say what is wrong with the words, in one line, and where the right ones are."""
    error.verbose = False
    tell(f"dpa: {' '.join(str(error).split())}")
    tell(f"usage: {' '.join(('dpa', *(error.command_chain or ())))} --help")
