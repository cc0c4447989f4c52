"""Processes that a scene needs, and that it ends: a Redis above all."""

import os
import signal
import socket
import subprocess
import threading
from contextlib import ExitStack, contextmanager


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


class RedisServer:
    """A Redis that forgets nothing, and can be killed and begun again."""

    def __init__(self, directory):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.directory = directory
        self.life = ExitStack()

    def start(self):
        port, directory = str(self.port), str(self.directory)
        words = ("--port", port, "--bind", "127.0.0.1", "--dir", directory)
        durable = ("--appendonly", "yes", "--appendfsync", "always", "--save", "")
        quiet = {"stdout": subprocess.DEVNULL}
        self.life.enter_context(process("redis-server", *words, *durable, **quiet))
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    break
            threading.Event().wait(0.05)

    def kill(self):
        self.life.close()


@contextmanager
def redis_server(directory):
    server = RedisServer(directory)
    server.start()
    try:
        yield server
    finally:
        server.kill()
