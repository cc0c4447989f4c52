"""`RunTask`: the task that runs workflows, for workers and for those who send."""

import asyncio
import json
import logging
import random
import uuid
from collections.abc import (
    AsyncGenerator,
    Awaitable,
    Callable,
    Coroutine,
    Iterable,
    Mapping,
)
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime
from typing import Annotated, Any, Final, NoReturn, cast

from taskiq import (
    AsyncBroker,
    AsyncTaskiqTask,
    Context,
    TaskiqDepends,
    TaskiqEvents,
    TaskiqState,
)
from taskiq.exceptions import NoResultError

from dpa_async.batch import RunOutcome
from dpa_async.callbacks import CallbackReceiver
from dpa_async.checks import (
    check_callable,
    check_count,
    check_number,
    check_text,
    check_type,
    refuse,
)
from dpa_async.client import DPAClient
from dpa_async.errors import DPAError, JournalError
from dpa_async.events import Observer
from dpa_async.integrations.outcome_text import Outcome, read_outcome, write_outcome
from dpa_async.integrations.taskiq.connections import connected
from dpa_async.integrations.taskiq.delays import Delays
from dpa_async.integrations.taskiq.keys import RedisJournal, check_durable
from dpa_async.integrations.taskiq.streams import StreamBroker
from dpa_async.integrations.taskiq.worker import Errand, LaterError, Worker
from dpa_async.models import RunRef, RunRequest, RunResult, Submission
from dpa_async.runner import Runner
from dpa_async.waiting import WaitPolicy

_LOG = logging.getLogger(__name__)

_DEFAULT_POLICY: Final = WaitPolicy()
_REFUSALS: Final = "dpa_refusals"  # a label of the message


