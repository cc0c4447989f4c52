"""What a journal holds, and what it can be asked and told."""

import enum
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Protocol

from attrs import frozen

from dpa_async.models import RunRef, RunResult, Submission


class EntryState(enum.Enum):
    """How far a key has come, as far as the journal was told."""

    INTENDED = "intended"
    UNCERTAIN = "uncertain"
    STARTED = "started"
    FINISHED = "finished"


@frozen(slots=False)  # made twice as fast, and few are kept
class Entry:
    """What is journaled of one key.

    Attributes:
        submission: What was meant.
        params: The workflow's parameters, as JSON gives them back.
        state: How far it has come.
        wants_outputs: Whether the outputs were asked for.
        ref: The run, from `STARTED` on.
        submitted_at: When the execute was answered, where that is known.
        result: How the run ended, where it is `FINISHED`.
    """

    submission: Submission
    params: Mapping[str, object] | None
    state: EntryState
    wants_outputs: bool
    ref: RunRef | None = None
    submitted_at: datetime | None = None
    result: RunResult | None = None


class Journal(Protocol):
    """What a runner needs of a journal.

    Each coroutine returns when its write is durable, and not before: what it wrote
    survives the process and a power loss. `find` shows what is durable, and nothing
    that is only on its way. A caller that is cancelled does not take its write back.

    One that is a `History` as well keeps how long runs take. One that is not works all
    the same: each process then learns that anew.
    """

    def find(self, key: str) -> Entry | None:
        """Give what is journaled of a key; called in the loop, so it takes no time.

        Raises:
            JournalError: It cannot be read.
        """
        ...

    def unfinished(self) -> Iterator[Entry]:
        """Give what was intended and is not `FINISHED`, the oldest intent first.

        Raises:
            JournalError: It cannot be read.
        """
        ...

    async def intend(
        self,
        submission: Submission,
        params: Mapping[str, object] | None,
        *,
        wants_outputs: bool,
    ) -> None:
        """Note what is about to be sent; in place of a `FINISHED` entry of its key.

        That one is given back if this is withdrawn.

        Raises:
            JournalError: The key is there and not finished, or it cannot be written.
            ConfigurationError: A value is not JSON, or a text not Unicode.
        """
        ...

    async def withdraw(self, key: str) -> None:
        """Note that it certainly did not start: its key is as it was before.

        Raises:
            JournalError: The key is not there or has a run, or it cannot be written.
        """
        ...

    async def uncertain(self, submission: Submission) -> None:
        """Note that its POST left and its fate is not known; again as more is seen.

        Raises:
            JournalError: The key is not there or has a run, or it cannot be written.
        """
        ...

    async def started(
        self, key: str, ref: RunRef, submitted_at: datetime | None
    ) -> None:
        """Note which run it is; saying so twice is no harm.

        Raises:
            JournalError: The key is not there, has another run or is finished; or it
                cannot be written.
            ConfigurationError: `submitted_at` has no time zone.
        """
        ...

    async def finished(self, key: str, result: RunResult) -> None:
        """Note how its run ended; again where more of it is known.

        Raises:
            JournalError: The key is not there or has another run, or it cannot be
                written.
            ConfigurationError: The result is not one of a run that ended.
        """
        ...
