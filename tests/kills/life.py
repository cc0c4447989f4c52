"""A life of a process that may end by SIGKILL; many of them, forked, at little cost.

Run as a program it imports everything once and forks a worker for each socket that it
is given. A worker reads jobs, a line of JSON each, forks a life for each, and tells in
the end how it died. The life itself tells, on the same socket, what it came to.
"""

import asyncio
import contextlib
import json
import os
import random
import signal
import socket
import sys
import threading
from contextlib import asynccontextmanager

from dpa_async import DPAClient, Limits, Runner, RunRequest, WaitPolicy, run_many
from dpa_async.journal import SQLiteJournal
from dpa_async.settings import Settings
from dpa_async.transport.aiohttp_backend import AiohttpBackend

QUICK = WaitPolicy(first_look=0.02, maximum=0.1)


class Killer:
    """Ends this process by SIGKILL when a point is crossed for the n-th time."""

    def __init__(self, tell, kill):
        self.tell = tell
        self._point, self._left, seed = kill or ("", 0, 0)
        self._rng = random.Random(seed)

    def is_due(self, point, key):
        if point != self._point:
            return False
        self._left -= 1
        if self._left == 0:
            self.tell(killed_at=key)
        return self._left == 0

    def cross(self, point, key):
        if self.is_due(point, key):
            os.kill(os.getpid(), signal.SIGKILL)

    def soon(self, least, most):
        """Kill from a thread, so that it strikes this one wherever it is by then."""
        dead = (os.getpid(), signal.SIGKILL)
        threading.Timer(self._rng.uniform(least, most), os.kill, dead).start()


class KillingJournal:
    """A journal that is killed before, during or after one of its writes."""

    def __init__(self, journal, killer):
        self._journal = journal
        self._killer = killer
        self.find = journal.find
        self.unfinished = journal.unfinished

    async def intend(self, submission, params, *, wants_outputs):
        writing = self._journal.intend(submission, params, wants_outputs=wants_outputs)
        await self._write("intend", submission.key, writing)

    async def withdraw(self, key):
        await self._write("withdraw", key, self._journal.withdraw(key))

    async def uncertain(self, submission):
        writing = self._journal.uncertain(submission)
        await self._write("uncertain", submission.key, writing)

    async def started(self, key, ref, submitted_at):
        writing = self._journal.started(key, ref, submitted_at)
        await self._write("started", key, writing)

    async def finished(self, key, result):
        await self._write("finished", key, self._journal.finished(key, result))

    async def _write(self, name, key, writing):
        self._killer.cross(f"before {name}", key)
        if self._killer.is_due(f"during {name}", key):
            self._killer.soon(0, 0.004)
            await writing
            await asyncio.Event().wait()  # for the end
        await writing
        self._killer.cross(f"after {name}", key)


class KillingBackend:
    """Real HTTP, killed before an execute leaves, while it is out, or answered."""

    def __init__(self, backend, killer):
        self._backend = backend
        self._killer = killer

    async def exchange(self, method, url, headers, body, *, on_sent, **options):
        if "/execute/" not in url:
            return await self._backend.exchange(
                method, url, headers, body, on_sent=on_sent, **options
            )
        key = json.loads(body)["mapParam"]["key"]
        self._killer.cross("before the POST", key)
        self._killer.tell(post=key)
        dies = False

        def sent():
            nonlocal dies
            on_sent()
            if dies := self._killer.is_due("POST out", key):
                self._killer.soon(0.002, 0.02)

        try:
            reply = await self._backend.exchange(
                method, url, headers, body, on_sent=sent, **options
            )
            self._killer.cross("answered", key)
        finally:
            if dies:
                await asyncio.Event().wait()
            self._killer.tell(over=key)
        return reply


@asynccontextmanager
async def living(job, killer):
    settings = Settings(
        **job["settings"], limits=Limits(submissions_in_flight=job["in_flight"])
    )
    backend = AiohttpBackend(settings)
    async with (
        contextlib.aclosing(backend),
        DPAClient(settings, backend=KillingBackend(backend, killer)) as client,
        SQLiteJournal(job["journal"]) as journal,
        Runner(client, journal=KillingJournal(journal, killer), wait=QUICK) as runner,
    ):
        yield runner


def requests(job):
    return [
        RunRequest(workflow_id, {"key": key}, key=key)
        for key, workflow_id in job["requests"].items()
    ]


async def live(job, tell):
    killer = Killer(tell, job.get("kill"))
    async with living(job, killer) as runner:
        batch = (
            runner.resume() if job.get("resume") else run_many(runner, requests(job))
        )
        async with batch:
            async for outcome in batch:
                tell(outcome=told(outcome))


def told(outcome):
    error = outcome.error
    result = outcome.result or getattr(error, "result", None)
    submission = getattr(error, "submission", None)
    return {
        "key": outcome.request.key,
        "run": result and result.ref.run_id,
        "echo": result and result.outputs.json("echo"),
        "error": error and type(error).__name__,
        "names": submission and submission.key,
    }


def serve(sock):
    """Fork a life for each job that comes in, until nobody is there any more."""

    def tell(**words):
        sock.sendall(json.dumps(words).encode() + b"\n")  # at once: it outlives us

    with sock.makefile("rb") as jobs:
        for line in jobs:
            pid = os.fork()
            if pid == 0:
                tell(pid=os.getpid())
                asyncio.run(live(json.loads(line), tell))
                os._exit(0)
            _, status = os.waitpid(pid, 0)
            tell(died=os.waitstatus_to_exitcode(status))


def main():
    socks = [socket.socket(fileno=int(fd)) for fd in sys.argv[1:]]
    for mine in socks:
        if os.fork() == 0:
            for sock in socks:
                if sock is not mine:
                    sock.close()
            with contextlib.suppress(BrokenPipeError):  # who asked has gone
                serve(mine)
            os._exit(0)
    for sock in socks:
        sock.close()
    for _ in socks:
        os.wait()


if __name__ == "__main__":
    main()
