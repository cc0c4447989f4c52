"""The helpers beside the tests can be imported by their names; a path for a journal."""

import sys
import tempfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "runs.journal"


@pytest.fixture
def quick(tmp_path):
    """A directory where waiting for the disk takes no time, if there is one."""
    memory = Path("/dev/shm")  # noqa: S108 - a directory of our own in it
    if not memory.is_dir():
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=memory) as directory:
        yield Path(directory)
