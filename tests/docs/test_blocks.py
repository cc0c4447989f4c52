"""The README's and docs' code runs as it stands, against the simulator.

A fenced ``python`` block is a program of its own, and one whose title begins with
``test_`` a test file. A block with a file's name for a title is a file that the blocks
after it on its page find beside them. A block that is followed by one with the title
``Output`` has to print just that, also one in ``sh``. One that cannot run here has the
comment ``<!-- not run: reason -->`` on the line before it, and its reason in `NOT_RUN`.
"""

import ast
import os
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from pages import BLOCKS, OUTPUT, ROOT, Block, blocks, files_before, with_outputs

# Every block that is not run, as (page, reason): nothing is left out in silence.
NOT_RUN: frozenset[tuple[str, str]] = frozenset(
    {("docs/integrations/airflow.md", "it needs Airflow: `nox -s airflow` runs it")}
)

TIMEOUT = 60.0

# What runs a block that awaits at its top level, as a notebook would.
AWAITING = """\
import ast, asyncio, pathlib, sys
path = sys.argv[1]
flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
code = compile(pathlib.Path(path).read_text(encoding="utf-8"), path, "exec", flags)
asyncio.run(eval(code, {"__name__": "__main__"}))
"""
STRICT = """\
[pytest]
strict = true
filterwarnings = error
asyncio_mode = auto
asyncio_default_fixture_loop_scope = function
"""

PROGRAMS = [
    block
    for block in BLOCKS
    if block.language == "python" or (block.language == "sh" and block.output)
]
SHELL = [
    block.code.strip()
    for block in BLOCKS
    if block.language == "sh" and block.page == "README.md"
]


def awaits_at_the_top(code: str) -> bool:
    try:
        compile(code, "block", "exec")
    except SyntaxError:
        compile(code, "block", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        return True
    return False


def command(block: Block, directory: Path) -> list[str]:
    """What runs a block, in a directory that has what it needs."""
    if block.language == "sh":
        return ["sh", "-e", "-c", block.code]
    script = directory / (block.title or "block.py")
    script.write_text(block.code, encoding="utf-8")
    python = [sys.executable, "-W", "error"]
    if script.name.startswith("test_"):
        (directory / "pytest.ini").write_text(STRICT, encoding="utf-8")
        return [*python, "-m", "pytest", "-q", "-p", "no:cacheprovider", script.name]
    if awaits_at_the_top(block.code):
        return [*python, "-c", AWAITING, script.name]
    return [*python, script.name]


@pytest.mark.parametrize(
    "block", [pytest.param(block, id=block.name) for block in PROGRAMS]
)
@pytest.mark.usefixtures("dpa_server")  # found by DPAClient.from_env()
def test_block_runs(block: Block, tmp_path: Path) -> None:
    if block.not_run is not None:
        pytest.skip(block.not_run)
    for name, text in files_before(block).items():
        (tmp_path / name).write_text(text, encoding="utf-8")
        (tmp_path / name).chmod(0o600)  # as settings with a secret have to be
    here = Path(sys.executable).parent
    done = subprocess.run(
        command(block, tmp_path),
        check=False,
        capture_output=True,
        cwd=tmp_path,
        env={
            **os.environ,
            "PATH": f"{here}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(tmp_path),
        },
        stdin=subprocess.DEVNULL,
        text=True,
        timeout=TIMEOUT,
    )
    assert done.returncode == 0, f"{block.name}\n{done.stdout}\n{done.stderr}"
    if block.output is not None:
        assert done.stdout == block.output, block.name


@pytest.mark.parametrize(
    "block", [pytest.param(b, id=b.name) for b in BLOCKS if b.language == "toml"]
)
def test_toml_is_toml(block: Block) -> None:
    assert tomllib.loads(block.code)


def test_only_listed_blocks_are_not_run() -> None:
    marked = {(block.page, block.not_run) for block in BLOCKS if block.not_run}
    assert marked == NOT_RUN


def test_the_readme_has_a_program() -> None:
    assert any(block.page == "README.md" for block in PROGRAMS)


def test_the_first_shell_block_is_the_demo_in_one_command() -> None:
    demo = SHELL[0]
    assert len(demo.splitlines()) == 1
    assert demo.endswith("-m dpa_async demo")


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
        '# A page\n\n```python title="a.py"\nawait f()\n```\n\n'
        "<!-- not run: a reason -->\n\n"
        "```sh\na && b\n```\n\n  ````md\n  ```\n  ````\n\n"
        f'```text title="{OUTPUT}"\nhere\n```\n'
    )
    assert list(with_outputs(list(blocks(page, "a.md")))) == [
        Block("a.md", 3, "python", "a.py", "await f()\n", None),
        Block("a.md", 9, "sh", None, "a && b\n", "a reason"),
        Block("a.md", 13, "md", None, "```\n", None, "here\n"),
        Block("a.md", 17, "text", OUTPUT, "here\n", None),
    ]
    assert awaits_at_the_top("await f()")
    assert not awaits_at_the_top("f()")
