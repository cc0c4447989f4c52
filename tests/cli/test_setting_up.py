"""Where settings come from, `config init`, `listen`, help, completion, the extra."""

import contextlib
import json
import os
import pty
import stat
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from conftest import COMMAND

from dpa_async import Settings

COMMANDS = (
    "run",
    "wait",
    "status",
    "outputs",
    "list",
    "vars",
    "listen",
    "doctor",
    "demo",
    "simulate",
)


def test_help_loads_no_aiohttp_and_names_every_command():
    code = (
        "import sys; from dpa_async.cli import main; main(['--help']); "
        "sys.exit('aiohttp' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    words = done.stdout.split()
    assert {*COMMANDS, "config", "--install-completion", "--version"} <= set(words)
    assert "130 interrupted" in " ".join(words)


@pytest.mark.parametrize("command", [*COMMANDS, "config init"])
def test_every_command_has_help_with_an_example(dpa, command):
    done = dpa(*command.split(), "--help")
    assert (done.code, done.err) == (0, "")
    assert f"$ dpa {command}" in done.out
    assert "--secret" not in done.out


def test_without_the_extra_one_line_says_what_to_install():
    code = (
        "import sys; sys.modules['cyclopts'] = None; import dpa_async.public; "
        "from dpa_async.cli import main; sys.exit(main(['list']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True
    )
    assert done.returncode == 5
    assert done.stderr == (
        "dpa: the command line is an extra: pip install 'dpa-async[cli]'\n"
    )


def test_a_settings_file_is_found_and_the_environment_goes_before_it(
    dpa, environ, tmp_path, platform
):
    folder = tmp_path / ".config" / "dpa"
    folder.mkdir(parents=True)
    file = folder / "config.toml"
    url = platform[1]["DPA_BASE_URL"]
    file.write_text(
        f'base_url = "{url}"\nclient_id = "nobody"\n'
        '[profiles.else]\nbase_url = "http://127.0.0.1:1"\n'
    )
    environ.delenv("DPA_BASE_URL")
    assert dpa("list").code == 0
    done = dpa("list", "--profile", "else")
    assert done.code == 1
    environ.setenv("DPA_PROFILE", "unknown")
    done = dpa("list")
    assert (done.code, done.out) == (5, "")
    assert "has no profile 'unknown'; it has: else" in done.err
    environ.delenv("DPA_PROFILE")
    environ.delenv("DPA_CLIENT_ID")
    assert dpa("list").code == 5
    environ.setenv("DPA_CONFIG", str(tmp_path / "nowhere.toml"))
    assert "cannot be read" in dpa("list").err


def test_a_file_in_the_working_directory_is_not_taken_unasked(dpa, environ, tmp_path):
    for name in ("dpa.toml", "config.toml"):
        (tmp_path / name).write_text('base_url = "http://127.0.0.1:1"\n')
    environ.chdir(tmp_path)
    assert dpa("list").code == 0


def test_a_secret_that_others_can_read_is_told_in_a_line(dpa, tmp_path):
    file = tmp_path / "dpa.toml"
    file.write_text('client_secret = "x"\n')
    file.chmod(0o644)
    done = dpa("list", "-q", "--config", str(file))
    assert done.code == 0
    assert done.err == (
        f"dpa: {file} holds a client secret and others can read it: chmod 600 it\n"
    )


def test_variables_that_are_empty_count_as_not_set(dpa, environ):
    environ.setenv("DPA_CONFIG", "")
    environ.setenv("DPA_PROFILE", "")
    assert dpa("list").code == 0


def test_a_profile_without_a_file_is_told(dpa):
    done = dpa("list", "--profile", "prod")
    assert done.code == 5
    assert "needs a settings file" in done.err


def test_config_init_leaves_places_to_fill_in(dpa, environ, tmp_path):
    file = tmp_path / ".config" / "dpa" / "config.toml"
    old = os.umask(0)
    try:
        done = dpa("config", "init", "--no-ask")
    finally:
        os.umask(old)
    assert done.code == 0
    assert json.loads(done.out) == {"path": str(file)}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert dpa("list").code == 0  # the environment fills the places
    file.write_text("mine")
    file.chmod(0o600)
    again = dpa("config", "init", "--no-ask")
    assert again.code == 2
    assert "--force" in again.err
    assert file.read_text() == "mine"
    assert dpa("config", "init", "--no-ask", "--force").code == 0
    assert "base_url" in file.read_text()
    assert [path.name for path in file.parent.iterdir()] == ["config.toml"]


def test_config_init_asks_on_a_terminal_and_shows_no_secret(environ, tmp_path):
    file = tmp_path / "mine.toml"
    child, ours = pty.fork()
    if child == 0:
        words = [*COMMAND, "config", "init", "--config", str(file)]
        os.execv(words[0], words)  # noqa: S606 - a process of our own
    answers = ["https://dpa.example.com", "id+/=", 's3"cret\\', "/run/{workflow_id}"]
    questions = [
        b"host:port): ",
        "ID」: ".encode(),
        b"(not shown): ",
        b"{workflow_id}: ",
    ]
    said = b""
    for question, answer in zip(questions, answers, strict=True):
        while question not in said:
            said += os.read(ours, 4096)
        os.write(ours, f"{answer}\n".encode())
    with contextlib.suppress(OSError):  # the other end is closed
        while True:
            said += os.read(ours, 4096)
    assert os.waitpid(child, 0)[1] == 0
    os.close(ours)
    assert b"s3" not in said
    settings = Settings.from_file(file, environ={})
    assert settings.base_url == answers[0]
    assert (settings.client_id, settings.client_secret) == ("id+/=", 's3"cret\\')
    assert settings.execute_urls == answers[3]


def test_config_init_without_answers_writes_nothing(process, tmp_path):
    file = tmp_path / "mine.toml"
    done = process("config", "init", "--ask", "--config", str(file))
    assert done.code == 2
    assert done.err.splitlines()[-1].endswith("nothing was written: the answers ended")
    assert not file.exists()


def test_listen_prints_what_calls_back(start):
    child = start("listen", "-n", "2", "--reply", "OK")
    url = child.stderr.readline().split()[1]
    body = b'{"instanceId": "in1", "modelId": "wf", "status": "FINISH"}'
    for _ in range(2):
        request = urllib.request.Request(url, data=body)  # noqa: S310 - our own
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            assert answer.read() == b"OK"
    out, err = child.communicate(timeout=30)
    assert (child.returncode, err) == (0, "")
    record = {"workflow_id": "wf", "run_id": "in1", "status": "FINISH"}
    assert [json.loads(line) for line in out.splitlines()] == [record, record]


def test_listen_says_where_it_cannot(dpa):
    done = dpa("listen", "--host", "0.0.0.0")  # noqa: S104 - it is refused
    assert done.code == 5
    assert "public_url is missing" in done.err


def test_completion_is_installed_for_a_shell(dpa, environ, tmp_path):
    done = dpa("--install-completion", "--shell", "bash")
    assert (done.code, done.out) == (0, "")
    script = Path(done.err.split()[1].rstrip(";"))
    assert script.is_relative_to(tmp_path)
    words = "source $1; COMP_WORDS=(dpa run --ti); COMP_CWORD=2; "
    words += "$(complete -p dpa | sed 's/.*-F \\([^ ]*\\) .*/\\1/') dpa --ti run; "
    words += 'echo "${COMPREPLY[@]}"'
    shown = subprocess.run(
        ["/bin/bash", "-c", words, "bash", str(script)],
        check=False,
        capture_output=True,
        text=True,
    )
    assert shown.stdout.split() == ["--timeout"]


def test_the_simulator_can_be_reached_as_it_says(start, dpa, environ):
    child = start("simulate", "--port", "0", "--shortest", "0.05", "--longest", "0.1")
    url = child.stdout.readline().split()[-1]
    environ.setenv("DPA_BASE_URL", url)
    for name, value in vars_said(dpa("simulate", "--help").out).items():
        environ.setenv(name, value)
    assert dpa("run", "anything").code == 0


def vars_said(text):
    """The `NAME=value` words of a text."""
    words = (word.strip("'") for word in text.split())
    pairs = (word.partition("=") for word in words if word.startswith("DPA_"))
    return {name: value.strip("'") for name, _, value in pairs}


def test_uvloop_is_used_where_it_is(environ):
    code = (
        "import asyncio, sys; from dpa_async.cli.working import work; "
        "from dpa_async.cli.options import Options\n"
        "async def task(_): print(type(asyncio.get_running_loop()).__module__)\n"
        "{}work(Options(), task)"
    )
    loops = [
        subprocess.run(
            [sys.executable, "-c", code.format(before)],
            check=False,
            capture_output=True,
            text=True,
        ).stdout.strip()
        for before in ("", "sys.modules['uvloop'] = None; ")
    ]
    expected = "uvloop" if sys.platform != "win32" else "asyncio"
    assert loops == [expected, "asyncio.unix_events"]
