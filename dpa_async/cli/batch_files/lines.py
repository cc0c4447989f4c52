"""A file line by line: counted, decoded, and none larger than memory can hold."""

import codecs
from collections.abc import Iterator
from typing import IO

from typing_extensions import override

LONGEST = 2**24
"""Bytes of a line that are read; a longer one is a bad line."""

_PIECE = 2**16


class Lines(Iterator[str]):
    """The lines of a file, with their ends; goes on after one that cannot be read.

    Args:
        file: Read from where it stands; a byte order mark may lead.

    Attributes:
        number: Which line was read last, from 1 on; 0 before the first.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.number = 0

    @override
    def __next__(self) -> str:
        """Give the next line.

        Raises:
            StopIteration: There is none.
            ValueError: It is no UTF-8, or too long; the one after it can be read.
        """
        raw = self._file.readline(LONGEST + 1)
        if not raw:
            raise StopIteration
        self.number += 1
        if len(raw) > LONGEST:
            self._skip(raw)
            msg = f"is longer than {LONGEST >> 20} MiB: has it lost its line ends?"
            raise ValueError(msg)
        if self.number == 1:
            raw = raw.removeprefix(codecs.BOM_UTF8)
        return _decoded(raw)

    def _skip(self, raw: bytes) -> None:
        while raw and not raw.endswith(b"\n"):
            raw = self._file.readline(_PIECE)


def _decoded(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        at = error.start + 1
    msg = f"is not UTF-8 (byte {at} of the line): save the file as UTF-8"
    raise ValueError(msg)
