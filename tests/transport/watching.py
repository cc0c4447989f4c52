"""Runs a test's coroutine, and sees that nothing is left over and nothing is told."""

import asyncio
import contextlib
import gc
import logging

from raw_platform import MARK

_LOGS = ("dpa_async", "asyncio", "aiohttp")


class _Record(logging.Handler):
    def __init__(self):
        super().__init__(logging.DEBUG)
        self.setFormatter(logging.Formatter("%(name)s %(message)s"))
        self.lines = []

    def emit(self, record):
        self.lines.append(self.format(record))  # arguments and traceback, too


@contextlib.contextmanager
def logs_without_secrets():
    """See that nothing that is logged at any level holds a secret."""
    record = _Record()
    before = [(log, log.level, log.propagate) for log in map(logging.getLogger, _LOGS)]
    for log, *_ in before:
        log.setLevel(logging.DEBUG)
        log.propagate = False  # pytest would keep it all, too
        log.addHandler(record)
    try:
        yield
    finally:
        for log, level, propagate in before:
            log.removeHandler(record)
            log.propagate = propagate
            log.setLevel(level)
    leaks = [line for line in record.lines if MARK in line]
    assert not leaks, leaks[:3]


def play(main, *, debug=False):
    """Run a coroutine to its end, in asyncio's debug mode if wanted."""

    async def whole():
        if debug:
            asyncio.get_running_loop().slow_callback_duration = 0  # all are told
        given = await main
        await asyncio.sleep(0)
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left, left
        return given

    with logs_without_secrets():
        given = asyncio.run(whole(), debug=debug)
        gc.collect()  # what was not closed says so now, and a warning is an error
    return given
