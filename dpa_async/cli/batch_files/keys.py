"""Keys: those that lines have, those that are made for lines without, and none twice.

A line without a key gets one of what it asks for: the SHA-256 of its workflow and its
parameters, and a number from the second line of the same on. So it keeps its key when
other lines come, go or move, or when its time-out changes; what asks for something else
has another key. Where a line stands is no part of it.
"""

import hashlib
import struct
import tempfile
import zlib
from array import array
from collections.abc import Iterator
from contextlib import ExitStack
from types import TracebackType
from typing import IO, Self

from attrs import field, frozen

from dpa_async.cli.batch_files.records import BadLine, Record

MADE = "auto-"
"""How a key begins that was made of what its line asks for."""

_DIGITS = 32  # of 64: no two that differ are ever the same
_SHELVES = 64
_IN_MEMORY = 2**17  # bytes of a shelf; more of it is on the disk
_HEAD = struct.Struct("<QQ?I")  # the number of the record, its line, made?, its bytes


def made_key(record: Record) -> str:
    """Make a key of what a line asks for."""
    words = f"{record.request.workflow_id}\0{record.params_digest}"
    return MADE + hashlib.sha256(words.encode()).hexdigest()[:_DIGITS]


def numbered(key: str, number: int) -> str:
    """Give the key of the first, second, third … line that asks for the same."""
    return key if number <= 1 else f"{key}-{number}"


@frozen
class Repeats:
    """Which lines without a key ask for the same as one before them.

    Attributes:
        numbers: By the number of the record, 4 bytes for each; empty where there is no
            such line.
    """

    numbers: "array[int]" = field(factory=lambda: array("I"))

    def key(self, index: int, record: Record) -> str:
        """Give the key of a record.

        Args:
            index: Which one it is, from 0 on.
            record: What it says.
        """
        if record.request.key is not None:
            return record.request.key
        number = self.numbers[index] if index < len(self.numbers) else 1
        return numbered(made_key(record), number)


class Keys:
    """The keys of a file of any size, on shelves: a shelf at a time is in memory.

    A context manager; leaving it throws the shelves away.
    """

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._shelves: list[IO[bytes]] = []
        self._count = 0

    def __enter__(self) -> Self:
        """Make room.

        Raises:
            OSError: There is none.
        """
        for _ in range(_SHELVES):
            shelf = tempfile.SpooledTemporaryFile(_IN_MEMORY)
            self._shelves.append(self._stack.enter_context(shelf))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Throw them away."""
        self._stack.close()

    def add(self, record: Record) -> None:
        """Take the key of the next record.

        Raises:
            OSError: There is no room.
        """
        key = record.request.key
        is_made = key is None
        text = (made_key(record) if key is None else key).encode()
        head = _HEAD.pack(self._count, record.line, is_made, len(text))
        self._shelf(text).write(head + text)
        self._count += 1

    def _shelf(self, key: bytes) -> IO[bytes]:
        # Those that are made of the same stand together with those that look so.
        made = len(MADE) + _DIGITS
        stem = key[:made] if key.startswith(MADE.encode()) else key
        return self._shelves[zlib.crc32(stem) % _SHELVES]

    def look_through(self, repeats: Repeats) -> Iterator[BadLine]:
        """Give the lines whose key another one has; note which repeat another.

        Raises:
            OSError: A shelf cannot be read.
        """
        for shelf in self._shelves:
            shelf.seek(0)
            seen: dict[bytes, int] = {}
            made: dict[bytes, int] = {}
            for index, line, is_made, key in _read(shelf):
                if is_made:
                    number = made[key] = made.get(key, 0) + 1
                    if number > 1:
                        self._note(repeats, index, number)
                        key = numbered(key.decode(), number).encode()  # noqa: PLW2901
                first = seen.setdefault(key, line)
                if first != line:
                    words = f"its key {key.decode()!r} is that of line {first}"
                    yield BadLine(line, words)

    def _note(self, repeats: Repeats, index: int, number: int) -> None:
        if not repeats.numbers:
            repeats.numbers.frombytes(bytes(repeats.numbers.itemsize * self._count))
        repeats.numbers[index] = number


def _read(shelf: IO[bytes]) -> Iterator[tuple[int, int, bool, bytes]]:
    while head := shelf.read(_HEAD.size):
        index, line, is_made, length = _HEAD.unpack(head)
        yield index, line, is_made, shelf.read(length)
