"""An intent that was being written when its batch was left is taken back, whole."""

import asyncio

from dpa_async import Runner, RunRequest, run_many


class SlowJournal:
    """A journal of intents alone: a write takes a second, whoever waits for it."""

    def __init__(self):
        self.keys = set()
        self.writes = asyncio.TaskGroup()

    def find(self, _):
        return None

    async def intend(self, submission, _, **__):
        await asyncio.shield(
            self.writes.create_task(self._later("add", submission.key))
        )

    async def withdraw(self, key):
        await asyncio.shield(self.writes.create_task(self._later("remove", key)))

    async def _later(self, change, key):
        await asyncio.sleep(1)
        getattr(self.keys, change)(key)


def test_closing_the_runner_does_not_cut_the_taking_back_short(in_memory):
    async def scene(platform, client):
        journal = SlowJournal()
        runner = Runner(client, journal=journal)
        requests = [RunRequest(f"w{n}", key=f"k{n}") for n in range(50)]
        batch = run_many(runner, requests, concurrency=5)
        async with journal.writes:
            waiting = asyncio.create_task(anext(batch))
            await asyncio.sleep(0.5)  # the intents are on their way to the disk
            await runner.aclose()
        assert journal.keys == set()
        assert not platform.platform.runs
        await asyncio.gather(waiting, return_exceptions=True)

    in_memory(scene)


def test_a_caller_that_leaves_a_closing_runner_does_not_cut_it_short_either(in_memory):
    async def scene(platform, client):
        journal = SlowJournal()
        runner = Runner(client, journal=journal)
        async with journal.writes:
            waiting = [
                asyncio.create_task(runner.start(f"w{n}", key=f"k{n}"))
                for n in range(5)
            ]
            await asyncio.sleep(0.5)  # the intents are on their way to the disk
            closing = asyncio.create_task(runner.aclose())
            await asyncio.sleep(0.1)
            for task in waiting:
                task.cancel()
            await closing
        assert journal.keys == set()
        assert not platform.platform.runs
        await asyncio.gather(*waiting, return_exceptions=True)

    in_memory(scene)
