"""The README's and docs' code runs as it stands, against the simulator.

A fenced ``python`` block is a program of its own. One that cannot run here has the
comment ``<!-- not run: reason -->`` on the line before it, and its reason in `NOT_RUN`.
"""

import ast
import asyncio
import os
import re
import shlex
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import NamedTuple

import pytest

from dpa_async import Settings
from dpa_async.simulator import Simulator

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

# Every block that is not run, as (page, reason): nothing is left out in silence.
NOT_RUN: frozenset[tuple[str, str]] = frozenset()

TIMEOUT = 60.0

FENCE = re.compile(r"^(?P<indent> *)(?P<ticks>`{3,})(?P<info>[^`]*)$")
SKIP = re.compile(r"^<!-- not run: (?P<reason>.+) -->$")

# What runs a block that awaits at its top level, as a notebook would.
AWAITING = """\
import ast, asyncio, pathlib, sys
path = sys.argv[1]
flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
code = compile(pathlib.Path(path).read_text(encoding="utf-8"), path, "exec", flags)
asyncio.run(eval(code, {"__name__": "__main__"}))
"""


class Block(NamedTuple):
    page: str
    line: int
    language: str
    code: str
    not_run: str | None

    @property
    def name(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(text: str, page: str) -> Iterator[Block]:
    """The fenced blocks of one page, each with the line that it opens on."""
    lines = text.splitlines()
    before, at = "", 0
    while at < len(lines):
        opening = FENCE.match(lines[at])
        if opening is None:
            before = lines[at].strip() or before
            at += 1
            continue
        closing = at + 1
        while lines[closing].strip() != opening["ticks"]:
            closing += 1
        skip = SKIP.match(before)
        yield Block(
            page,
            at + 1,
            opening["info"].strip(),
            textwrap.dedent("\n".join(lines[at + 1 : closing])) + "\n",
            skip["reason"] if skip else None,
        )
        before, at = "", closing + 1


BLOCKS = [
    block
    for page in PAGES
    for block in blocks(
        page.read_text(encoding="utf-8"), page.relative_to(ROOT).as_posix()
    )
]
PYTHON = [block for block in BLOCKS if block.language == "python"]
SHELL = [
    block.code.strip()
    for block in BLOCKS
    if block.language == "sh" and block.page == "README.md"
]


def environment_of(settings: Settings) -> dict[str, str]:
    """The variables that `Settings.from_env` reads, for these settings."""
    assert isinstance(settings.execute_urls, str)
    return {
        "DPA_BASE_URL": settings.base_url,
        "DPA_CLIENT_ID": settings.client_id,
        "DPA_CLIENT_SECRET": settings.client_secret,
        "DPA_EXECUTE_URL": settings.execute_urls,
    }


async def serve(ready: Future[dict[str, str]], stop: Future[None]) -> None:
    try:
        async with Simulator() as simulator:
            ready.set_result(environment_of(simulator.settings()))
            await asyncio.wrap_future(stop)
    except BaseException as error:
        if not ready.done():
            ready.set_exception(error)
        raise


@pytest.fixture(scope="module")
def platform() -> Iterator[Mapping[str, str]]:
    """A simulated platform on a thread of its own; its settings as variables."""
    ready: Future[dict[str, str]] = Future()
    stop: Future[None] = Future()
    thread = threading.Thread(target=asyncio.run, args=(serve(ready, stop),))
    thread.start()
    try:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("DPA_")}
        yield inherited | ready.result(timeout=TIMEOUT)
    finally:
        stop.set_result(None)
        thread.join()


def awaits_at_the_top(code: str) -> bool:
    try:
        compile(code, "block", "exec")
    except SyntaxError:
        compile(code, "block", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        return True
    return False


@pytest.mark.parametrize(
    "block", [pytest.param(block, id=block.name) for block in PYTHON]
)
def test_block_runs(block: Block, platform: Mapping[str, str], tmp_path: Path) -> None:
    if block.not_run is not None:
        pytest.skip(block.not_run)
    script = tmp_path / "block.py"
    script.write_text(block.code, encoding="utf-8")
    by = ["-c", AWAITING] if awaits_at_the_top(block.code) else []
    run = subprocess.run(
        [sys.executable, "-W", "error", *by, str(script)],
        check=False,
        capture_output=True,
        cwd=tmp_path,
        env=platform,
        stdin=subprocess.DEVNULL,
        text=True,
        timeout=TIMEOUT,
    )
    assert run.returncode == 0, f"{block.name}\n{run.stdout}\n{run.stderr}"


def test_only_listed_blocks_are_not_run() -> None:
    marked = {(block.page, block.not_run) for block in BLOCKS if block.not_run}
    assert marked == NOT_RUN


def test_the_readme_has_a_program() -> None:
    assert any(block.page == "README.md" for block in PYTHON)


def test_the_first_shell_block_is_the_demo_in_one_command() -> None:
    command = SHELL[0]
    assert len(command.splitlines()) == 1
    assert command.endswith("-m dpa_async demo")


def test_the_demo_runs(tmp_path: Path) -> None:
    words = shlex.split(SHELL[0].rpartition("&&")[2])
    subprocess.run(
        [sys.executable, *words[1:]], check=True, cwd=tmp_path, timeout=TIMEOUT
    )


def test_the_second_shell_block_is_what_ci_runs() -> None:
    lines = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert SHELL[1] in lines


def test_blocks_are_found_with_their_marks() -> None:
    page = (
        "# A page\n\n```python\nawait f()\n```\n\n<!-- not run: a reason -->\n\n"
        "```sh\na && b\n```\n\n  ````md\n  ```\n  ````\n"
    )
    assert list(blocks(page, "a.md")) == [
        Block("a.md", 3, "python", "await f()\n", None),
        Block("a.md", 9, "sh", "a && b\n", "a reason"),
        Block("a.md", 13, "md", "```\n", None),
    ]
    assert awaits_at_the_top("await f()")
    assert not awaits_at_the_top("f()")
