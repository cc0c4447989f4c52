"""The helpers beside the tests can be imported by their names; a path for a journal."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "runs.journal"
