"""The journal of one task: what it started, in Airflow's store of the task's state.

One entry under one key, so that each write is whole:

    dpa_async = {"submission": "dpa-submission:1:…"}                       intended
    dpa_async = {"submission": "…", "uncertain": true}                     in doubt
    dpa_async = {"submission": "…", "run": "dpa-run:1:…", …}               started

A person who settles a doubt does it there: adds the run, or deletes the key.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Protocol, TypeVar, cast

from dpa_async.errors import JournalError
from dpa_async.journal import Entry, EntryState
from dpa_async.models import RunRef, RunResult, Submission

STORED_AS = "dpa_async"
_T = TypeVar("_T")


class StateStore(Protocol):
    """What is needed of a task's state store; each call returns when it is done."""

    def get(self, key: str) -> object:
        """Give what is stored, or None."""
        ...

    def set(self, key: str, value: dict[str, str | bool]) -> None:
        """Store it."""
        ...

    def delete(self, key: str) -> None:
        """Forget it."""
        ...


class TaskJournal:
    """A `Journal` of one task's one key.

    A run's result is not kept: the platform has it, and is asked again.

    Args:
        store: The task's state store.

    Raises:
        JournalError: It cannot be read, or holds what is none of ours.
    """

    def __init__(self, store: StateStore) -> None:
        self._store = store
        self._stored = self._look()
        self._entry = None if self._stored is None else _read(self._stored)

    @property
    def entry(self) -> Entry | None:
        """What is stored, if anything."""
        return self._entry

    def find(self, key: str) -> Entry | None:
        """Give what is stored, whatever it is called now; raises nothing."""
        del key  # the store is the task's own, and holds one entry
        return self._entry

    def unfinished(self) -> Iterator[Entry]:
        """Give what was begun; raises nothing."""
        return iter(() if self._entry is None else (self._entry,))

    async def intend(
        self,
        submission: Submission,
        params: Mapping[str, object] | None,
        *,
        wants_outputs: bool,
    ) -> None:
        """Note what is about to be sent.

        Raises:
            JournalError: Something is stored already, or it cannot be written.
        """
        del params, wants_outputs  # the task has them
        # Looked at again: another try of the task can be alive, and have been faster.
        if (stored := self._look()) is not None:
            msg = f"the task has started something already: {stored}"
            raise JournalError(msg)
        self._write(_entry(submission, EntryState.INTENDED))

    async def withdraw(self, key: str) -> None:
        """Note that it certainly did not start; leaves what another try has stored.

        Raises:
            JournalError: It cannot be written.
        """
        del key
        self.forget()

    async def uncertain(self, submission: Submission) -> None:
        """Note that its POST left and its fate is not known.

        Raises:
            JournalError: It cannot be written.
        """
        self._write(_entry(submission, EntryState.UNCERTAIN))

    async def started(
        self, key: str, ref: RunRef, submitted_at: datetime | None
    ) -> None:
        """Note which run it is.

        Raises:
            JournalError: Nothing was intended, or it cannot be written.
        """
        if self._entry is None:
            msg = f"nothing was intended under {key!r}, yet it is run {ref}"
            raise JournalError(msg)
        submission = self._entry.submission
        self._write(_entry(submission, EntryState.STARTED, ref, submitted_at))

    async def finished(self, key: str, result: RunResult) -> None:
        """Do nothing: the platform keeps how it ended; raises nothing."""

    def forget(self) -> None:
        """Be as if nothing had been started; leaves what another try has stored.

        Raises:
            JournalError: It cannot be written.
        """
        if self._look() == self._stored:
            _asked(lambda: self._store.delete(STORED_AS))
        self._entry = self._stored = None

    def _look(self) -> object:
        return _asked(lambda: self._store.get(STORED_AS))

    def _write(self, entry: Entry) -> None:
        value: dict[str, str | bool] = {"submission": str(entry.submission)}
        if entry.state is EntryState.UNCERTAIN:
            value["uncertain"] = True
        if entry.ref is not None:
            value["run"] = str(entry.ref)
        if entry.submitted_at is not None:
            value["submitted_at"] = entry.submitted_at.isoformat()
        _asked(lambda: self._store.set(STORED_AS, value))
        self._entry, self._stored = entry, value


def _entry(
    submission: Submission,
    state: EntryState,
    ref: RunRef | None = None,
    submitted_at: datetime | None = None,
) -> Entry:
    return Entry(
        submission,
        params=None,
        state=state,
        wants_outputs=True,
        ref=ref,
        submitted_at=submitted_at,
    )


def _read(stored: object) -> Entry:
    """Read what `_write` wrote, or a person mended."""
    try:
        value = cast("Mapping[str, object]", stored)
        submission = Submission.parse(cast("str", value["submission"]))
        run, at = value.get("run"), value.get("submitted_at")
        if run is not None:
            ref = RunRef.parse(cast("str", run))
            when = None if at is None else datetime.fromisoformat(cast("str", at))
            return _entry(submission, EntryState.STARTED, ref, when)
        doubt = bool(value.get("uncertain"))
        return _entry(
            submission, EntryState.UNCERTAIN if doubt else EntryState.INTENDED
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        problem = f"{type(error).__name__}: {error}"
    msg = f"the task's state {STORED_AS!r} cannot be read: {problem}"
    raise JournalError(msg)


def _asked(ask: Callable[[], _T]) -> _T:
    """Ask the store; whatever goes wrong there means that nothing is known."""
    try:
        return ask()
    except Exception as error:  # noqa: BLE001 - Airflow's, its server's, a backend's
        problem = f"{type(error).__name__}: {error}"
    msg = f"the task's state store fails: {problem}"
    raise JournalError(msg)
