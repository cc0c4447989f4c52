"""What is learned of all workflows, for those whose runs are looked at next."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress

from dpa_async.errors import ConfigurationError, DPAError
from dpa_async.journal import History
from dpa_async.waiting.adaptive import adaptive
from dpa_async.waiting.durations import Durations
from dpa_async.waiting.schedules import WaitPolicy, schedule

_WORKFLOWS = 1_000
"""Workflows that are known; those whose runs ended longest ago are forgotten."""

_MOST = 0.8  # of a workflow's runs
_SHORT = 10.0  # seconds: what is worth to be waited for with a connection


class Learned:
    """Knows how long the runs of workflows take, from the looks at them.

    Args:
        policy: Whether that is made use of, and how.
    """

    def __init__(self, policy: WaitPolicy) -> None:
        self._policy = policy
        self._durations: dict[str, Durations] = {}
        self._history: History | None = None
        self._origin = ""

    def keep_in(self, journal: object, origin: str) -> None:
        """Go on from what is kept there of a platform's workflows, and keep more.

        Args:
            journal: Where, if it is a `History`; else nothing is kept.
            origin: Which platform.
        """
        self._history = journal if isinstance(journal, History) else None
        self._origin = origin

    def learn(self, workflow_id: str, after: float, by: float) -> None:
        """Learn that a run ended after one look and by the next, from its start on."""
        if not (self._policy.adaptive or self._policy.sync_wait == "auto"):
            return
        durations = self._known(workflow_id)
        durations.learn(after, by)
        self._keep(workflow_id, durations)
        if self._history is not None:
            with suppress(DPAError):  # the run has ended all the same
                self._history.remember(self._origin, workflow_id, after, by)

    def short_run(self, workflow_id: str) -> float | None:
        """Give the seconds that most runs take; None: they are long, or not known."""
        most = self._known(workflow_id).quantile(_MOST)
        return most if most is not None and most <= _SHORT else None

    def intervals(
        self, workflow_id: str, elapsed: Callable[[], float]
    ) -> Iterator[float] | None:
        """Give the seconds before each look at a run; None: it is not known.

        Args:
            workflow_id: Whose run it is.
            elapsed: Gives the seconds since its start.
        """
        policy = self._policy
        if not policy.adaptive:
            return None
        durations = self._known(workflow_id)
        if durations.plan(policy.lag_per_look) is None:
            return None
        intervals = adaptive(
            durations,
            lag_per_look=policy.lag_per_look,
            minimum=policy.minimum,
            maximum=max(policy.maximum, policy.safety_interval),
            fallback=lambda: schedule(policy),
            elapsed=elapsed,
        )
        return (interval for interval in intervals if interval is not None)

    def _known(self, workflow_id: str) -> Durations:
        """Give what is known of a workflow, here or where it is kept."""
        known = self._durations.get(workflow_id)
        if known is None:
            known = Durations()
            for after, by in self._remembered(workflow_id):
                with suppress(ConfigurationError):  # these are no times of a run
                    known.learn(after, by)
            if len(known) or self._history is not None:  # or it is asked each time
                self._keep(workflow_id, known)
        return known

    def _remembered(self, workflow_id: str) -> Iterable[tuple[float, float]]:
        if self._history is None:
            return ()
        try:
            return self._history.remembered(self._origin, workflow_id)
        except DPAError:  # it is learned anew
            return ()

    def _keep(self, workflow_id: str, durations: Durations) -> None:
        """Keep it as the one whose run ended last."""
        self._durations.pop(workflow_id, None)
        self._durations[workflow_id] = durations
        if len(self._durations) > _WORKFLOWS:
            del self._durations[next(iter(self._durations))]
