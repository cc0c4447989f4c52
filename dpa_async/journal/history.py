"""How long runs take, as a journal keeps it: so that a new process knows it too."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol, runtime_checkable

KEPT = 128  # runs of a workflow: as many as are learned from
WORKFLOWS = 1_000  # those whose runs ended longest ago are forgotten


@runtime_checkable
class History(Protocol):
    """What a journal can do besides: keep how long the runs of workflows took.

    It is worth little each time, so nothing waits for it: a process that dies may take
    the last ones along. Times are lengths, and no clock can change them.
    """

    def remember(self, origin: str, workflow_id: str, after: float, by: float) -> None:
        """Note that a run ended after one look and by the next; with the next write.

        Args:
            origin: Of which platform the workflow is.
            workflow_id: Whose run it was.
            after: Seconds from its start to the last look that saw it running.
            by: Seconds from its start to the look that saw it over.

        Raises:
            JournalError: It is not open.
            ConfigurationError: A text is not Unicode.
        """
        ...

    def remembered(
        self, origin: str, workflow_id: str
    ) -> Sequence[tuple[float, float]]:
        """Give `after` and `by` of a workflow's latest runs, the oldest first.

        Called in the loop, once for a workflow, so it takes next to no time. Whatever
        is there and makes no sense may be given or left out.

        Raises:
            JournalError: It cannot be read.
            ConfigurationError: A text is not Unicode.
        """
        ...


def with_one_more(runs: object, after: float, by: float) -> str:
    """Give the text of a workflow's latest runs, and of one more."""
    return " ".join([*_words(runs)[1 - KEPT :], f"{after:.6g}:{by:.6g}"])


def read_runs(rows: Iterable[Sequence[object]]) -> Iterator[tuple[float, float]]:
    """Give the runs that these texts are of; nothing for what is none."""
    for (runs,) in rows:
        for word in _words(runs)[-KEPT:]:
            after, _, by = word.partition(":")
            try:
                yield float(after), float(by)
            except ValueError:
                continue


def _words(runs: object) -> list[str]:
    return runs.decode(errors="replace").split() if isinstance(runs, bytes) else []
