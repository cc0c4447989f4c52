"""A folder, a platform, and `dpa` in this process."""

import sys
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

for folder in (Path(__file__).parent, Path(__file__).parents[1] / "cli"):
    sys.path.insert(0, str(folder))

from batch_desk import Desk, without_settings  # noqa: E402 - found there
from served_platform import served  # noqa: E402
from terminal_session import Terminal  # noqa: E402


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Work in a folder of its own, without settings."""
    without_settings(monkeypatch, tmp_path)
    return tmp_path


@pytest.fixture
def desk(folder, monkeypatch, capfd):
    """Give a platform and whoever calls `dpa` there, by `desk(*workflows, …)`."""
    with ExitStack() as stack:

        def sit_down(*workflows, **options):
            options.setdefault("duration", 0.02)
            platform, variables = stack.enter_context(served(*workflows, **options))
            for name, value in variables.items():
                monkeypatch.setenv(name, value)
            return Desk(platform, folder, capfd)

        yield sit_down


@pytest.fixture
def sit_at(folder):
    """Give `dpa` with some words on a terminal, by `sit_at(*words)`."""
    with ExitStack() as stack:
        yield lambda *words: stack.enter_context(closing(Terminal(folder, *words)))


@pytest.fixture
def checked(folder, capfd):
    """Write a file, check it, give the exit code and what is said of it."""

    def check(name, content, *words):
        content = content if isinstance(content, bytes) else content.encode()
        (folder / name).write_bytes(content)
        code, out, err = Desk(None, folder, capfd).dpa("batch", name, "--check", *words)
        assert out == ""
        return code, err.splitlines()

    return check
