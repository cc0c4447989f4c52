"""`run_many` and `Batch`: many runs at once, their outcomes as they end."""

import asyncio
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from functools import partial
from typing import Any, Self, TypeAlias

from attrs import frozen
from typing_extensions import override

from dpa_async.checks import check_count, check_type, refuse
from dpa_async.client import DPAClient
from dpa_async.errors import ConfigurationError, DPAError, NotStartedError
from dpa_async.models import RunRequest, RunResult
from dpa_async.run import Run
from dpa_async.runner import Runner, runner_of
from dpa_async.sharing import Owner
from dpa_async.starter import Order, Start
from dpa_async.waiting import End

Requests: TypeAlias = Iterable[RunRequest] | AsyncIterable[RunRequest]

_READ_AHEAD = 4


def run_many(
    target: DPAClient | Runner,
    requests: Requests,
    *,
    concurrency: int = 100,
    ordered: bool = False,
    fail_fast: bool = False,
) -> "Batch":
    """Run many workflows at once; gives their outcomes as they end.

        async with run_many(client, requests) as batch:
            async for outcome in batch:
                ...

    An outcome is yielded for each request, and never raised. `concurrency` counts runs
    on the platform; a request that waits for its workflow holds no place. The source is
    read as places become free, at most four times the concurrency ahead: a source of a
    million requests takes no more memory than one of a thousand, apart from the keys,
    which are kept to see that none comes twice.

    Args:
        target: A client, whose one default runner is used, or a runner.
        requests: What to run, plain or async iterable; read only as needed.
        concurrency: How many runs go on at once, 1 or more.
        ordered: Whether outcomes come in the order of the requests. One slow run then
            holds back those behind it, and in the end the reading of the source.
        fail_fast: Whether nothing more is started from the first outcome with an error
            on. What runs is waited for; what was not started, also what is left in a
            plain source, comes with a `NotStartedError`. An async source is not read
            any further.

    Raises:
        ConfigurationError: `concurrency` is below 1, or `target` is neither.
    """
    check_count("concurrency", concurrency)
    check_type("requests", requests, Iterable | AsyncIterable)
    check_type("target", target, DPAClient | Runner)
    return Batch(
        target, requests, concurrency=concurrency, ordered=ordered, fail_fast=fail_fast
    )


@frozen
class RunOutcome:
    """What became of one request of a batch: a result, or an error.

    Attributes:
        request: What was asked for.
        result: How its run succeeded, or None.
        error: What went wrong, or None; a run that ended in FAIL gives a
            `RunFailedError`, and that has its `.result`.
    """

    request: RunRequest
    result: RunResult | None = None
    error: DPAError | None = None


class _Places:
    """The places of a batch: so many runs at once, so few executes at once.

    A batch has no more executes under way than the client sends at once anyway: what
    somebody else starts then waits behind those, and not behind a thousand.
    """

    def __init__(self, runs: int, executes: int) -> None:
        self.runs = asyncio.Semaphore(runs)
        self.executes = asyncio.Semaphore(executes)


class _Item:
    """One request of a batch on its way to its outcome, and its place meanwhile.

    Attributes:
        number: Which request of the source it is.
        request: What is wanted.
        order: The order that is carried out, until it is known what came of it.
        awaited: The future of what comes next: a run, then its end.
        deadline: The loop's time at which it is given up, or None.
        timer: What gives up waiting for the run then.
    """

    __slots__ = (
        "_placed",
        "_places",
        "awaited",
        "deadline",
        "number",
        "order",
        "request",
        "timer",
    )

    def __init__(self, number: int, request: RunRequest, places: _Places) -> None:
        self._places = places
        self._placed = False
        self.number = number
        self.request = request
        self.order: Order | None = None
        self.awaited: asyncio.Future[Start] | asyncio.Future[End] | None = None
        self.deadline: float | None = None
        self.timer: asyncio.TimerHandle | None = None

    async def take(self) -> None:
        await self._places.runs.acquire()
        self._placed = True
        await self._places.executes.acquire()

    def executed(self) -> None:
        self._places.executes.release()

    def give_back(self) -> None:
        if self._placed:
            self._placed = False
            self._places.runs.release()

    def leave(self) -> None:
        """Wait no longer for what comes next."""
        if self.timer is not None:
            self.timer.cancel()
        if self.awaited is not None:
            self.awaited.cancel()


