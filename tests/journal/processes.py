"""Scenes that are played by processes of their own."""

import os
import subprocess
import sys
from pathlib import Path

import dpa_async

HERE = Path(__file__).parent
ROOT = Path(dpa_async.__file__).parents[1]
POSIX = sys.platform != "win32"


def begin(scene, path):
    """Begin a scene; lines come on its stdout, its stdin ends it."""
    return subprocess.Popen(
        [sys.executable, str(HERE / "scenes_of_processes.py"), scene, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def play(scene, path):
    """Play a scene to its end; give the lines that it said."""
    with begin(scene, path) as process:
        said, _ = process.communicate(timeout=120)
    assert process.returncode == 0, said
    return said.splitlines()
