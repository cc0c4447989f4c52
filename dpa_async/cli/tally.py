"""What the outcomes of a batch add up to, and the exit code that they come to."""

from collections import Counter

from attrs import define, field

from dpa_async.batch import RunOutcome
from dpa_async.cli.exits import Exit
from dpa_async.cli.outcomes import status_of
from dpa_async.cli.working import exit_of
from dpa_async.errors import NotStartedError

_TOLD = 20


@define
class Tally:
    """Counts outcomes.

    Attributes:
        fail_fast: Whether one failure keeps the others from being started.
        counts: How many there were of each status.
        code: The worst exit code of any of them: the highest.
    """

    fail_fast: bool = False
    counts: Counter[str] = field(factory=Counter[str])
    code: Exit = Exit.SUCCEEDED
    _troubles: int = 0
    _words: list[str] = field(factory=list[str])

    def add(self, outcome: RunOutcome) -> None:
        """Count one more."""
        self.counts[status_of(outcome)] += 1
        error = outcome.error
        if error is None:
            return
        # What was not started because another failed adds nothing to that.
        follows = self.fail_fast and isinstance(error, NotStartedError)
        if not (follows and self.code):
            self.code = max(self.code, exit_of(error))
        self._troubles += 1
        if len(self._words) < _TOLD:
            self._words.append(f"{outcome.request.key}: {error}")

    def lines(self) -> list[str]:
        """Say what went wrong, as far as it is little, and how many there were."""
        lines = list(self._words)
        if self._troubles > len(lines):
            lines.append(f"… and {self._troubles - len(lines):,} more")
        parts = [f"{count:,} {name}" for name, count in self.counts.most_common()]
        return [*lines, f"{self.counts.total():,} runs: {', '.join(parts) or 'none'}"]
