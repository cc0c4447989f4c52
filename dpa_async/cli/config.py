"""The command `config init`: a settings file to begin with."""

import json
import os
import sys
import tempfile
from collections.abc import Mapping
from getpass import getpass
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from dpa_async.cli.deployment import usual_file
from dpa_async.cli.exits import Exit
from dpa_async.cli.options import NO_OPTIONS, Options
from dpa_async.cli.printing import Printer, tell, write
from dpa_async.cli.working import UsageError, work

app = App(name="config", help="Write a settings file.", help_format="plaintext")

_TEMPLATE = """\
# Settings of dpa_async. Environment variables (DPA_BASE_URL ...) go before this file.
# The secret is in it: keep it to yourself (mode 0600).

base_url = {base_url}                 # https://host:port
client_id = {client_id}               # 应用ID, from the platform's 安全中心
client_secret = {client_secret}       # 应用secret, from there as well

# Every workflow has an execute URL, behind the API button 「API按钮」 of its card: a
# template where they are alike ...
{hash}execute_urls = {execute_urls}

# ... or one by one:
# [workflows]
# mddaebe8b163 = "/api/dpa/process/execute/mddaebe8b163"

# [limits]
# requests_per_second = 50

# Used with --profile prod:
# [profiles.prod]
# base_url = "https://dpa.prod.example.com"
"""
_EXAMPLE = "/api/dpa/process/execute/{workflow_id}"


@app.command
def init(
    *,
    ask: Annotated[bool | None, Parameter(negative="--no-ask")] = None,
    force: Annotated[bool, Parameter(negative="")] = False,
    options: Options = NO_OPTIONS,
) -> int:
    """Write a settings file that only you can read (mode 0600).

    On a terminal it asks for what has to be in it; else it leaves empty places.
    A secret is typed, never given as a word of the command line.

    $ dpa config init
    $ dpa config init --config ./dpa.toml --no-ask

    Args:
        ask: Whether to ask; by default on a terminal.
        force: Whether a file that is there is replaced.
        options: Of every command.
    """

    def task(printer: Printer) -> int:
        path = options.config or usual_file()
        if path.exists() and not force:
            msg = f"{path} is there already: --force replaces it"
            raise UsageError(msg)
        asks = _on_a_terminal() if ask is None else ask
        _write(path, _text(_asked() if asks else {}))
        printer.talk(f"written: {path}; `dpa doctor` tells whether it works")
        printer.record({"path": str(path)})
        return Exit.SUCCEEDED

    return work(options, task)


def _on_a_terminal() -> bool:
    return sys.stdin is not None and sys.stdin.isatty()


def _asked() -> dict[str, str]:
    """Ask on the terminal; the secret is not echoed.

    Raises:
        UsageError: There are no answers.
    """
    tell("Empty answers can be filled in later.")
    try:
        answers = {
            "base_url": _line("The platform's address (https://host:port): "),
            "client_id": _line("Client id 「应用ID」: "),
            "client_secret": getpass("Client secret 「应用secret」 (not shown): "),
            "execute_urls": _line(f"Template of execute URLs, such as {_EXAMPLE}: "),
        }
    except EOFError:
        msg = "nothing was written: the answers ended"
    else:
        return {name: answer.strip() for name, answer in answers.items()}
    raise UsageError(msg)


def _line(question: str) -> str:
    """Ask for a line.

    Raises:
        EOFError: Standard input has ended.
    """
    write(sys.stderr, question)
    if answer := sys.stdin.readline():
        return answer
    raise EOFError


def _text(answers: Mapping[str, str]) -> str:
    template = answers.get("execute_urls", "")
    names = ("base_url", "client_id", "client_secret")
    return _TEMPLATE.format(
        **{name: _toml(answers.get(name, "")) for name in names},
        execute_urls=_toml(template or _EXAMPLE),
        hash="" if template else "# ",
    )


def _toml(text: str) -> str:
    """Quote a text: TOML's strings have JSON's escapes, but for DEL."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _write(path: Path, text: str) -> None:
    """Write a file that was never readable by others, not even for a moment.

    Raises:
        OSError: It cannot be written.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
