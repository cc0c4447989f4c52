"""Scenes that several tests play in: platforms that call back, journals, full disks."""

import asyncio
from contextlib import asynccontextmanager

from dpa_async import DPAClient, JournalError, Runner
from dpa_async.callbacks import CallbackReceiver
from dpa_async.journal import SQLiteJournal
from dpa_async.simulator import MemorySimulator, deliver_to
from dpa_async.simulator.virtual_time import run

PUBLIC = "https://app.example.com"


def called_back(test, *workflows, **options):
    """Run `test(platform, runner)` where the platform calls back."""

    async def main():
        async with called_back_runner(*workflows, **options) as (platform, runner):
            await test(platform, runner)
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left, left

    run(main())


@asynccontextmanager
async def called_back_runner(*workflows, deliver=None, observers=(), **options):
    receiver = CallbackReceiver(None, public_url=PUBLIC)
    to_receiver = deliver_to(receiver.asgi)
    platform = MemorySimulator(
        workflows or None,
        deliver_callback=deliver(to_receiver) if deliver else to_receiver,
        **options,
    )
    async with (
        receiver,
        DPAClient(platform.settings(), backend=platform) as client,
        Runner(client, callbacks=receiver, observers=observers) as runner,
    ):
        yield platform, runner
    await platform.aclose()


@asynccontextmanager
async def journaled(platform, path, **options):
    """A life of a process: its own client, journal and runner."""
    async with (
        DPAClient(platform.settings(), backend=platform) as client,
        SQLiteJournal(path) as journal,
        Runner(client, journal=journal, **options) as runner,
    ):
        yield runner, journal


def lives(test, *workflows, **options):
    async def main():
        platform = MemorySimulator(
            workflows or None, **{"duration": 0.02, "latency": 0.0, **options}
        )
        await test(platform)
        await platform.aclose()

    asyncio.run(main())


class FullDisk:
    """A journal whose disk is full from one of its methods on."""

    def __init__(self, journal, method):
        self._journal = journal
        self._method = method

    def __getattr__(self, name):
        if name != self._method:
            return getattr(self._journal, name)

        async def full(*_, **__):
            raise JournalError("the disk is full")

        return full
