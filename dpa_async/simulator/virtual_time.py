"""An event loop whose clock jumps: an hour's sleep takes no time.

    from dpa_async.simulator.virtual_time import run

    run(main())   # like asyncio.run, on virtual time

Whenever nothing is ready to run, the clock jumps to the next timer. Sockets, pipes and
`call_soon_threadsafe` work, but virtual time does not wait for them: with a timer ahead
and an answer still on a real wire, the clock jumps to the timer. What is waited for is
work in an executor (`asyncio.to_thread`, name look-ups): time stands still meanwhile.
For a thread of your own that wakes the loop, give `thread_grace`.
"""

import asyncio
import contextlib
import math
import selectors
import threading
import time
from asyncio import AbstractEventLoop
from collections.abc import Callable, Coroutine, Generator
from concurrent.futures import Executor
from typing import TypeVar, TypeVarTuple

from typing_extensions import override

_T = TypeVar("_T")
_Ts = TypeVarTuple("_Ts")

_STARTS_AT = 1_000.0  # like a monotonic clock: anything but zero
_RESOLUTION = time.get_clock_info("monotonic").resolution
_PATIENCE = 30.0  # real seconds until silence from outside counts as a deadlock


class _JumpingSelector(selectors.DefaultSelector):
    """Waits for I/O by moving its clock, and really only where it must."""

    def __init__(self, thread_grace: float) -> None:
        super().__init__()
        self.now = _STARTS_AT
        self.standing_still = 0  # how many things time has to wait for
        self._thread_grace = thread_grace

    @override
    def select(
        self, timeout: float | None = None
    ) -> list[tuple[selectors.SelectorKey, int]]:
        """Give what is ready, or else let `timeout` seconds of virtual time pass."""
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if self.standing_still:
            return super().select(_PATIENCE)
        if timeout is None:
            return self._wait_for_the_world()
        ready = super().select(self._thread_grace) if self._thread_grace else []
        if not ready:
            self.now = _rounded_up(self.now + timeout)
        return ready

    def _wait_for_the_world(self) -> list[tuple[selectors.SelectorKey, int]]:
        # One file is always there: the loop's own, which threads wake it by.
        if len(self.get_map()) > 1 or threading.active_count() > 1:
            ready = super().select(_PATIENCE)
            if ready:
                return ready
        raise RuntimeError(
            "deadlock: every task waits, and no timer, I/O or thread will wake one"
        )


def _rounded_up(moment: float) -> float:
    """Make sure that a timer of this very moment is due.

    asyncio takes as due what lies before now plus a nanosecond; after some months that
    sum is rounded down to now, and the timer would never be due.
    """
    due = moment + _RESOLUTION > moment
    return moment if due else math.nextafter(moment, math.inf)


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop on virtual time.

    Args:
        thread_grace: Real seconds to wait for other threads ahead of each jump.
    """

    def __init__(self, *, thread_grace: float = 0.0) -> None:
        self._jumping = _JumpingSelector(thread_grace)
        super().__init__(self._jumping)

    @override
    def time(self) -> float:
        """Tell the virtual time."""
        return self._jumping.now

    @contextlib.contextmanager
    def standing_still(self) -> Generator[None]:
        """Keep time from passing, while something real is waited for."""
        self._jumping.standing_still += 1
        try:
            yield
        finally:
            self._jumping.standing_still -= 1

    @override
    def run_in_executor(
        self,
        executor: Executor | None,
        func: Callable[[*_Ts], _T],
        *args: *_Ts,
    ) -> asyncio.Future[_T]:
        """Run a function in an executor; until it is done, time stands still."""
        future = super().run_in_executor(executor, func, *args)
        self._jumping.standing_still += 1
        future.add_done_callback(self._go_on)
        return future

    def _go_on(self, _: object) -> None:
        self._jumping.standing_still -= 1

    @override
    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """Join the executor's threads, however long that takes."""
        with self.standing_still():
            await super().shutdown_default_executor()


def run(
    main: Coroutine[object, object, _T],
    *,
    debug: bool = False,
    thread_grace: float = 0.0,
) -> _T:
    """Run a coroutine as `asyncio.run` does, on virtual time.

    Args:
        main: What to run.
        debug: Whether asyncio is to be in debug mode.
        thread_grace: As `VirtualTimeLoop` has it.

    Raises:
        RuntimeError: A deadlock: nothing is ready and nothing ever will be.
    """

    def new_loop() -> AbstractEventLoop:
        return VirtualTimeLoop(thread_grace=thread_grace)

    with asyncio.Runner(debug=debug, loop_factory=new_loop) as runner:
        return runner.run(main)
