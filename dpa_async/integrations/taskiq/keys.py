"""A journal in Redis: what has become of each key, for workers that share them.

    (nothing) ──intend──► intended ──started──► started ──finished──► finished
        ▲                    │ └──uncertain──► uncertain ──started──────┘
        └──────withdraw──────┴────withdraw────────┘

Each step is one script, so that of two workers who have the same key one writes the
intent, and only that one may execute. Nobody may ever again, as long as the entry is
there, but for what certainly did not run (`withdraw`). An intent bears the number of
its attempt: who was thought dead and is not can end its own attempt, and no later one.

That a worker lives is a key of its own which runs out. It never permits an execute: it
only tells when an intent without an answer is to be told as uncertain.
"""

import asyncio
import logging
import uuid
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, NoReturn, cast

from attrs import evolve, frozen
from redis.asyncio import Redis
from redis.exceptions import RedisError

from dpa_async.errors import JournalError
from dpa_async.integrations.taskiq.connections import PATIENCE
from dpa_async.integrations.taskiq.steps import Steps, as_text, fail
from dpa_async.journal import Entry, EntryState
from dpa_async.journal.rows import (
    evidence_text,
    intent_row,
    read_entry,
    result_row,
    start_row,
)
from dpa_async.models import RunRef, RunResult, Submission

_LOG = logging.getLogger(__name__)

_COLUMNS = ("intent", "params", "evidence", "run", "submitted_at", "result")


@frozen
class Known:
    """What Redis has of a key.

    Attributes:
        entry: How far it has come.
        attempt: Which attempt that is.
        owner: The worker that wrote the intent.
        owner_lives: Whether that one was heard of lately.
    """

    entry: Entry
    attempt: str
    owner: str
    owner_lives: bool


