"""What is learned of all workflows, for those whose runs are looked at next."""

from collections.abc import Callable, Iterator

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

    def learn(self, workflow_id: str, after: float, by: float) -> None:
        """Learn that a run ended after one look and by the next, from its start on."""
        if not (self._policy.adaptive or self._policy.sync_wait == "auto"):
            return
        durations = self._durations.pop(workflow_id, None) or Durations()
        durations.learn(after, by)
        self._durations[workflow_id] = durations
        if len(self._durations) > _WORKFLOWS:
            del self._durations[next(iter(self._durations))]

    def short_run(self, workflow_id: str) -> float | None:
        """Give the seconds that most runs take; None: they are long, or not known."""
        durations = self._durations.get(workflow_id)
        most = None if durations is None else durations.quantile(_MOST)
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
        durations = self._durations.get(workflow_id)
        if not policy.adaptive or durations is None:
            return None
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
