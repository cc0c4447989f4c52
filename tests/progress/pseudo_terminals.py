"""A pseudo-terminal, and what somebody who looks at it sees."""

import fcntl
import os
import struct
import termios

import pyte


class PseudoTerminal:
    """Draws what is written to `file`, whenever `look` is called."""

    def __init__(self, columns=80, rows=24, encoding="utf-8"):
        self.written = ""
        self.screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self.screen)
        self._ours, theirs = os.openpty()
        os.set_blocking(self._ours, False)
        self.file = os.fdopen(theirs, "w", encoding=encoding, buffering=1)
        self.resize(columns, rows)

    def resize(self, columns, rows):
        size = struct.pack("HHHH", rows, columns, 0, 0)
        fcntl.ioctl(self.file.fileno(), termios.TIOCSWINSZ, size)
        self.screen.resize(rows, columns)

    def look(self):
        """Give the lines that are on the screen, without empty ones at the end."""
        while True:
            try:
                piece = os.read(self._ours, 65536)
            except BlockingIOError:
                break
            self.written += piece.decode(self.file.encoding)
            self._stream.feed(piece)
        lines = [line.rstrip() for line in self.screen.display]
        while lines and not lines[-1]:
            lines.pop()
        return lines

    @property
    def cursor(self):
        return self.screen.cursor.y, self.screen.cursor.x

    def close(self):
        self.file.close()
        os.close(self._ours)
