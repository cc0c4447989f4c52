"""Lives that are killed, and what is true afterwards: the platform's and the journal's.

The platform is in this process, on a real socket; lives are processes of their own.
"""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections import defaultdict
from contextlib import asynccontextmanager
from pathlib import Path

from attrs import define, field

import dpa_async
from dpa_async import DPAClient, Runner, RunRef
from dpa_async.journal import EntryState, SQLiteJournal

LIFE = Path(__file__).with_name("life.py")
UNKNOWN = {EntryState.INTENDED, EntryState.UNCERTAIN}
LONGEST_LIFE = 60.0


@define
class Life:
    """What a life told before it ended."""

    died: int = 0
    killed_at: str | None = None
    posts: set = field(factory=set)  # that began
    over: set = field(factory=set)  # of which an answer was read, or its loss seen
    outcomes: dict = field(factory=dict)

    @property
    def uncertain(self):
        return {
            key
            for key, outcome in self.outcomes.items()
            if outcome["error"] == "SubmissionUncertainError"
        }

    def hear(self, words):
        match words:
            case {"outcome": outcome}:
                assert outcome["key"] not in self.outcomes, "two outcomes of a key"
                self.outcomes[outcome["key"]] = outcome
            case {"post": key}:
                self.posts.add(key)
            case {"over": key}:
                self.over.add(key)
            case {"killed_at": key}:
                self.killed_at = key
            case {"died": status}:
                self.died = status


class Worker:
    """Where lives are lived, one at a time."""

    def __init__(self, reader, writer):
        self._reader = reader
        self._writer = writer

    async def live(self, job, at_birth=None):
        """Live a life to its end; `at_birth(pid)` is awaited meanwhile."""
        life = Life()
        self._writer.write(json.dumps(job).encode() + b"\n")
        murder = None
        async with asyncio.timeout(LONGEST_LIFE), asyncio.TaskGroup() as group:
            while line := await self._reader.readline():
                words = json.loads(line)
                if "pid" in words and at_birth is not None:
                    murder = group.create_task(at_birth(words["pid"]))
                life.hear(words)
                if "died" in words:
                    break
            if murder is not None:
                murder.cancel()
        return life


@asynccontextmanager
async def workers(count):
    """Start a process with so many workers; gives a queue of those that are free."""
    pairs = [socket.socketpair() for _ in range(count)]
    theirs = [their.fileno() for _, their in pairs]
    package = str(Path(dpa_async.__file__).parents[1])
    process = subprocess.Popen(  # noqa: ASYNC220 - before anything else goes on
        [sys.executable, "-W", "error", str(LIFE), *map(str, theirs)],
        pass_fds=theirs,
        start_new_session=True,  # of its own, to be ended with all that it forked
        env={**os.environ, "PYTHONPATH": package},
    )
    free = asyncio.Queue()
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(end, process)
        for ours, their in pairs:
            their.close()
            reader, writer = await asyncio.open_connection(sock=ours, limit=2**20)
            stack.push_async_callback(writer.wait_closed)
            stack.callback(writer.close)
            free.put_nowait(Worker(reader, writer))
        yield free


def end(process):
    """End a process and all that it forked: no life outlives the test."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@define
class World:
    """A platform, a journal, and the requests that all lives make."""

    platform: object
    journal: Path
    requests: dict  # key: workflow
    in_flight: int

    def job(self, **options):
        application = self.platform.platform.application
        settings = {
            "base_url": self.platform.url,
            "client_id": application.client_id,
            "client_secret": application.client_secret,
            "execute_urls": self.platform.execute_url("{workflow_id}").replace(
                "%7Bworkflow_id%7D", "{workflow_id}"
            ),
        }
        return {
            "settings": settings,
            "journal": str(self.journal),
            "requests": self.requests,
            "in_flight": self.in_flight,
            **options,
        }

    @property
    def truth(self):
        """The runs that the platform really started, by key."""
        runs = defaultdict(list)
        for run in self.platform.platform.runs.values():
            if not run.foreign:
                runs[run.params["key"]].append(run.run_id)
        return runs

    async def quiet(self):
        """Wait until the platform has nothing in hand: what a dead process sent too."""
        calm = 0
        while calm < 5:
            await asyncio.sleep(0.002)
            calm = 0 if self.platform._handling else calm + 1

    async def entries(self):
        """Read the journal as it was left, from a copy."""
        with tempfile.TemporaryDirectory() as folder:
            for file in self.journal.parent.glob(self.journal.name + "*"):
                if not file.name.endswith(("-shm", "-lock")):
                    shutil.copy(file, folder)
            async with SQLiteJournal(Path(folder, self.journal.name)) as journal:
                found = {key: journal.find(key) for key in self.requests}
        return {key: entry for key, entry in found.items() if entry is not None}

    async def unknown(self):
        """Give the keys of which it is not known whether they ran."""
        entries = await self.entries()
        return {key for key, entry in entries.items() if entry.state in UNKNOWN}

    async def check_left_behind(self, life):
        """See that a journal tells the truth after a kill; gives who is in doubt."""
        await self.quiet()
        truth, entries = self.truth, await self.entries()
        assert all(len(runs) == 1 for runs in truth.values()), truth
        assert truth.keys() <= entries.keys(), "a run is lost"
        unknown = {key for key, entry in entries.items() if entry.state in UNKNOWN}
        for key, entry in entries.items():
            if key not in unknown:
                assert [entry.ref.run_id] == truth[key]
        for key, outcome in life.outcomes.items():  # what was yielded is durable
            assert key in unknown or entries[key].state is EntryState.FINISHED, outcome
        return entries, unknown

    @asynccontextmanager
    async def runner(self):
        async with (
            DPAClient(self.platform.settings()) as client,
            SQLiteJournal(self.journal) as journal,
            Runner(client, journal=journal) as runner,
        ):
            yield runner, journal

    async def settle(self, keys):
        """Give a person's verdict on those in doubt: what the platform really did."""
        truth = self.truth
        async with self.runner() as (runner, journal):
            for key in keys:
                submission = journal.find(key).submission
                ref = None
                if truth[key]:
                    ref = RunRef(submission.origin, submission.workflow_id, *truth[key])
                await runner.settle(submission, ran=ref)

    def check_complete(self, life, failing=frozenset()):
        """See that every key has one run and one outcome, and those are its own."""
        truth = self.truth
        assert life.died == 0
        assert life.outcomes.keys() == truth.keys() == self.requests.keys()
        for key, outcome in life.outcomes.items():
            assert outcome["error"] == ("RunFailedError" if key in failing else None)
            assert outcome["echo"] == {"key": key}
            assert [outcome["run"]] == truth[key]
