"""One process at a time: a lock on a file beside the journal, with its owner's name.

The lock is the operating system's, so it ends with its owner however that dies, and
nothing has to be cleaned up. It is not SQLite's own exclusive mode, which allows one
connection only: what is read in the event loop would wait for the disk whenever
the writer does. It is not a POSIX record lock, which any part of this process
would release by just opening and closing the file. It is on a file of its own, because
SQLite's locks are record locks on the journal itself, and Windows' locks keep others
from reading who the owner is.
"""

import contextlib
import errno
import json
import os
import socket
import sys
import weakref
from datetime import UTC, datetime
from pathlib import Path

from attrs import define, field

from dpa_async.journal.problems import from_os, problem

SUFFIX = "-lock"

if sys.platform == "win32":  # pragma: no cover - measured where CI runs
    import msvcrt

    _FAR = 2**30  # beyond what is written there: others can read who the owner is

    def _lock(fd: int) -> None:
        os.lseek(fd, _FAR, os.SEEK_SET)
        msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
        os.lseek(fd, 0, os.SEEK_SET)

else:
    import fcntl

    def _lock(fd: int) -> None:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)


_HELD = (errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK)


@define(eq=False, slots=True, weakref_slot=True)
class Ownership:
    """That this process, and this journal object in it, has a journal to itself."""

    _fd: int | None = field(alias="fd")

    @property
    def held(self) -> bool:
        """Whether it is this process's still."""
        return self._fd is not None

    def release(self) -> None:
        """Let others have it; idempotent."""
        fd, self._fd = self._fd, None
        if fd is not None:
            with contextlib.suppress(OSError):
                os.ftruncate(fd, 0)
            os.close(fd)

    def forget(self) -> None:
        """Leave it to the parent, in a process that was forked."""
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)


_owned: "weakref.WeakSet[Ownership]" = weakref.WeakSet()


def _forget_all() -> None:
    for ownership in list(_owned):
        ownership.forget()


# A lock is shared with forked children, and would outlive its owner in them.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)


def own(path: str) -> Ownership:
    """Take the journal at this path for this process.

    Raises:
        JournalError: Somebody has it, in this process or another; or the file system
            does not allow it.
    """
    while True:
        try:
            fd = os.open(path + SUFFIX, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            cause = from_os(path, error)
            raise cause from None
        try:
            taken = _take(path, fd)
        except BaseException:
            os.close(fd)
            raise
        if taken:
            ownership = Ownership(fd)
            _owned.add(ownership)
            return ownership
        os.close(fd)


def _take(path: str, fd: int) -> bool:
    """Lock it and write who has it; False where it was deleted meanwhile."""
    try:
        _lock(fd)
    except OSError as error:
        if error.errno in _HELD:
            words = f"it is in use by {_owner(fd)}: end that first, or use another file"
            cause = problem(path, words)
        else:
            cause = from_os(path, error)
        raise cause from None
    try:
        if not os.path.samestat(os.fstat(fd), Path(path + SUFFIX).stat()):
            return False
    except FileNotFoundError:
        return False
    with contextlib.suppress(OSError):  # a courtesy to others, on a full disk too much
        os.ftruncate(fd, 0)
        os.write(fd, _signature())
    return True


def _signature() -> bytes:
    since = datetime.now(UTC).isoformat(timespec="seconds")
    words = {"pid": os.getpid(), "host": socket.gethostname(), "since": since}
    return json.dumps(words).encode()


def _owner(fd: int) -> str:
    """Say who has it, as far as that can be read."""
    try:
        os.lseek(fd, 0, os.SEEK_SET)
        words = json.loads(os.read(fd, 4096))
        pid, host, since = (str(words[name]) for name in ("pid", "host", "since"))
    except (OSError, ValueError, TypeError, KeyError):
        return "another process"
    if pid == str(os.getpid()) and host == socket.gethostname():
        return f"this process (pid {pid}) itself, since {since}"
    return f"process {pid} on host {host}, since {since}"
