"""A person at a terminal: a pty with `dpa` in it, what is on it, and their keys."""

import os
import pty
import re
import select
import subprocess
import time
from pathlib import Path

from batch_desk import COMMAND

CTRL_C = b"\x03"
_DRAWING = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


class Terminal:
    """`dpa` with these words on a terminal of its own, its standard output as well."""

    def __init__(self, folder, *words):
        self._screen, inside = pty.openpty()
        self.process = subprocess.Popen(
            [*COMMAND, *words],
            stdin=inside,
            stdout=inside,
            stderr=inside,
            cwd=folder,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "100", "LINES": "30"},
            start_new_session=True,
            preexec_fn=_take_the_terminal,  # noqa: PLW1509 - no threads in it
        )
        os.close(inside)
        self._raw = b""

    @property
    def shown(self):
        """What was shown until now, without what moves the cursor."""
        return _DRAWING.sub("", self._raw.decode(errors="replace"))

    def press(self, keys):
        os.write(self._screen, keys)

    def watch(self, happened, timeout=60.0):
        """Read what is shown until something has happened; if None, to the end."""
        until = time.monotonic() + timeout
        while happened is None or not happened():
            assert time.monotonic() < until, f"it did not happen: {self.shown[-2000:]}"
            if not select.select([self._screen], [], [], 0.02)[0]:
                continue
            try:
                piece = os.read(self._screen, 65_536)
            except OSError:  # nobody has the other end any more
                piece = b""
            if not piece:
                assert happened is None, f"it ended: {self.shown[-2000:]}"
                return
            self._raw += piece

    def has_open(self, name):
        """Whether it has a file open whose path has this in it."""
        try:
            links = list(Path(f"/proc/{self.process.pid}/fd").iterdir())
            return any(name in str(link.readlink()) for link in links)
        except FileNotFoundError:  # it was just closed
            return False

    def end(self):
        """Read to the end; gives the exit code."""
        self.watch(None)
        return self.process.wait(60)

    def close(self):
        """Leave nothing behind, whatever happened."""
        self.process.kill()
        self.process.wait()
        os.close(self._screen)


def _take_the_terminal():
    import fcntl  # noqa: PLC0415 - in the child alone
    import termios  # noqa: PLC0415

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
