"""Processes that a scene needs, and that it ends: a Redis above all."""

import os
import signal
import socket
import subprocess
import threading
from contextlib import contextmanager


@contextmanager
def process(*command, **options):
    started = subprocess.Popen(command, start_new_session=True, text=True, **options)
    try:
        yield started
    finally:
        kill(started)
        for pipe in (started.stdin, started.stdout):
            if pipe is not None:
                pipe.close()


def kill(started):
    """End a process and what it started, as a machine does that goes down."""
    if started.returncode is None:
        os.killpg(started.pid, signal.SIGKILL)
        started.wait()


@contextmanager
def redis_server(directory):
    """A Redis that forgets nothing; gives its URL."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ("--port", str(port), "--bind", "127.0.0.1", "--dir", str(directory))
    durable = ("--appendonly", "yes", "--appendfsync", "always", "--save", "")
    quiet = {"stdout": subprocess.DEVNULL}
    with process("redis-server", *words, *durable, **quiet):
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            threading.Event().wait(0.05)
        yield f"redis://127.0.0.1:{port}/0"
