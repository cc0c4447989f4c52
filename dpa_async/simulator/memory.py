"""The in-memory face: the simulator under the client's transport seam.

No socket, no thread, no wall clock: on a `VirtualTimeLoop` minutes take no time.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import TypeVar

from typing_extensions import override

from dpa_async.simulator.behaviour import Behaviour
from dpa_async.simulator.courier import CallbackAttempt, Courier, Deliver
from dpa_async.simulator.door import Delivery, Passage
from dpa_async.simulator.face import Face
from dpa_async.simulator.faults import Ending, FaultScript
from dpa_async.simulator.records import Request
from dpa_async.simulator.workflows import Duration, SimulatedWorkflow

_ORIGIN = "http://127.0.0.1:1"
_STARTS_AT = 1_750_000_000.0

_T = TypeVar("_T")


class MemorySimulator(Face):
    """A simulated platform that is a transport: `DPAClient` talks to it directly.

    Args:
        workflows: What there is to execute; None: anything.
        duration: Seconds a run takes where its workflow does not say.
        seed: Of every random choice.
        behaviour: What the platform does where its document is silent.
        faults: What goes wrong.
        latency: Seconds an exchange takes, at least.
        deliver_callback: Takes a URL and a JSON object to its receiver and gives the
            text of the reply; an `OSError` means that there is none. None: nobody is
            called back.
    """

    def __init__(
        self,
        workflows: Iterable[SimulatedWorkflow] | None = None,
        *,
        duration: Duration = 0.2,
        seed: int = 0,
        behaviour: Behaviour | None = None,
        faults: FaultScript | None = None,
        latency: float = 0.005,
        deliver_callback: Deliver | None = None,
    ) -> None:
        super().__init__(
            workflows,
            duration=duration,
            seed=seed,
            behaviour=behaviour,
            faults=faults,
            starts_at=_STARTS_AT,
        )
        self._latency = latency
        self._courier = (
            Courier(self.platform, self.faults, self._clock, deliver_callback)
            if deliver_callback
            else None
        )
        self._tasks: set[asyncio.Task[object]] = set()
        self._courier_task: asyncio.Task[None] | None = None

    @property
    @override
    def url(self) -> str:
        return _ORIGIN + self.platform.behaviour.prefix

    @property
    def callback_attempts(self) -> list[CallbackAttempt]:
        """Every attempt to deliver a callback that is over, in order."""
        return self._courier.attempts if self._courier else []

    async def exchange(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None,
        *,
        on_sent: Callable[[], None],
        own_connection: bool,
        max_body_bytes: int,
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Make one HTTP exchange.

        Args:
            method: The HTTP method.
            url: Absolute; of another origin than the simulator's nothing answers.
            headers: Of the request.
            body: Of the request.
            on_sent: Called once, when the request leaves and before it is looked at.
            own_connection: Of no meaning where there are no connections.
            max_body_bytes: Of a longer body, so many bytes and one more are given.

        Returns:
            Status, headers by lower-case name, body.

        Raises:
            OSError: There was no whole answer.
        """
        del own_connection
        if not url.startswith(_ORIGIN + "/"):
            raise ConnectionRefusedError("nobody is there")
        lower = {name.lower(): value for name, value in headers.items()}
        target = url[len(_ORIGIN) :].partition("#")[0]
        passage = self._door.enter(Request(method, target, lower, body or b""))
        if passage.fault.ending is Ending.REFUSED:
            raise ConnectionRefusedError(passage.fault.ending.value)
        on_sent()
        delivery = await self._carried_out(passage)
        await asyncio.sleep(max(0.0, delivery.at - self._clock.now()) + self._latency)
        answer = delivery.answer
        received = await _received(delivery, max_body_bytes + 1)
        return answer.http_status, answer.headers, received

    async def aclose(self) -> None:
        """End what is still under way; the platform and its runs stay.

        Raises:
            ExceptionGroup: `deliver_callback` raised what is not an `OSError`.
        """
        courier, self._courier_task = self._courier_task, None
        pending = [task for task in self._tasks if not task.done()]
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
        if courier is not None:
            await Courier.dismiss(courier)

    async def _carried_out(self, passage: Passage) -> Delivery:
        if not passage.fault.delay:
            return self._on_time(passage)
        # On its way a request is out of its sender's hands: it reaches the platform
        # even when the sender has given up by then.
        return await asyncio.shield(self._spawn(self._late(passage)))

    async def _late(self, passage: Passage) -> Delivery:
        await asyncio.sleep(passage.fault.delay)
        return self._on_time(passage)

    def _on_time(self, passage: Passage) -> Delivery:
        delivery = passage.carry_out()
        if self._courier and self.platform.next_callback_at() is not None:
            # A courier that was closed, or whose loop is gone, is hired again.
            if self._courier_task is None or self._courier_task.cancelled():
                self._courier_task = self._spawn(self._courier.run())
            elif passage.interface == "execute":
                self._courier.wake()
        return delivery

    def _spawn(self, work: Coroutine[object, object, _T]) -> asyncio.Task[_T]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


async def _received(delivery: Delivery, most: int) -> bytes:
    """Give what arrives of an answer's body.

    Raises:
        OSError: It does not arrive, or not whole.
    """
    body = delivery.answer.body
    match delivery.ending:
        case Ending.STALLED:
            await asyncio.Event().wait()
        case Ending.RESET | Ending.CLOSED:
            raise ConnectionResetError(delivery.ending.value)
        case Ending.CUT if delivery.cut_at < len(body):
            raise ConnectionError(delivery.ending.value)
        case Ending.ENDLESS:
            return b" " * most
        case _:
            pass
    return body[:most]