class RunTask:
    """A Taskiq task that runs workflows, each key once, on any number of workers.

    Make it in the module that workers and those who send import it from. A worker has
    one client and one runner for its life; Redis keeps what has become of each key.

    Args:
        broker: Carries requests and outcomes; `stream_broker` makes one.
        redis_url: Where keys are kept: a Redis that forgets no write and evicts none.
        client: Makes a client in each worker, of that one's environment.
        wait: When runs are looked at.
        callbacks: Makes a receiver of callbacks in each worker; None: there are none.
            The platform has to reach each worker at an address of its own: with a
            fixed port, one process on each machine.
        observers: Called with each `RunEvent` of a worker's runs, in that worker.
        name: The task's name, the same for workers and those who send.
        namespace: What the names of all keys in Redis begin with.
        requeue_delay: Seconds after which what cannot be done now is delivered again:
            its workflow is busy, or another worker is at its key. Give or take half.
        lease: Seconds after which a worker that is not heard of counts as dead, and
            what it was sending as uncertain. That never allows to execute again.
        keep: Seconds for which a key that is finished is known, and not run again:
            at least twice the broker's `idle_timeout`, after which it can be delivered
            again.

    Raises:
        ConfigurationError: An argument cannot be right.
    """

    def __init__(  # noqa: PLR0913 - all but two are keyword-only
        self,
        broker: AsyncBroker,
        redis_url: str,
        *,
        client: Callable[[], DPAClient] = DPAClient.from_env,
        wait: WaitPolicy = _DEFAULT_POLICY,
        callbacks: Callable[[], CallbackReceiver] | None = None,
        observers: Iterable[Observer] = (),
        name: str = "dpa_run",
        namespace: str = "dpa",
        requeue_delay: float = 2.0,
        lease: float = 30.0,
        keep: float = 30 * 24 * 3600.0,
    ) -> None:
        check_type("broker", broker, AsyncBroker)
        check_callable("client", client)
        if callbacks is not None:
            check_callable("callbacks", callbacks)
        check_type("wait", wait, WaitPolicy)
        check_text("name", name)
        check_text("namespace", namespace)
        check_number("requeue_delay", requeue_delay, least=0.05)
        check_number("lease", lease, least=1)
        check_number("keep", keep, least=_least_keep(broker))
        self._broker = broker
        self._redis_url = redis_url
        self._client = client
        self._wait = wait
        self._callbacks = callbacks
        self._observers = tuple(observers)
        self._name = name
        self._namespace = namespace
        self._requeue_delay = requeue_delay
        self._lease = lease
        self._keep = keep
        self._life: AsyncExitStack | None = None  # of what a worker has
        self._worker: Worker | None = None
        self._delays: Delays | None = None

        async def dpa_run(
            request: str, context: Annotated[Context, TaskiqDepends()]
        ) -> str:
            return await self._delivered(request, context)

        task = broker.register_task(dpa_run, task_name=name)
        # Its context is Taskiq's to give, which its types do not know.
        self._send = cast("Callable[[str], Awaitable[AsyncTaskiqTask[str]]]", task.kiq)
        broker.add_event_handler(TaskiqEvents.WORKER_STARTUP, self._startup)
        broker.add_event_handler(TaskiqEvents.WORKER_SHUTDOWN, self._shutdown)

    async def send(self, request: RunRequest) -> AsyncTaskiqTask[str]:
        """Have a worker run a request; gives Taskiq's handle, for `outcome`.

        A key that has run already gives the result that there is.

        Raises:
            ConfigurationError: It has no key, or its parameters are not JSON.
            SendTaskError: Taskiq's: the broker does not take it.
        """
        return await self._send(_written(request))

    async def outcome(
        self, sent: AsyncTaskiqTask[str], *, interval: float = 0.2
    ) -> RunResult:
        """Wait for what became of a request that was sent.

        Args:
            sent: What `send` gave.
            interval: Seconds between two looks for it.

        Raises:
            DPAError: What the worker met, as what it was there.
            TaskiqError: Taskiq's: the result cannot be had.
        """
        while not await sent.is_ready():  # noqa: ASYNC110 - in another process
            await asyncio.sleep(interval)
        outcome = await _fetched(sent)
        if isinstance(outcome, DPAError):
            raise outcome
        return outcome

    async def spread(
        self,
        requests: Iterable[RunRequest],
        *,
        in_flight: int = 1_000,
        interval: float = 0.2,
    ) -> AsyncGenerator[RunOutcome]:
        """Spread requests over the workers; gives their outcomes as they are known.

        Leaving early loses outcomes and nothing else: spread the same requests again,
        and each key gives what became of it.

        Args:
            requests: What to run; each has a key of its own.
            in_flight: How many are sent and not answered at the most.
            interval: Seconds between two looks for results, where none was there.

        Yields:
            What became of one request; a run that failed is an outcome.

        Raises:
            ConfigurationError: A request has no key, or no JSON for parameters.
            TaskiqError: Taskiq's: one cannot be sent, or its result not be had.
        """
        check_count("in_flight", in_flight)
        source = enumerate(requests)
        waiting: dict[int, tuple[RunRequest, AsyncTaskiqTask[str]]] = {}
        while True:
            while len(waiting) < in_flight and (following := next(source, None)):
                number, request = following
                waiting[number] = request, await self.send(request)
            if not waiting:
                return
            before = len(waiting)
            for number, (request, sent) in tuple(waiting.items()):
                if await sent.is_ready():
                    del waiting[number]
                    yield _as_run_outcome(request, await _fetched(sent))
            if len(waiting) == before:
                await asyncio.sleep(interval)

    async def settle(self, submission: Submission, *, ran: RunRef | None) -> None:
        """Take a person's verdict on a key whose execute has an unknown fate.

        It has a client of its own, no receiver of callbacks, and tells no observers.

        Args:
            submission: Which one: `error.submission` of the outcome.
            ran: The run that it became; None: it did not run, and its key is free.

        Raises:
            ConfigurationError: It is another platform's or workflow's.
            JournalError: A worker is at it, it has a run, or Redis does not answer.
            DPAError: The platform does not know that run, or cannot be asked.
        """
        async with AsyncExitStack() as life:
            worker, _ = await self._opened(life)
            await worker.settle(submission, ran=ran)

    async def _delivered(self, text: str, context: Context) -> str:
        """Carry out a message, or have it delivered again later."""
        worker, delays = self._worker, self._delays
        if worker is None or delays is None:
            refuse(
                "the task", "runs in Taskiq's workers: start one with `taskiq worker`"
            )
        message = context.message
        errand = _read(text, int(message.labels.get(_REFUSALS, 0)))
        try:
            outcome = await worker.outcome(errand)
        except LaterError:
            message.labels[_REFUSALS] = str(errand.refusals)
        else:
            if isinstance(outcome, DPAError) and self._worker is not worker:
                # The worker is closing: that is no outcome. What never returns is not
                # acknowledged, and so delivered to another one.
                await asyncio.get_running_loop().create_future()
            return write_outcome(outcome)
        spread = random.uniform(0.5, 1.5)  # noqa: S311 - against meeting again
        again = self._broker.formatter.dumps(message)
        await delays.put(again, self._requeue_delay * spread)
        raise NoResultError

    async def _startup(self, _: TaskiqState) -> None:
        self._life = AsyncExitStack()
        callbacks = None
        if self._callbacks is not None:
            callbacks = await self._life.enter_async_context(self._callbacks())
        self._worker, self._delays = await self._opened(
            self._life, callbacks, self._observers
        )
        await self._worker.journal.beat()  # before there is an intent of it
        _keep_going(self._life, self._worker.journal.live(), self._delays.deliver())

    async def _shutdown(self, _: TaskiqState) -> None:
        life, self._life = self._life, None
        self._worker = self._delays = None
        if life is not None:
            await life.aclose()

    async def _opened(
        self,
        life: AsyncExitStack,
        callbacks: CallbackReceiver | None = None,
        observers: Iterable[Observer] = (),
    ) -> tuple[Worker, Delays]:
        redis = await life.enter_async_context(connected(self._redis_url))
        for problem in await check_durable(redis):
            _LOG.warning("a key could be run twice: %s", problem)
        journal = RedisJournal(
            redis,
            namespace=self._namespace,
            owner=uuid.uuid4().hex,
            lease=self._lease,
            keep=self._keep,
        )
        life.push_async_callback(_caught_up, journal)
        client = await life.enter_async_context(self._client())
        runner = Runner(
            client,
            wait=self._wait,
            callbacks=callbacks,
            journal=journal,
            observers=observers,
        )
        await life.enter_async_context(runner)
        # Several queues may share a namespace, for the sake of their keys.
        queue = str(getattr(self._broker, "queue_name", ""))
        delays = Delays(
            redis,
            self._broker,
            name=f"{self._namespace}:later:{queue}:{self._name}",
            interval=self._requeue_delay / 4,
        )
        return Worker(runner, journal), delays


