"""One request of a batch, from its order to its outcome."""

import asyncio
import contextvars
from typing import Protocol

from dpa_async.errors import DPAError, NotStartedError
from dpa_async.models import RunRequest, RunResult
from dpa_async.order import Order, Place, Start
from dpa_async.run import Run
from dpa_async.sharing import Closeable
from dpa_async.waiting import End


class BatchRunner(Protocol):
    """What a batch needs of a runner."""

    def order(
        self,
        request: RunRequest,
        *,
        place: Place | None = None,
        source: object = None,
        retry_failed: bool = False,
    ) -> Order:
        """Write down what is meant.

        Raises:
            ConfigurationError: Something cannot be right.
        """
        ...

    def begin(self, order: Order, timeout: float | None) -> "asyncio.Future[Start]":
        """Carry out an order."""
        ...

    def finished(self, request: RunRequest, *, retry_failed: bool) -> RunResult | None:
        """Give the result of a request whose key is journaled as finished.

        Raises:
            ConfigurationError: The key is journaled for another request.
            DPAError: That cannot be told.
        """
        ...

    def adopt(self, dependant: Closeable) -> None:
        """Close something, once, before the runner is closed."""
        ...

    def release(self, dependant: Closeable) -> None:
        """Forget something that was adopted and has ended by itself."""
        ...


class Deliveries(Protocol):
    """What a batch is to its items.

    Attributes:
        places: One for each run that may go on at once.
        context: What callbacks run in: one for all, or each would make its own.
    """

    places: asyncio.Semaphore
    context: contextvars.Context

    @property
    def is_closed(self) -> bool:
        """Whether nobody wants to know any more."""
        ...

    def collect(self, item: "Item") -> None:
        """Have an item fetch what there is of its run."""
        ...

    def deliver(
        self,
        item: "Item",
        *,
        result: RunResult | None = None,
        error: DPAError | None = None,
    ) -> None:
        """Take what became of an item."""
        ...

    def break_off(self, bug: BaseException) -> None:
        """End at once: something happened that must not."""
        ...


def given_up(order: Order) -> Start:
    """Say what became of an order that was given up because another one failed."""
    return order.given_up("another request of the batch failed first", NotStartedError)


class Item:
    """One request of a batch on its way to its outcome, and its place meanwhile.

    Args:
        batch: Whose request it is.
        number: Which request of the source it is.
        request: What is wanted.
    """

    __slots__ = (
        "_awaited",
        "_batch",
        "_deadline",
        "_order",
        "_placed",
        "_run",
        "_timer",
        "number",
        "request",
    )

    def __init__(self, batch: Deliveries, number: int, request: RunRequest) -> None:
        self.number = number
        self.request = request
        self._batch = batch
        self._placed = False
        self._order: Order | None = None  # until it is known what came of it
        self._run: Run | None = None  # from then on
        self._awaited: asyncio.Future[Start] | asyncio.Future[End] | None = None
        self._deadline: float | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_free(self) -> bool:
        """Whether there is a place."""
        return not self._batch.places.locked()

    async def take(self) -> None:
        """Wait for a place; raises nothing."""
        await self._batch.places.acquire()
        self._placed = True

    def give_back(self) -> None:
        """Leave its place, where it has one."""
        if self._placed:
            self._placed = False
            self._batch.places.release()

    def begin(self, runner: BatchRunner, order: Order) -> None:
        """Start the run; what comes of it is told to the batch."""
        timeout = self.request.timeout
        if timeout is not None:
            self._deadline = asyncio.get_running_loop().time() + timeout
        self._order = order
        self._awaited = start = runner.begin(order, timeout)
        start.add_done_callback(self._started, context=self._batch.context)

    def stop_starting(self) -> None:
        """Give it up if nothing was started; a POST that is out is waited for."""
        if self._order is not None and not self._order.departure.abandon():
            self.leave()

    def leave(self) -> None:
        """Wait no longer for what comes next."""
        if self._timer is not None:
            self._timer.cancel()
        if self._awaited is not None:
            self._awaited.cancel()

    def _started(self, starting: "asyncio.Future[Start]") -> None:
        order, self._order = self._order, None
        self._awaited = None
        if order is None or self._batch.is_closed:
            return
        if not starting.cancelled() and (bug := starting.exception()) is not None:
            self._batch.break_off(bug)
            return
        start = given_up(order) if starting.cancelled() else starting.result()
        if isinstance(start, DPAError):
            self._batch.deliver(self, error=start)
            return
        self._run = start
        self._awaited = end = start.end()
        end.add_done_callback(self, context=self._batch.context)
        if self._deadline is not None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_at(self._deadline, end.cancel)

    def __call__(self, ending: "asyncio.Future[End]") -> None:
        """Take note of the run's end: a callback that costs nothing more."""
        if self._timer is not None:
            self._timer.cancel()
        self._awaited = None
        if ending.cancelled():  # by its deadline, or by the batch
            self._batch.collect(self)
        elif (bug := ending.exception()) is not None:
            self._batch.break_off(bug)
        elif isinstance(end := ending.result(), DPAError):
            self._batch.deliver(self, error=end)
        else:
            self._batch.collect(self)

    async def collect(self) -> None:
        """Read the outputs of a run that is over, or say that its time is.

        Raises nothing: what goes wrong is delivered.
        """
        run, left = self._run, None
        if run is None:
            return
        if self._deadline is not None:
            left = max(0.0, self._deadline - asyncio.get_running_loop().time())
        try:
            result = await run.result(timeout=left)
        except DPAError as error:
            self._batch.deliver(self, error=error)
        else:
            self._batch.deliver(self, result=result)
