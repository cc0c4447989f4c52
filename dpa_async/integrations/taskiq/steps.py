"""The steps of a key's way in Redis: each one script, heard sooner or later.

A step that Redis did not hear is owed, and taken when it answers: the key of a worker
that lives would else be left to that one for ever.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final, NoReturn, TypeVar, cast

from redis.asyncio import Redis
from redis.exceptions import RedisError

from dpa_async.errors import JournalError
from dpa_async.integrations.taskiq.connections import described, insist
from dpa_async.journal import EntryState

T = TypeVar("T")

# One script for all steps. Repeating a step whose answer was lost does no harm.
_STEP: Final = """
local entry = redis.call('HMGET', KEYS[1], 'state', 'attempt', 'run')
local state, attempt, run = entry[1] or 'absent', entry[2] or '', entry[3] or ''
local from, mine, its_run, keep = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
if from == 'absent' and state == 'intended' and attempt == mine then return '' end
if not string.find(from, state, 1, true) then return 'it is ' .. state end
local is_its_run = run ~= '' and run == its_run
local is_mine = mine == '' or attempt == mine or is_its_run
if from ~= 'absent' and state ~= 'absent' and not is_mine then
  return 'it was executed again since'
end
if its_run ~= '' and run ~= '' and not is_its_run then return 'it has another run' end
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


class UnheardError(JournalError):
    """Redis does not answer. What it was to be told, it is told when it does."""


class Steps:
    """Takes the entries of keys from state to state.

    Args:
        redis: Where they are.
        namespace: What the names of all keys begin with.
        keep: Seconds for which the entry of a finished key is kept.
        patience: Seconds for which a Redis that does not answer is asked again.
    """

    def __init__(
        self, redis: Redis, *, namespace: str, keep: float, patience: float
    ) -> None:
        self._redis = redis
        self._namespace = namespace
        self._keep = keep
        self._patience = patience
        self._owed: dict[str, tuple[str, ...]] = {}

    def name(self, key: str) -> str:
        """Give the name in Redis of a key's entry."""
        return f"{self._namespace}:key:{key}"

    async def ask(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask Redis for something that does no harm if it is asked twice.

        Raises:
            UnheardError: It does not answer.
        """
        try:
            return await insist(ask, patience=self._patience)
        except RedisError as error:
            problem = described(error)
        msg = f"the journal in Redis cannot be reached: {problem}"
        raise UnheardError(msg)

    async def take(
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
            UnheardError: Redis does not answer; it is owed.
            JournalError: That must not be.
        """
        fields = dict(written or {})
        keep = self._keep if state is EntryState.FINISHED else 0.0
        words: tuple[str, ...]
        words = (sources, attempt, fields.get("run", ""), str(round(keep * 1000)))
        if state is not None:
            pairs = {"state": state.value, **fields}
            words += tuple(word for pair in pairs.items() for word in pair)
        try:
            problem = await self._say(key, words)
        except UnheardError:
            if state is EntryState.INTENDED:
                # Whoever is told that it failed sends nothing: it has to go.
                words = ("absent intended", attempt, "", "0")
            self._owed[key] = words
            raise
        self._owed.pop(key, None)
        if problem:
            fail(key, problem)

    async def pay(self, key: str) -> bool:
        """Take the step that is owed; tells whether one was.

        What Redis says to it makes no difference: others may have gone on since.

        Raises:
            UnheardError: Redis does not answer still.
        """
        words = self._owed.get(key)
        if words is None:
            return False
        await self._say(key, words)
        if self._owed.get(key) is words:
            del self._owed[key]
        return True

    def owed(self) -> tuple[str, ...]:
        """Give the keys of which a step is owed."""
        return tuple(self._owed)

    async def _say(self, key: str, words: tuple[str, ...]) -> str:
        def ask() -> Awaitable[object]:
            said = self._redis.eval(_STEP, 1, self.name(key), *words)
            return cast("Awaitable[object]", said)

        return as_text(await self.ask(ask))


def as_text(value: object) -> str:
    """Give what Redis said as text."""
    return value.decode() if isinstance(value, bytes) else str(value)


def fail(key: str, words: str) -> NoReturn:
    """Say what is wrong with a key.

    Raises:
        JournalError: Always.
    """
    msg = f"key {key!r}: {words}"
    raise JournalError(msg)
