"""`run_many` and `Batch`: many runs at once, their outcomes as they end."""

import asyncio
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Coroutine, Iterable
from typing import Self, TypeAlias

from attrs import frozen
from typing_extensions import override

from dpa_async.checks import check_count, check_type, refuse
from dpa_async.client import DPAClient
from dpa_async.errors import ConfigurationError, DPAError
from dpa_async.models import RunRequest, RunResult
from dpa_async.runner import Runner, complete, runner_of
from dpa_async.sharing import Owner

Requests: TypeAlias = Iterable[RunRequest] | AsyncIterable[RunRequest]

_READ_AHEAD = 4


def run_many(
    target: DPAClient | Runner, requests: Requests, *, concurrency: int = 100
) -> "Batch":
    """Run many workflows at once; gives their outcomes as they end.

        async with run_many(client, requests) as batch:
            async for outcome in batch:
                ...

    An outcome is yielded for each request, and never raised. `concurrency` counts runs
    on the platform; a request that waits for its workflow holds no place. The source is
    read as places become free, at most four times the concurrency ahead.

    Args:
        target: A client, whose one default runner is used, or a runner.
        requests: What to run, plain or async iterable; read only as needed.
        concurrency: How many runs go on at once, 1 or more.

    Raises:
        ConfigurationError: `concurrency` is below 1, or `target` is neither.
    """
    check_count("concurrency", concurrency)
    check_type("requests", requests, Iterable | AsyncIterable)
    return Batch(target, requests, concurrency=concurrency)


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


class _Place:
    """One run's place among those that may go on at once; given back once."""

    __slots__ = ("_places", "_taken")

    def __init__(self, places: asyncio.Semaphore) -> None:
        self._places = places
        self._taken = False

    async def take(self) -> None:
        await self._places.acquire()
        self._taken = True

    def give_back(self) -> None:
        if self._taken:
            self._taken = False
            self._places.release()


class Batch(AsyncIterator[RunOutcome]):
    """The outcomes of many runs, as they end; an async iterator and context manager.

    Closing it early stops starting and detaches from what runs; on the platform that
    goes on, and the runner's `open_runs` name it. Made by `run_many`.
    """

    def __init__(
        self, target: DPAClient | Runner, requests: Requests, *, concurrency: int
    ) -> None:
        self._target = target
        self._requests = requests
        self._places = asyncio.Semaphore(concurrency)
        self._in_hand = asyncio.Semaphore(_READ_AHEAD * concurrency)
        self._owner = Owner()  # of the feeder, and of a worker per request in hand
        self._runner: Runner | None = None
        self._keys: set[str | None] = set()
        self._outcomes: deque[RunOutcome] = deque()
        self._failure: BaseException | None = None  # the source's, told at the end
        self._bug: BaseException | None = None  # a worker's, told at once
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
            if self._bug is not None or self._owner.closed or not self._owner:
                await self._finish()
            self._news.clear()
            await self._news.wait()
        self._in_hand.release()
        return self._outcomes.popleft()

    async def aclose(self) -> None:
        """Stop starting, and detach from what runs; idempotent, raises nothing."""
        await self._owner.close()
        self._outcomes.clear()
        self._news.set()
        if self._runner is not None:
            self._runner.release(self)

    def _begin(self) -> None:
        if self._runner is None and not self._owner.closed:
            self._runner = runner_of(self._target)
            self._runner.adopt(self)
            self._spawn(self._feed(self._runner))

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        self._owner.spawn(work).add_done_callback(self._tell)

    async def _finish(self) -> None:
        failure, self._failure, self._bug = self._bug or self._failure, None, None
        await self.aclose()
        if failure is not None:
            raise failure
        raise StopAsyncIteration

    async def _feed(self, runner: Runner) -> None:
        """Read the source as requests leave our hands, and give each to a worker."""
        try:
            if isinstance(self._requests, AsyncIterable):
                async for request in self._requests:
                    await self._take(runner, request)
            else:
                for request in self._requests:
                    await self._take(runner, request)
        except Exception as error:  # noqa: BLE001 - raised to whoever iterates
            self._failure = error
        except asyncio.CancelledError:
            if self._owner.closed:
                raise
            # Nobody cancelled us: it is the source's, from something that it awaits.
            self._failure = ConfigurationError("the source of requests was cancelled")

    async def _take(self, runner: Runner, request: object) -> None:
        if self._owner.closed:
            refuse("the batch", "is closed: the source went on after it was cancelled")
        if not isinstance(request, RunRequest):
            refuse("the source", f"gave {type(request).__name__}: give RunRequest")
        await self._in_hand.acquire()
        if request.key is not None and request.key in self._keys:
            error = ConfigurationError(f"key {request.key!r} is in the batch already")
            self._outcomes.append(RunOutcome(request, error=error))
            self._news.set()
            return
        self._keys.add(request.key)
        self._spawn(self._work(runner, request))

    async def _work(self, runner: Runner, request: RunRequest) -> None:
        place = _Place(self._places)
        try:
            result = await complete(runner, request, place=place)
        except DPAError as error:
            self._outcomes.append(RunOutcome(request, error=error))
        else:
            self._outcomes.append(RunOutcome(request, result=result))
        finally:
            place.give_back()

    def _tell(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            self._bug = task.exception()
        self._news.set()
