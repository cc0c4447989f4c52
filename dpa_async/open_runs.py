"""The runs that a runner knows: the open ones, and those that its journal has."""

from collections.abc import Iterator
from itertools import chain
from weakref import WeakValueDictionary

from attrs import evolve

from dpa_async.errors import ConfigurationError
from dpa_async.events import Submitted
from dpa_async.journal import Entry, Journal
from dpa_async.models import RunRef, RunRequest, RunResult, RunStatus, Submission
from dpa_async.order import Order
from dpa_async.run import Run
from dpa_async.submission import Accepted
from dpa_async.surroundings import Surroundings
from dpa_async.waiting import HEARSAY

_REMEMBERED = 10_000


class OpenRuns:
    """Gives one `Run` for each run, as long as it is not seen to be over.

    What was started here, or is in the journal, is kept until then. What was attached
    to is anybody's word: it is kept while somebody has it, and nothing waits for it but
    who asked.

    Args:
        here: What all runs have in common.
        journal: Where runs of earlier processes are, or None.
    """

    def __init__(self, here: Surroundings, journal: Journal | None) -> None:
        self._here = evolve(here, on_end=self._forget)
        self._journal = journal
        self._kept: dict[str, dict[RunRef, Run]] = {}  # of each workflow, in order
        self._attached: WeakValueDictionary[RunRef, Run] = WeakValueDictionary()
        self._ended: dict[RunRef, None] = {}  # the newest, for their order

    def __iter__(self) -> Iterator[RunRef]:
        """Give the runs that are not seen to be over."""
        kept = chain.from_iterable(self._kept.values())
        return iter((*kept, *self._attached))

    def latest(self, workflow_id: str) -> Run | None:
        """Give the latest run of a workflow that is kept, if any."""
        kept = self._kept.get(workflow_id)
        return next(reversed(kept.values())) if kept else None

    def is_bound(self, ref: RunRef) -> bool:
        """Tell whether a run is known to be somebody's: a lost execute made another."""
        return ref in self._kept.get(ref.workflow_id, ()) or ref in self._ended

    def start(self, order: Order, accepted: Accepted) -> Run:
        """Give the run of an execute's answer.

        One that is known already, for it was attached to meanwhile, is taken.
        """
        key = order.submission.key
        alarm = accepted.tracked if self._here.has_alarms else None
        run = self._known(accepted.ref)
        self._end_others(accepted.ref)
        if run is not None and run.key in {None, key}:
            run.belongs_to(key, accepted.at, order.context)
            run.expect(alarm)
        else:
            run = Run(
                self._here,
                accepted.ref,
                key=key,
                submitted_at=accepted.at,
                wants_outputs=order.outputs,
                alarm=alarm,
                beginning=accepted.beginning,
                context=order.context,
            )
        self._here.announce(Submitted, key, run.ref, order.departure.age())
        return self._keep(run)

    def attach(self, ref: RunRef) -> Run:
        """Give the run of a reference."""
        run = self._known(ref)
        if run is None:
            run = self._attached[ref] = Run(self._here, ref, beginning=HEARSAY)
        return run

    def adopt(self, ref: RunRef) -> Run:
        """Keep a run that was found: it is somebody's."""
        return self._keep(self.attach(ref))

    def journaled(self, order: Order) -> Entry | None:
        """Give what is journaled of an order's key; None: it is free.

        Raises:
            ConfigurationError: The key was used for something else.
            JournalError: The journal cannot be read.
        """
        if self._journal is None:
            return None
        entry = self._journal.find(order.submission.key)
        if entry is None:
            return None
        check_same(entry, order.submission)
        return None if order.retry_failed and _failed(entry) else entry

    def finished(self, request: RunRequest, *, retry_failed: bool) -> RunResult | None:
        """Give the result of a request whose key is journaled as finished.

        A short cut, for what is skipped by the hundred thousand.

        Raises:
            ConfigurationError: The key was used for something else, or is no text.
            JournalError: The journal cannot be read.
        """
        if self._journal is None or request.key is None:
            return None
        entry = self._journal.find(request.key)
        if entry is None:
            return None
        try:
            digest = Submission.digest(request.params)
        except (ValueError, TypeError, RecursionError):
            return None  # whoever wants it run is told
        origin = self._here.client.settings.base_url
        now = Submission(origin, request.key, request.workflow_id, digest)
        check_same(entry, now)
        return None if retry_failed and _failed(entry) else entry.result

    def of_entry(self, entry: Entry) -> Run | None:
        """Give the run of a journaled key; None where it is in doubt."""
        if entry.result is not None:
            return Run.over(self._here, entry.result)
        if entry.ref is None:  # maybe only its start could not be written down
            key = entry.submission.key
            kept = self._kept.get(entry.submission.workflow_id, {})
            return next((run for run in kept.values() if run.key == key), None)
        key, submitted_at = entry.submission.key, entry.submitted_at
        known = self._known(entry.ref)
        if known is not None:
            known.belongs_to(key, submitted_at)
            return self._keep(known)
        return self._keep(
            Run(
                self._here,
                entry.ref,
                key=key,
                submitted_at=submitted_at,
                wants_outputs=entry.wants_outputs,
            )
        )

    def close(self) -> None:
        """Expect no callbacks any more, and let go of what nobody waited for."""
        kept = chain.from_iterable(runs.values() for runs in self._kept.values())
        for run in (*kept, *self._attached.values()):
            run.expect(None)
            run.left()

    def _known(self, ref: RunRef) -> Run | None:
        kept = self._kept.get(ref.workflow_id, {})
        return kept.get(ref) or self._attached.get(ref)

    def _keep(self, run: Run) -> Run:
        """Keep a run until it is over: its workflow's next one waits for it."""
        self._kept.setdefault(run.ref.workflow_id, {})[run.ref] = run
        _ = self._attached.pop(run.ref, None)
        return run

    def _end_others(self, ref: RunRef) -> None:
        """Let go of a workflow's runs but one: the platform has just told of their end.

        It runs one at a time.
        """
        for run in tuple(self._kept.get(ref.workflow_id, {}).values()):
            if run.ref != ref:
                run.superseded()
                self._forget(run.ref)

    def _forget(self, ref: RunRef) -> None:
        _ = self._attached.pop(ref, None)
        kept = self._kept.get(ref.workflow_id, {})
        if kept.pop(ref, None) is None:
            return
        if not kept:
            del self._kept[ref.workflow_id]
        if self._here.has_alarms:
            self._ended[ref] = None
            if len(self._ended) > _REMEMBERED:
                del self._ended[next(iter(self._ended))]


def _failed(entry: Entry) -> bool:
    return entry.result is not None and entry.result.status is RunStatus.FAILED


def check_same(entry: Entry, submission: Submission) -> None:
    """See that a journaled key was used for the very same request.

    Raises:
        ConfigurationError: It was used for another one.
    """
    then = entry.submission
    for name, was, now in (
        ("platform", then.origin, submission.origin),
        ("workflow", then.workflow_id, submission.workflow_id),
        ("params (their SHA-256)", then.params_digest, submission.params_digest),
    ):
        if was != now:
            msg = (
                f"key {submission.key!r} is journaled for other {name} ({was}, not "
                f"{now}): give each request a key of its own"
            )
            raise ConfigurationError(msg).about(submission=then, ref=entry.ref)
