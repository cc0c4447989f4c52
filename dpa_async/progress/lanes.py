"""The lanes of a batch, and when the last of them will be done."""

from attrs import define

_WORKFLOWS = 1_000  # whose durations are known; the rest take as long as all do
_NEWEST = 0.2  # what the newest run of a workflow counts
_NEWEST_OF_ALL = 0.02


@define
class _Lane:
    queued: int = 0
    running: int = 0
    since: float = 0.0  # when its latest run began


class Lanes:
    """Who waits behind whom, and how long the runs of workflows take.

    A duration is from a run's start to the look that saw its end: what the learned
    durations of a runner leave out, its lag, is what the next in the lane waits for.
    """

    def __init__(self) -> None:
        self._lanes: dict[str, _Lane] = {}
        self._durations: dict[str, float] = {}
        self._of_all: float | None = None
        self._known = 0

    def __len__(self) -> int:
        """Give how many workflows have something queued or running."""
        return len(self._lanes)

    def queue(self, workflow_id: str) -> None:
        """Take note of one more in a lane."""
        lane = self._lanes.get(workflow_id)
        if lane is None:
            lane = self._lanes[workflow_id] = _Lane()
        lane.queued += 1

    def unqueue(self, workflow_id: str) -> None:
        """Take note of one that waits no longer."""
        lane = self._lanes.get(workflow_id)
        if lane is not None:
            lane.queued -= 1
            self._leave(workflow_id, lane)

    def run(self, workflow_id: str, since: float) -> None:
        """Take note of a run that goes on."""
        lane = self._lanes.get(workflow_id)
        if lane is None:
            lane = self._lanes[workflow_id] = _Lane()
        lane.running += 1
        lane.since = since

    def end(self, workflow_id: str) -> None:
        """Take note of a run that goes on no longer, or that nobody waits for."""
        lane = self._lanes.get(workflow_id)
        if lane is not None:
            lane.running -= 1
            self._leave(workflow_id, lane)

    def _leave(self, workflow_id: str, lane: _Lane) -> None:
        if lane.queued <= 0 and lane.running <= 0:
            del self._lanes[workflow_id]

    def learn(self, workflow_id: str, duration: float) -> None:
        """Learn how long a run took."""
        durations = self._durations
        known = durations.pop(workflow_id, duration)
        durations[workflow_id] = known + _NEWEST * (duration - known)
        if len(durations) > _WORKFLOWS:
            del durations[next(iter(durations))]
        self._known += 1
        of_all = duration if self._of_all is None else self._of_all
        share = max(1 / self._known, _NEWEST_OF_ALL)
        self._of_all = of_all + share * (duration - of_all)

    def left(self, now: float, *, running: int, unread: int) -> float | None:
        """Estimate the seconds until all is done; None: there is nothing to go by.

        No sooner than the longest lane is done, one run after the other; and no sooner
        than so many runs at once get through all the work. How the requests that are
        not read yet fall on lanes, nobody knows: they count as work only.

        Args:
            now: The moment, on the clock of the starts.
            running: Runs that go on now.
            unread: Requests that are in no lane yet.
        """
        of_all = self._of_all
        at_once = running or len(self._lanes)  # of those between two runs, one each
        if of_all is None or not at_once:
            return None
        work, longest = unread * of_all, 0.0
        for workflow_id, lane in self._lanes.items():
            usual = self._durations.get(workflow_id, of_all)
            left = lane.queued * usual
            if lane.running:
                # Overdue: then for as long again as it is late. Nobody knows better.
                left += abs(usual - (now - lane.since))
            work += left
            longest = max(longest, left)
        return max(longest, work / at_once)
