"""Starting runs: each in its workflow's lane, in the order of the calls.

What waits is a future and an entry in a queue; a task exists only while an execute is
being answered, or something is asked that has to be known before.

    begin → its lane → (the workflow's latest run is over) → its source's turn → a task
"""

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial

from typing_extensions import override

from dpa_async.attempt import Attempt, busy
from dpa_async.errors import (
    DPAError,
    NotStartedError,
    SubmissionError,
    SubmissionUncertainError,
)
from dpa_async.events import Queued, Unqueued
from dpa_async.listing import Listing
from dpa_async.open_runs import OpenRuns
from dpa_async.order import Order, Start
from dpa_async.preflight import Preflight
from dpa_async.run import Run
from dpa_async.submission import Submitter
from dpa_async.surroundings import Surroundings
from dpa_async.waiting import End

_FINISH_POSTS = 5.0
"""Seconds that closing waits for the answers of executes that are out there, beyond
what these may be held."""

_TASKS_PER_POST = 4
"""Tasks at once for each execute that may be in flight: so that always one is ready."""


class _Entry(asyncio.Future[Start]):
    """An order in its lane, and a future of what comes of it.

    That it is cancelled is told at once: a tick later a POST could have left.

    Attributes:
        order: What is wanted.
        timer: What gives it up.
        checking: Compares its parameters' names, before it is its turn.
        blocked_by: The end of the workflow's latest run, while that is awaited.
        task: Carries it out.
        holds_slot: Whether the task counts among those that may be at once.
    """

    __slots__ = (
        "_give_up",
        "blocked_by",
        "checking",
        "holds_slot",
        "order",
        "task",
        "timer",
    )

    def __init__(self, order: Order, give_up: "Callable[[_Entry], None]") -> None:
        super().__init__(loop=asyncio.get_running_loop())
        self._give_up = give_up
        self.order = order
        self.timer: asyncio.TimerHandle | None = None
        self.checking: asyncio.Task[None] | None = None
        self.blocked_by: asyncio.Future[End] | None = None
        self.task: asyncio.Task[Start] | None = None
        self.holds_slot = False

    @override
    def cancel(self, msg: object = None) -> bool:
        was_pending = super().cancel(msg)
        if was_pending:
            self._give_up(self)
        return was_pending


class _Turns:
    """Orders that are ready, by their source: the sources take turns."""

    def __init__(self) -> None:
        self._queues: dict[object, deque[_Entry]] = {}

    def put(self, entry: _Entry) -> None:
        self._queues.setdefault(entry.order.source, deque()).append(entry)

    def pop(self) -> _Entry | None:
        for source in self._queues:
            queue = self._queues.pop(source)
            entry = queue.popleft()
            if queue:
                self._queues[source] = queue  # at the back
            return entry
        return None