class Batch(AsyncIterator[RunOutcome]):
    """The outcomes of many runs, as they end; an async iterator and context manager.

    Closing it early stops starting and detaches from what runs; on the platform that
    goes on, and the runner's `open_runs` name it. Made by `run_many`.
    """

    def __init__(
        self,
        target: DPAClient | Runner,
        requests: Requests,
        *,
        concurrency: int,
        ordered: bool,
        fail_fast: bool,
    ) -> None:
        self._target = target
        self._requests = requests
        self._concurrency = concurrency
        self._in_hand = asyncio.Semaphore(_READ_AHEAD * concurrency)
        self._ordered = ordered
        self._fail_fast = fail_fast
        self._owner = Owner()  # of the feeder, and of reading outputs
        self._runner: Runner | None = None
        self._feeder: asyncio.Task[None] | None = None
        self._at_source = False  # the feeder waits for an async source
        self._stopped = False  # nothing more is started
        self._items: set[_Item] = set()
        self._keys: set[str] = set()
        self._read = 0
        self._outcomes: deque[RunOutcome] = deque()
        self._early: dict[int, RunOutcome] = {}  # whose turn is not yet
        self._yielded_next = 0
        self._failure: BaseException | None = None  # the source's, told at the end
        self._bug: BaseException | None = None  # our own, told at once
        self._news = asyncio.Event()

    async def __aenter__(self) -> Self:
        """Begin to run; leaving the block closes the batch."""
        self._begin()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    @override
    async def __anext__(self) -> RunOutcome:
        """Give the next outcome.

        Raises:
            StopAsyncIteration: Every request has had its outcome, or the batch is
                closed.
            ConfigurationError: The source gave something that is no `RunRequest`, or
                the client is closed.
            Exception: What the source raised, after the outcomes of all that was
                started by then.
        """
        self._begin()
        while self._bug is not None or not self._outcomes:
            if self._bug is not None or self._over:
                await self._finish()
            self._news.clear()
            await self._news.wait()
        self._in_hand.release()
        return self._outcomes.popleft()

    async def aclose(self) -> None:
        """Stop starting, and detach from what runs; idempotent, raises nothing."""
        self._owner.closed = True
        while self._items:
            self._items.pop().leave()
        await self._owner.close()
        self._outcomes.clear()
        self._early.clear()
        self._news.set()
        if self._runner is not None:
            self._runner.release(self)

    @property
    def _over(self) -> bool:
        if self._owner.closed:
            return True
        return self._feeder is not None and self._feeder.done() and not self._items

    def _begin(self) -> None:
        if self._feeder is None and not self._owner.closed:
            runner = self._runner = runner_of(self._target)
            runner.adopt(self)
            self._feeder = self._owner.spawn(self._feed(runner))
            self._feeder.add_done_callback(self._tell)

    def _tell(self, done: asyncio.Future[Any]) -> None:
        if not done.cancelled() and done.exception() is not None:
            self._bug = done.exception()
        self._news.set()

    async def _finish(self) -> None:
        failure, self._failure, self._bug = self._bug or self._failure, None, None
        await self.aclose()
        if failure is not None:
            raise failure
        raise StopAsyncIteration

    async def _feed(self, runner: Runner) -> None:
        """Read the source as requests leave our hands, and start each."""
        executes = runner.client.settings.limits.submissions_in_flight
        places = _Places(self._concurrency, executes)
        try:
            async for request in self._source():
                await self._take(runner, places, request)
        except Exception as error:  # noqa: BLE001 - raised to whoever iterates
            self._failure = error
        except asyncio.CancelledError:
            if self._owner.closed:
                raise
            if not self._stopped:  # nobody cancelled us: it came out of the source
                words = "the source of requests was cancelled"
                self._failure = ConfigurationError(words)

    async def _source(self) -> AsyncIterator[object]:
        if not isinstance(self._requests, AsyncIterable):
            for request in self._requests:
                yield request
            return
        source = aiter(self._requests)
        while not self._stopped:
            self._at_source = True
            try:
                request = await anext(source)
            except StopAsyncIteration:
                return
            finally:
                self._at_source = False
            yield request

    async def _take(self, runner: Runner, places: _Places, request: object) -> None:
        if self._owner.closed:
            refuse("the batch", "is closed: the source went on after it was cancelled")
        if not isinstance(request, RunRequest):
            refuse("the source", f"gave {type(request).__name__}: give RunRequest")
        await self._in_hand.acquire()
        item = _Item(self._read, request, places)
        self._read += 1
        try:
            self._start(runner, item)
        except DPAError as error:
            self._deliver(item, RunOutcome(request, error=error))

    def _start(self, runner: Runner, item: _Item) -> None:
        request = item.request
        if request.key in self._keys:
            refuse("key", f"{request.key!r} is in the batch already")
        order = item.order = runner.order(request, place=item)
        if request.key is not None:
            self._keys.add(request.key)
        if self._stopped:
            raise _not_started(order)
        if request.timeout is not None:
            item.deadline = asyncio.get_running_loop().time() + request.timeout
        start = item.awaited = runner.begin(order, request.timeout)
        start.add_done_callback(partial(self._started, item, order))
        self._items.add(item)

    def _started(
        self, item: _Item, order: Order, starting: "asyncio.Future[Start]"
    ) -> None:
        item.order = None
        if self._owner.closed:
            return
        if starting.cancelled():
            self._deliver(item, RunOutcome(item.request, error=_not_started(order)))
        elif starting.exception() is not None:
            self._tell(starting)
        elif isinstance(start := starting.result(), DPAError):
            self._deliver(item, RunOutcome(item.request, error=start))
        else:
            end = item.awaited = start.end()
            end.add_done_callback(partial(self._ended, item, start))
            if item.deadline is not None:
                loop = asyncio.get_running_loop()
                item.timer = loop.call_at(item.deadline, end.cancel)

    def _ended(self, item: _Item, run: Run, ending: "asyncio.Future[End]") -> None:
        if item.timer is not None:
            item.timer.cancel()
        if self._owner.closed:
            return
        item.awaited = None
        if not ending.cancelled():  # by its deadline
            if ending.exception() is not None:
                self._tell(ending)
                return
            if isinstance(end := ending.result(), DPAError):
                self._deliver(item, RunOutcome(item.request, error=end))
                return
        collecting = self._owner.spawn(self._collect(item, run))
        collecting.add_done_callback(self._tell)

    async def _collect(self, item: _Item, run: Run) -> None:
        """Read the outputs of a run that is over, or say that its time is."""
        left = None
        if item.deadline is not None:
            left = max(0.0, item.deadline - asyncio.get_running_loop().time())
        try:
            result = await run.result(timeout=left)
        except DPAError as error:
            self._deliver(item, RunOutcome(item.request, error=error))
        else:
            self._deliver(item, RunOutcome(item.request, result=result))

    def _deliver(self, item: _Item, outcome: RunOutcome) -> None:
        item.give_back()
        self._items.discard(item)
        if self._ordered:
            self._early[item.number] = outcome
            while self._yielded_next in self._early:
                self._outcomes.append(self._early.pop(self._yielded_next))
                self._yielded_next += 1
        else:
            self._outcomes.append(outcome)
        if self._fail_fast and outcome.error is not None:
            self._stop_starting()
        self._news.set()

    def _stop_starting(self) -> None:
        if self._stopped:
            return
        self._stopped = True
        for item in tuple(self._items):
            # A POST that is out is waited for, and sent no second time.
            if item.order is not None and not item.order.departure.abandon():
                item.leave()
        if self._at_source and self._feeder is not None:
            self._feeder.cancel()


def _not_started(order: Order) -> NotStartedError:
    reason = "another request of the batch failed first; nothing was started"
    return NotStartedError(order.submission, reason)
