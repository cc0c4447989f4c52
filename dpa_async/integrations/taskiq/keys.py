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
from collections.abc import Awaitable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final, NoReturn, cast

from attrs import evolve, frozen
from redis.asyncio import Redis
from redis.exceptions import RedisError

from dpa_async.errors import JournalError
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

# One script for all steps. Repeating a step whose answer was lost does no harm, so that
# the connection may do so by itself.
_STEP: Final = """
local entry = redis.call('HMGET', KEYS[1], 'state', 'attempt', 'run')
local state, attempt, run = entry[1] or 'absent', entry[2] or '', entry[3] or ''
local from, mine, its_run, keep = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
if from == 'absent' and state == 'intended' and attempt == mine then return '' end
if not string.find(from, state, 1, true) then return 'it is ' .. state end
if from ~= 'absent' and state ~= 'absent' and mine ~= '' and attempt ~= mine then
  return 'it was executed again since'
end
if its_run ~= '' and run ~= '' and run ~= its_run then return 'it has another run' end
if #ARGV == 4 then
  redis.call('DEL', KEYS[1])
  return ''
end
redis.call('HSET', KEYS[1], unpack(ARGV, 5))
if keep > 0 then
  redis.call('PEXPIRE', KEYS[1], keep)
else
  redis.call('PERSIST', KEYS[1])
end
return ''
"""


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
    """

    def __init__(
        self, redis: Redis, *, namespace: str, owner: str, lease: float, keep: float
    ) -> None:
        self._redis = redis
        self._namespace = namespace
        self._owner = owner
        self._lease = lease
        self._keep = keep
        self._known: dict[str, Entry] = {}
        self._attempts: dict[str, str] = {}  # of intents that have no run yet
        self._void: dict[str, str] = {}  # intents that may be written, and never left

    async def load(self, key: str) -> Known | None:
        """Look up a key; from then on `find` shows it.

        Raises:
            JournalError: Redis does not answer, or what is there is no entry.
        """
        found = await self._ask(self._redis.hgetall(self._name(key)))
        fields = {_text(name): _text(value) for name, value in found.items()}
        void = self._void.pop(key, "")
        if void and fields.get("attempt") == void:
            await self._step(key, "absent intended", void)
            fields = {}
        if not fields:
            self.forget(key)
            return None
        columns = ",".join(fields.get(column, "null") for column in _COLUMNS)
        try:
            entry = read_entry((None, key, fields["state"], f"[{columns}]"))
            owner, attempt = fields["owner"], fields["attempt"]
        except (ValueError, TypeError, KeyError, OverflowError):
            _fail(key, "what is in Redis is no entry of this version")
        lives = owner == self._owner or await self._ask(
            self._redis.exists(self._life(owner))
        )
        self._known[key] = entry
        if entry.ref is None:
            self._attempts[key] = attempt
        return Known(entry, attempt, owner, owner_lives=bool(lives))

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
        await self._ask(self._redis.set(life, "", px=milliseconds))

    async def live(self) -> NoReturn:
        """Tell the others so for as long as this is awaited.

        Raises nothing but what cancels it.
        """
        while True:
            await asyncio.sleep(self._lease / 4)
            try:
                await self.beat()
            except JournalError as error:
                _LOG.warning("nobody was told that this worker lives: %s", error)

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
        self._void[key] = attempt
        await self._step(key, "absent", attempt, EntryState.INTENDED, written)
        del self._void[key]
        self._attempts[key] = attempt
        self._known[key] = Entry(submission, params, EntryState.INTENDED, wants_outputs)

    async def withdraw(self, key: str) -> None:
        """Note that it certainly did not start: its key is free again.

        Raises:
            JournalError: It has a run or is another's, or Redis does not answer.
        """
        attempt = self._attempts.get(key, "")
        await self._step(key, "absent intended uncertain", attempt)
        self._attempts.pop(key, None)
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
        await self._step(key, "intended uncertain", attempt, state, written)
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
        await self._step(key, "intended uncertain started", attempt, state, written)
        self._attempts.pop(key, None)
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
        await self._step(key, sources, self._attempts.get(key, ""), state, written)
        self._attempts.pop(key, None)
        self._changed(key, state=state, ref=result.ref, result=result)

    def _changed(self, key: str, **changes: object) -> None:
        if (entry := self._known.get(key)) is not None:
            self._known[key] = evolve(entry, **cast("Any", changes))

    async def _step(
        self,
        key: str,
        sources: str,
        attempt: str,
        state: EntryState | None = None,
        written: Mapping[str, str] | None = None,
    ) -> None:
        """Bring an entry to a state, or out of Redis.

        Args:
            key: Whose entry.
            sources: The states from which this may be done.
            attempt: The attempt that it has to be; empty for any.
            state: The state that it is in then; None: there is none any more.
            written: What is noted with it.

        Raises:
            JournalError: That must not be, or Redis does not answer.
        """
        fields = dict(written or {})
        keep = self._keep if state is EntryState.FINISHED else 0.0
        words = [sources, attempt, fields.get("run", ""), round(keep * 1000)]
        if state is not None:
            pairs = {"state": state.value, **fields}
            words += [word for pair in pairs.items() for word in pair]
        script = self._redis.eval(_STEP, 1, self._name(key), *map(str, words))
        if problem := _text(await self._ask(script)):
            _fail(key, problem)

    async def _ask(self, command: Awaitable[Any]) -> Any:  # noqa: ANN401 - Redis' answers
        try:
            return await command
        except RedisError as error:
            words = f"{type(error).__name__}: {error}"
        msg = f"the journal in Redis cannot be reached: {words}"
        raise JournalError(msg)

    def _name(self, key: str) -> str:
        return f"{self._namespace}:key:{key}"

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
    config = {_text(name): _text(value) for name, value in said.items()}
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


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _fail(key: str, words: str) -> NoReturn:
    msg = f"key {key!r}: {words}"
    raise JournalError(msg)