def _least_keep(broker: AsyncBroker) -> float:
    """Give the seconds within which what is finished can be delivered once more."""
    return broker.idle_timeout / 500 if isinstance(broker, StreamBroker) else 1


async def _caught_up(journal: RedisJournal) -> None:
    with suppress(JournalError):  # then another worker looks for evidence
        await journal.catch_up()


def _keep_going(
    life: AsyncExitStack, *coroutines: Coroutine[Any, Any, NoReturn]
) -> None:
    """Run these until the end of a worker's life."""
    for coroutine in coroutines:
        task = asyncio.create_task(coroutine)
        life.push_async_callback(_ended, task)


async def _ended(task: "asyncio.Task[NoReturn]") -> None:
    task.cancel()
    _ = await asyncio.wait({task})


def _written(request: RunRequest) -> str:
    """Give a request as text.

    Raises:
        ConfigurationError: Something of it cannot be right.
    """
    check_type("request", request, RunRequest)
    if request.key is None:
        refuse("request.key", "is missing: what is delivered twice is known by it")
    check_text("request.key", request.key)
    check_text("request.workflow_id", request.workflow_id)
    check_type("request.params", request.params, Mapping | None)
    until = None
    if request.timeout is not None:
        check_number("timeout", request.timeout, least=0)
        until = datetime.now(UTC).timestamp() + request.timeout
    params = None if request.params is None else dict(request.params)
    try:
        Submission.digest(params)
        return json.dumps([request.workflow_id, params, request.key, until])
    except (ValueError, TypeError, RecursionError) as error:
        problem = str(error)
    return refuse(
        f"params of key {request.key!r}", f"cannot be sent as JSON: {problem}"
    )


def _read(text: str, refusals: int) -> Errand:
    workflow_id, params, key, until = json.loads(text)
    return Errand(RunRequest(workflow_id, params, key=key), until, refusals)


async def _fetched(sent: AsyncTaskiqTask[str]) -> Outcome:
    """Fetch a result that is ready.

    Raises:
        TaskiqError: It cannot be had.
    """
    result = await sent.get_result()
    if result.error is None:
        return read_outcome(result.return_value)
    words = f"{type(result.error).__name__}: {result.error}"
    return DPAError(f"the worker broke off ({words}); send the key again to go on")


def _as_run_outcome(request: RunRequest, outcome: Outcome) -> RunOutcome:
    if isinstance(outcome, DPAError):
        return RunOutcome(request, error=outcome)
    return RunOutcome(request, result=outcome)
