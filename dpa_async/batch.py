"""`Batch`: many runs at once, their outcomes as they end."""

import asyncio
import contextvars
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
from typing import Self, TypeAlias

from attrs import frozen
from typing_extensions import override

from dpa_async.checks import refuse
from dpa_async.errors import ConfigurationError, DPAError, RunFailedError
from dpa_async.item import BatchRunner, Item, given_up
from dpa_async.models import RunRequest, RunResult, RunStatus
from dpa_async.sharing import Owner

Requests: TypeAlias = Iterable[RunRequest] | AsyncIterable[RunRequest]

_READ_AHEAD = 4
"""Requests in hand for each that may run: some wait for their workflows."""

_FAR_AHEAD = 3_000
"""More than so many beyond those that run find no free workflow either."""


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


class Batch(AsyncIterator[RunOutcome]):
    """The outcomes of many runs, as they end; an async iterator and context manager.

    Closing it early stops starting and detaches from what runs; on the platform that
    goes on, and the runner's `open_runs` name it. Made by `run_many`.
    """

    def __init__(
        self,
        runner: Callable[[], BatchRunner],
        requests: Requests,
        *,
        concurrency: int = 100,
        ordered: bool = False,
        fail_fast: bool = False,
        retry_failed: bool = False,
    ) -> None:
        self._get_runner = runner
        self._requests = requests
        self.places = asyncio.Semaphore(concurrency)
        ahead = min((_READ_AHEAD - 1) * concurrency, _FAR_AHEAD)
        self._in_hand = asyncio.Semaphore(concurrency + ahead)
        # One for all: each callback of a future would otherwise make its own.
        self.context = contextvars.copy_context()
        self._ordered = ordered
        self._fail_fast = fail_fast
        self._retry_failed = retry_failed
        self._owner = Owner()  # of the feeder, and of reading outputs
        self._runner: BatchRunner | None = None
        self._feeder: asyncio.Task[None] | None = None
        self._at_source = False  # the feeder waits for an async source
        self._stopped = False  # nothing more is started
        self._items: set[Item] = set()
        self._keys: set[str] = set()
        self._read = 0
        self._outcomes: deque[RunOutcome] = deque()
        self._early: dict[int, RunOutcome] = {}  # whose turn is not yet
        self._next = 0  # the number whose turn it is
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
    def is_closed(self) -> bool:
        """Whether nobody wants to know of its runs any more."""
        return self._owner.closed

    @property
    def _over(self) -> bool:
        if self._owner.closed:
            return True
        return self._feeder is not None and self._feeder.done() and not self._items

    def _begin(self) -> None:
        if self._feeder is None and not self._owner.closed:
            runner = self._runner = self._get_runner()
            runner.adopt(self)
            # In the context of who made it, whoever iterates first.
            context = self.context.copy()
            self._feeder = self._owner.spawn(self._feed(runner), context=context)
            self._feeder.add_done_callback(self._done)

    async def _finish(self) -> None:
        failure, self._failure, self._bug = self._bug or self._failure, None, None
        await self.aclose()
        if failure is not None:
            raise failure
        raise StopAsyncIteration

    async def _feed(self, runner: BatchRunner) -> None:
        """Read the source as requests leave our hands, and start each."""
        try:
            async for request in self._source():
                await self._take(runner, request)
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

    async def _take(self, runner: BatchRunner, request: object) -> None:
        if self._owner.closed:
            refuse("the batch", "is closed: the source went on after it was cancelled")
        if not isinstance(request, RunRequest):
            refuse("the source", f"gave {type(request).__name__}: give RunRequest")
        await self._in_hand.acquire()
        item = Item(self, self._read, request)
        self._read += 1
        try:
            self._start(runner, item)
        except DPAError as error:
            self.deliver(item, error=error)

    def _start(self, runner: BatchRunner, item: Item) -> None:
        request, retry_failed = item.request, self._retry_failed
        key = request.key
        if key is not None:
            if key in self._keys:
                refuse("key", f"{key!r} is in the batch already")
            result = runner.finished(request, retry_failed=retry_failed)
            if result is not None:
                self._keys.add(key)
                self._deliver_finished(item, result)
                return
        order = runner.order(
            request, place=item, source=self, retry_failed=retry_failed
        )
        if key is not None:  # a request that cannot be right may come again, put right
            self._keys.add(key)
        if self._stopped and isinstance(start := given_up(order), DPAError):
            raise start
        item.begin(runner, order)
        self._items.add(item)

    def _deliver_finished(self, item: Item, result: RunResult) -> None:
        if result.status is RunStatus.FAILED:
            self.deliver(item, error=RunFailedError(result))
        else:
            self.deliver(item, result=result)

    def collect(self, item: Item) -> None:
        """Have an item fetch what there is of its run."""
        if not self._owner.closed:
            collecting = self._owner.spawn(item.collect())
            collecting.add_done_callback(self._done)

    def deliver(
        self,
        item: Item,
        *,
        result: RunResult | None = None,
        error: DPAError | None = None,
    ) -> None:
        """Take what became of an item: it is yielded when it is its turn."""
        if self._owner.closed:
            return
        item.give_back()
        self._items.discard(item)
        outcome = RunOutcome(item.request, result, error)
        if self._ordered:
            self._early[item.number] = outcome
            while self._next in self._early:
                self._outcomes.append(self._early.pop(self._next))
                self._next += 1
        else:
            self._outcomes.append(outcome)
        if self._fail_fast and error is not None:
            self._stop_starting()
        self._news.set()

    def break_off(self, bug: BaseException) -> None:
        """End at once: something happened that must not."""
        self._bug = bug
        self._news.set()

    def _done(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (bug := task.exception()) is not None:
            self.break_off(bug)
        self._news.set()

    def _stop_starting(self) -> None:
        if self._stopped:
            return
        self._stopped = True
        for item in tuple(self._items):
            item.stop_starting()
        if self._at_source and self._feeder is not None:
            self._feeder.cancel()