class RedisJournal:
    """A `Journal` that many workers share; each has an object of its own.

    `find` shows what `load` found, or what was written here since. An entry that
    another worker has changed meanwhile shows when this one wants to write.

    Args:
        redis: Where it is; closed by whoever made it.
        namespace: What the names of all its keys begin with.
        owner: A name of this worker that no other has or had.
        lease: Seconds after which a worker that is not heard of counts as dead.
        keep: Seconds for which the entry of a finished key is kept.
        patience: Seconds for which a Redis that does not answer is asked again. What
            it was to be told is told by `live`, when it does.
    """

    def __init__(
        self,
        redis: Redis,
        *,
        namespace: str,
        owner: str,
        lease: float,
        keep: float,
        patience: float = PATIENCE,
    ) -> None:
        self._redis = redis
        self._namespace = namespace
        self._owner = owner
        self._lease = lease
        self._steps = Steps(redis, namespace=namespace, keep=keep, patience=patience)
        self._known: dict[str, Entry] = {}
        self._attempts: dict[str, str] = {}  # of intents that have no run yet
        self._out: set[str] = set()  # of these: own ones, of a fate not written down

    async def load(self, key: str) -> Known | None:
        """Look up a key; from then on `find` shows it.

        Raises:
            JournalError: Redis does not answer, or what is there is no entry.
        """
        if await self._steps.pay(key):
            self._out.discard(key)
        name = self._steps.name(key)
        found: Any = await self._steps.ask(lambda: self._redis.hgetall(name))
        fields = {as_text(name): as_text(value) for name, value in found.items()}
        if not fields:
            self.forget(key)
            return None
        columns = ",".join(fields.get(column, "null") for column in _COLUMNS)
        try:
            entry = read_entry((None, key, fields["state"], f"[{columns}]"))
            owner, attempt = fields["owner"], fields["attempt"]
        except (ValueError, TypeError, KeyError, OverflowError):
            fail(key, "what is in Redis is no entry of this version")
        life = self._life(owner)
        lives = owner == self._owner or bool(
            await self._steps.ask(lambda: self._redis.exists(life))
        )
        self._known[key] = entry
        # An attempt of one's own that is out ends itself, and no later one.
        if entry.ref is None and key not in self._out:
            self._attempts[key] = attempt
        return Known(entry, attempt, owner, owner_lives=lives)

    def is_mine(self, known: Known) -> bool:
        """Tell whether it was this worker that wrote the intent."""
        return known.owner == self._owner

    def forget(self, key: str) -> None:
        """Show a key no more until it is loaded again; Redis keeps it."""
        self._known.pop(key, None)

    async def beat(self) -> None:
        """Tell the others that this worker lives; for `lease` they believe it.

        Raises:
            JournalError: Redis does not answer.
        """
        milliseconds = max(1, round(self._lease * 1000))
        life = self._life(self._owner)
        await self._steps.ask(lambda: self._redis.set(life, "", px=milliseconds))

    async def live(self) -> NoReturn:
        """Tell the others so, and what Redis did not hear, as long as this is awaited.

        Raises nothing but what cancels it.
        """
        while True:
            await asyncio.sleep(self._lease / 4)
            try:
                await self.beat()
                await self.catch_up()
            except JournalError as error:
                _LOG.warning("nobody was told that this worker lives: %s", error)

    async def catch_up(self) -> None:
        """Tell Redis what it did not hear.

        Raises:
            JournalError: It does not answer still.
        """
        for key in self._steps.owed():
            if await self._steps.pay(key):
                self._out.discard(key)

    def find(self, key: str) -> Entry | None:
        """Give what is known here of a key."""
        return self._known.get(key)

    def unfinished(self) -> Iterator[Entry]:
        """Give nothing: the broker delivers again what is not finished."""
        return iter(())

    async def intend(
        self,
        submission: Submission,
        params: Mapping[str, object] | None,
        *,
        wants_outputs: bool,
    ) -> None:
        """Note what is about to be sent, if nobody else has.

        Raises:
            JournalError: The key is there, or Redis does not answer.
            ConfigurationError: A value is not JSON, or a text not Unicode.
        """
        row = intent_row(submission, params, wants_outputs=wants_outputs)
        attempt = uuid.uuid4().hex
        written = {"attempt": attempt, "owner": self._owner}
        for name, value in zip(("intent", "params", "evidence"), row[1:], strict=True):
            if value is not None:
                written[name] = str(value)
        key = submission.key
        await self._steps.take(key, "absent", attempt, EntryState.INTENDED, written)
        self._attempts[key] = attempt
        self._out.add(key)
        self._known[key] = Entry(submission, params, EntryState.INTENDED, wants_outputs)

    async def withdraw(self, key: str) -> None:
        """Note that it certainly did not start: its key is free again.

        Raises:
            JournalError: It has a run or is another's, or Redis does not answer.
        """
        attempt = self._attempts.get(key, "")
        await self._steps.take(key, "absent intended uncertain", attempt)
        self._is_over(key)
        self.forget(key)

    async def uncertain(self, submission: Submission) -> None:
        """Note that its POST left and its fate is not known; again as more is seen.

        Raises:
            JournalError: It has a run or is another's, or Redis does not answer.
        """
        key, evidence = submission.key, evidence_text(submission)
        written = {} if evidence is None else {"evidence": evidence}
        attempt = self._attempts.get(key, "")
        state = EntryState.UNCERTAIN
        await self._steps.take(key, "intended uncertain", attempt, state, written)
        self._out.discard(key)
        self._changed(key, submission=submission, state=state)

    async def started(
        self, key: str, ref: RunRef, submitted_at: datetime | None
    ) -> None:
        """Note which run it is; saying so twice is no harm.

        Raises:
            JournalError: It has another run or is finished, or Redis does not answer.
            ConfigurationError: `submitted_at` has no time zone.
        """
        written = _run(start_row(ref, submitted_at))
        attempt = self._attempts.get(key, "")
        state = EntryState.STARTED
        await self._steps.take(
            key, "intended uncertain started", attempt, state, written
        )
        self._is_over(key)
        self._changed(key, state=state, ref=ref, submitted_at=submitted_at)

    async def finished(self, key: str, result: RunResult) -> None:
        """Note how its run ended; again where more of it is known.

        Raises:
            JournalError: It is not there or has another run, or Redis does not answer.
            ConfigurationError: The result is not one of a run that ended.
        """
        *start, end = result_row(result)
        written = {**_run(tuple(start)), "result": str(end)}
        state = EntryState.FINISHED
        sources = "intended uncertain started finished"
        attempt = self._attempts.get(key, "")
        await self._steps.take(key, sources, attempt, state, written)
        self._is_over(key)
        self._changed(key, state=state, ref=result.ref, result=result)

    def _is_over(self, key: str) -> None:
        self._out.discard(key)
        self._attempts.pop(key, None)

    def _changed(self, key: str, **changes: object) -> None:
        if (entry := self._known.get(key)) is not None:
            self._known[key] = evolve(entry, **cast("Any", changes))

    def _life(self, owner: str) -> str:
        return f"{self._namespace}:worker:{owner}"


async def check_durable(redis: Redis) -> tuple[str, ...]:
    """Tell in which ways this Redis may forget an intent; nothing: in none that shows.

    Raises nothing: one that does not tell is not told about.
    """
    try:
        asked = redis.config_get("append*", "maxmemory*")  # pyright: ignore[reportUnknownMemberType]
        said = await asked
    except RedisError:
        return ()
    config = {as_text(name): as_text(value) for name, value in said.items()}
    problems: list[str] = []
    if config.get("appendonly") == "no" or config.get("appendfsync") != "always":
        problems.append("a crash of Redis loses writes: appendonly yes, fsync always")
    has_limit = config.get("maxmemory", "0") != "0"
    if has_limit and config.get("maxmemory-policy") != "noeviction":
        problems.append("Redis evicts keys: set maxmemory-policy noeviction")
    return tuple(problems)


def _run(row: tuple[str | int | None, ...]) -> dict[str, str]:
    run, submitted_at = row
    return {
        name: str(value)
        for name, value in (("run", run), ("submitted_at", submitted_at))
        if value is not None
    }
