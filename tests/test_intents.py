"""What is in doubt after a crash is what was out, and no more; real files."""

import asyncio

from dpa_async import DPAClient, Limits, Runner, RunRequest, run_many
from dpa_async.journal import SQLiteJournal
from dpa_async.simulator import Fault, MemorySimulator


def written_while(path, fault, until, **options):
    """Give the keys that are journaled while a fault strikes 20 executes."""

    async def main():
        platform = MemorySimulator(latency=0.0)
        platform.faults.add("execute", fault)
        settings = platform.settings(limits=Limits(**options))
        requests = [RunRequest(f"w{n}", key=f"k{n}") for n in range(20)]
        async with (
            DPAClient(settings, backend=platform) as client,
            SQLiteJournal(path) as journal,
            Runner(client, journal=journal) as runner,
            run_many(runner, requests),
        ):
            async with asyncio.timeout(10):
                while platform.faults.calls["execute"] < until:
                    await asyncio.sleep(0.001)
            await asyncio.sleep(0.05)
            in_hand = [entry.submission.key for entry in journal.unfinished()]
        await platform.aclose()
        return in_hand

    return asyncio.run(main())


def test_no_more_intents_are_written_than_posts_may_be_out(tmp_path):
    stuck = Fault.latency(0.3)
    written = written_while(tmp_path / "j", stuck, 3, submissions_in_flight=3)
    assert len(written) == 3


def test_what_waits_for_its_second_to_leave_is_not_written_yet(tmp_path):
    stuck = Fault.latency(0.5)
    written = written_while(tmp_path / "j", stuck, 1, requests_per_second=5)
    assert 1 <= len(written) <= 2


def test_what_was_turned_away_is_not_in_doubt_while_it_waits_to_be_sent_again(tmp_path):
    refused = Fault.http_status(429, retry_after=5)
    written = written_while(tmp_path / "j", refused, 16, submissions_in_flight=16)
    assert written == []
