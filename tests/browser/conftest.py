"""A browser for all tests of this folder, and the helpers by their names."""

import asyncio
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "report")]


@pytest.fixture(scope="module")
def browser():
    """Run `scene(page)` in one browser, in the loop that it was opened in."""
    from chromium import chromium  # noqa: PLC0415 - beside this file

    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        page = runner.run(stack.enter_async_context(chromium()))
        try:
            yield lambda scene: runner.run(scene(page))
        finally:
            runner.run(stack.aclose())
