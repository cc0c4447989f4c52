"""What the README and the pages in docs/ have in their fences."""

import re
import textwrap
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

FENCE = re.compile(r"^(?P<indent> *)(?P<ticks>`{3,})(?P<info>[^`]*)$")
SKIP = re.compile(r"^<!-- not run: (?P<reason>.+) -->$")
TITLE = re.compile(r'\btitle="(?P<title>[^"]+)"')
OUTPUT = "Output"


class Block(NamedTuple):
    """A fenced block.

    `title` is a file's name, `Output`, or nothing; `output` is what the block shows
    as its output, in the block after it.
    """

    page: str
    line: int
    language: str
    title: str | None
    code: str
    not_run: str | None
    output: str | None = None

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
        skip, title = SKIP.match(before), TITLE.search(opening["info"])
        yield Block(
            page,
            at + 1,
            next(iter(opening["info"].split()), ""),
            title["title"] if title else None,
            textwrap.dedent("\n".join(lines[at + 1 : closing])) + "\n",
            skip["reason"] if skip else None,
        )
        before, at = "", closing + 1


def with_outputs(found: list[Block]) -> Iterator[Block]:
    """Give each block the output that is shown in the block after it."""
    for block, after in zip_longest(found, found[1:]):
        shown = after is not None and after.title == OUTPUT
        yield block._replace(output=after.code if shown else None)


BLOCKS = [
    block
    for page in PAGES
    for block in with_outputs(
        list(
            blocks(page.read_text(encoding="utf-8"), page.relative_to(ROOT).as_posix())
        )
    )
]


def files_before(block: Block) -> dict[str, str]:
    """The files that a page has shown before one of its blocks: by name, the text."""
    return {
        other.title: other.code
        for other in BLOCKS
        if other.page == block.page
        and other.line < block.line
        and other.title not in (None, OUTPUT)
    }
