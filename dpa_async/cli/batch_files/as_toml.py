"""TOML: a table `[[run]]` for each request; for files that people write."""

import re
import tomllib
from typing import IO, cast

from dpa_async.cli.batch_files.records import BadLine, Records, read_record

_TABLES = "run"
_HEADING = re.compile(rb"^[ \t]*\[\[[ \t]*(?:run|\"run\"|'run')[ \t]*\]\]")
_POSITION = re.compile(r" ?\(at line (\d+), column (\d+)\)$")


def read_toml(file: IO[bytes]) -> Records:
    """Read the whole file, in the way of the format, then a table at a time."""
    text = file.read()
    try:
        top = tomllib.loads(text.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = text.count(b"\n", 0, error.start) + 1
        yield BadLine(line, "is not UTF-8: save the file as UTF-8")
        return
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        yield _not_toml(str(error))
        return
    runs = top.pop(_TABLES, [])
    if top:
        names = ", ".join(map(repr, top))
        yield BadLine(1, f"{names} is not known at the top: write [[{_TABLES}]] tables")
    lines = _headings(text)
    if not isinstance(runs, list) or len(cast("list[object]", runs)) != len(lines):
        words = f"give each run a heading of its own, [[{_TABLES}]], and no text one"
        yield BadLine(1, words)
        return
    tables = cast("list[dict[str, object]]", runs)
    for line, table in zip(lines, tables, strict=True):
        yield read_record(line, table)


def _headings(text: bytes) -> list[int]:
    """Tell on which lines tables begin: `tomllib` does not."""
    lines = text.splitlines()
    return [n for n, line in enumerate(lines, 1) if _HEADING.match(line)]


def _not_toml(words: str) -> BadLine:
    place = _POSITION.search(words)
    if place is None:
        return BadLine(1, f"is not TOML: {words}")
    reason = f"is not TOML: {words[: place.start()]} (column {place[2]})"
    return BadLine(int(place[1]), reason)
