"""The helpers beside the tests can be imported by their names; three receivers."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from receivers import FACES


@pytest.fixture(params=FACES.values(), ids=FACES.keys())
def face(request):
    """A receiver that serves, as an async context manager, in each of the ways."""
    return request.param