class Starter:
    """Carries out the orders of one runner.

    Args:
        here: What the runner's runs have in common.
        runs: Knows the runs that there are.
        submitter: Executes once.
        listing: Tells which workflows are busy.
    """

    def __init__(
        self,
        here: Surroundings,
        runs: OpenRuns,
        submitter: Submitter,
        listing: Listing,
    ) -> None:
        self._here = here
        self._runs = runs
        self._submitter = submitter
        self._listing = listing
        self._preflight = Preflight(here.client, here.owner)
        self._lanes: dict[str, dict[_Entry, None]] = {}  # dicts for their order
        self._ready = _Turns()
        posts = here.client.settings.limits.submissions_in_flight
        self._slots = _TASKS_PER_POST * posts

    def begin(
        self, order: Order, timeout: float | None = None
    ) -> "asyncio.Future[Start]":
        """Carry out an order; gives a future of what comes of it.

        Cancelling the future gives the order up. A POST that is out then is finished
        all the same, but nothing is sent any more.

        Args:
            order: What is wanted.
            timeout: Seconds until it is given up; None: never.
        """
        entry = _Entry(order, self._give_up)
        known = self._known(order)
        if known is None and timeout == 0:  # its timer would come a turn too late
            known = order.given_up("the deadline came at once", NotStartedError)
        if known is not None:
            entry.set_result(known)
            return entry
        lane = self._lanes.setdefault(order.workflow_id, {})
        if lane and order.if_busy == "fail":
            entry.set_result(busy(order, "it is being started by another call"))
            return entry
        if timeout is not None:
            loop = asyncio.get_running_loop()
            order.departure.deadline = loop.time() + timeout
            words = f"the deadline of {timeout:g} s came"
            entry.timer = loop.call_later(timeout, self._expire, entry, words)
        key, workflow_id = order.submission.key, order.workflow_id
        order.context.run(self._here.announce, Queued, key, workflow_id)
        lane[entry] = None
        if order.validate:
            entry.checking = self._here.owner.spawn(
                self._check_early(entry), context=order.context
            )
        if len(lane) == 1:
            self._at_head(entry)
        return entry

    def _known(self, order: Order) -> Start | None:
        """Give the run of a key that is journaled; its turn makes no difference."""
        try:
            journaled = self._runs.journaled(order)
            return None if journaled is None else self._runs.of_entry(journaled)
        except DPAError as error:
            return error

    async def close(self) -> None:
        """Finish the POSTs that are out, and give up everything else; raises nothing.

        Those who wait are told.
        """
        out: set[asyncio.Task[Start]] = set()
        held = 0.0
        for lane in tuple(self._lanes.values()):
            for entry in tuple(lane):
                if entry.order.departure.abandon() and entry.task is not None:
                    out.add(entry.task)
                    held = max(held, entry.order.departure.hold)
                elif entry.task is None:
                    self._settle(entry, _closed(entry))
        await self._here.owner.close(spared=out, grace=_FINISH_POSTS + held)

    def _at_head(self, entry: _Entry) -> None:
        """Let the workflow's latest run end first, as far as that can be told.

        Where waiting for it fails, the platform refuses if it is not over.
        """
        latest = self._runs.latest(entry.order.workflow_id)
        if latest is None or latest.ended or entry.order.if_busy == "fail":
            self._is_ready(entry)
            return
        # In its context: it may be the only one who waits for that run.
        entry.blocked_by = entry.order.context.run(latest.end)
        entry.blocked_by.add_done_callback(lambda _: self._was_blocked(entry, latest))

    def _was_blocked(self, entry: _Entry, latest: Run) -> None:
        """Go on; where that run is over, there may be another one of the workflow."""
        if latest.ended and not entry.done():
            self._at_head(entry)
        else:
            self._is_ready(entry)

    def _is_ready(self, entry: _Entry) -> None:
        entry.blocked_by = None
        if not entry.done():
            self._ready.put(entry)
            self._go_on()

    def _go_on(self) -> None:
        while self._slots and (entry := self._ready.pop()) is not None:
            if not entry.done():
                self._slots -= 1
                entry.holds_slot = True
                work = self._attempt(entry).outcome()
                entry.task = self._here.owner.spawn(work, context=entry.order.context)
                entry.task.add_done_callback(partial(self._done, entry))

    def _attempt(self, entry: _Entry) -> Attempt:
        return Attempt(
            order=entry.order,
            runs=self._runs,
            submitter=self._submitter,
            listing=self._listing,
            preflight=self._preflight,
            announce=self._here.announce,
            step_aside=partial(self._free_slot, entry),
        )

    def _free_slot(self, entry: _Entry) -> None:
        if entry.holds_slot:
            entry.holds_slot = False
            self._slots += 1
            self._go_on()

    async def _check_early(self, entry: _Entry) -> None:
        """Tell of wrong parameters before it is their turn."""
        order = entry.order
        try:
            await self._preflight.check(order.workflow_id, order.params)
        except DPAError as error:
            if entry.task is None:
                self._settle(entry, error.about(submission=order.submission))

    def _expire(self, entry: _Entry, reason: str) -> None:
        if entry.task is not None and entry.task.done():  # in this very moment
            return
        self._settle(entry, entry.order.given_up(reason, NotStartedError))

    def _settle(self, entry: _Entry, start: Start) -> None:
        if not entry.done():
            entry.set_result(start)
            self._give_up(entry)

    def _give_up(self, entry: _Entry) -> None:
        """End what is done for an order, but for a POST that is out."""
        for waiting in (entry.timer, entry.checking, entry.blocked_by):
            if waiting is not None:
                waiting.cancel()
        if entry.task is None:
            self._leave_lane(entry)
        elif not (entry.order.departure.abandon() or entry.task.cancelling()):
            entry.task.cancel()  # once: again would cut short how it leaves

    def _done(self, entry: _Entry, task: "asyncio.Task[Start]") -> None:
        self._free_slot(entry)
        if entry.timer is not None:
            entry.timer.cancel()
        if entry.done():
            pass
        elif task.cancelled():
            entry.set_result(_closed(entry))
        elif (bug := task.exception()) is not None:
            entry.set_exception(bug)
        else:
            entry.set_result(task.result())
        self._leave_lane(entry)

    def _leave_lane(self, entry: _Entry) -> None:
        lane = self._lanes.get(entry.order.workflow_id, {})
        if entry not in lane:
            return
        if entry.order.progress.run is None:
            key = entry.order.submission.key
            problem = _problem(entry)
            self._here.announce(Unqueued, key, entry.order.workflow_id, problem)
        was_head = next(iter(lane)) is entry
        del lane[entry]
        if not lane:
            del self._lanes[entry.order.workflow_id]
        elif was_head and not self._here.owner.closed:
            self._at_head(next(iter(lane)))


def _problem(entry: _Entry) -> str | None:
    """Name the error of a request that is over; None: it has none, but a run."""
    over: asyncio.Future[Start] = entry
    if entry.task is not None and not entry.task.cancelled():
        over = entry.task  # it knows more than who gave up waiting for it
    if not over.cancelled():
        problem = over.exception() or over.result()
        return type(problem).__name__ if isinstance(problem, Exception) else None
    is_doubt = isinstance(_closed(entry), SubmissionUncertainError)
    return (SubmissionUncertainError if is_doubt else asyncio.CancelledError).__name__


def _closed(entry: _Entry) -> Start:
    return entry.order.given_up("the runner was closed", SubmissionError)
