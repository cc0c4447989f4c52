"""Files and functions small enough to hold in the head."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "dpa_async"

FILE_LIMIT = 400
FUNCTION_LIMIT = 40

# What may be longer ("dpa_async/file.py", "dpa_async/file.py::Class.name"), and why.
LONGER: dict[str, str] = {}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def body_lines(function: Function) -> int:
    """How many lines a function's body has, its docstring not counted."""
    body = function.body
    if ast.get_docstring(function, clean=False) is not None:
        body = body[1:]
    if not body:
        return 0
    return (body[-1].end_lineno or 0) - body[0].lineno + 1


def functions(node: ast.AST, prefix: str = "") -> Iterator[tuple[str, Function]]:
    for child in ast.iter_child_nodes(node):
        named = isinstance(child, Function | ast.ClassDef)
        name = f"{prefix}{child.name}" if named else prefix
        if isinstance(child, Function):
            yield name, child
        yield from functions(child, f"{name}." if named else prefix)


def lengths() -> Iterator[tuple[str, int, int]]:
    """Every file and function: its name, its length, its limit."""
    for file in sorted(PACKAGE.rglob("*.py")):
        source = file.read_text(encoding="utf-8")
        path = file.relative_to(ROOT).as_posix()
        yield path, len(source.splitlines()), FILE_LIMIT
        for name, function in functions(ast.parse(source)):
            yield f"{path}::{name}", body_lines(function), FUNCTION_LIMIT


def test_nothing_is_longer_than_it_may_be() -> None:
    too_long = {name: n for name, n, limit in lengths() if n > limit}
    found = sorted(set(too_long) - set(LONGER))
    assert not found, "is it two things? " + ", ".join(
        f"{name} has {too_long[name]} lines" for name in found
    )
    stale = sorted(set(LONGER) - set(too_long))
    assert not stale, f"no longer too long, so no longer in LONGER: {stale}"


def test_lengths_are_counted_without_the_docstring() -> None:
    module = ast.parse(
        'class A:\n    def f(self):\n        """One\n\n        two."""\n'
        '        x = 1\n        return x\n\ndef g():\n    """Only words."""\n'
    )
    assert [(n, body_lines(f)) for n, f in functions(module)] == [("A.f", 2), ("g", 0)]
