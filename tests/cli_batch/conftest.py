"""A batch file and the command that checks it, in this process."""

import sys
from pathlib import Path

import pytest

from dpa_async.cli import main

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def checked(tmp_path, monkeypatch, capsys):
    """Write a file, check it, give the exit code and what is said of it."""
    for name in ("DPA_BASE_URL", "DPA_EXECUTE_URL", "DPA_CONFIG", "DPA_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)

    def check(name, content, *words):
        content = content if isinstance(content, bytes) else content.encode()
        (tmp_path / name).write_bytes(content)
        code = main(["batch", name, "--check", *words])
        out, err = capsys.readouterr()
        assert out == ""
        return code, err.splitlines()

    return check
