"""The simulator's clock: the loop's time, set to a plausible date."""

import asyncio


class LoopClock:
    """Tells the time of the running loop in seconds of an epoch of its own.

    It goes on where it was when another loop takes over (a test that runs twice), and
    no step of the wall clock reaches it.

    Args:
        starts_at: What it shows when it is first read.
    """

    def __init__(self, starts_at: float) -> None:
        self._last = starts_at
        self._offset = 0.0
        self._loop: asyncio.AbstractEventLoop | None = None

    def now(self) -> float:
        """Tell the time.

        Raises:
            RuntimeError: No loop runs here.
        """
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._loop = loop
            self._offset = self._last - loop.time()
        self._last = self._offset + loop.time()
        return self._last
