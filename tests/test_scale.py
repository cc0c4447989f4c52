"""Thousands of runs of minutes each, in virtual time."""

from dpa_async import Runner, RunRequest, WaitPolicy, run_many

RUNS = 10_000


def test_10000_runs_of_minutes_over_10000_workflows(in_memory):
    async def test(platform, client):
        requests = (RunRequest(f"w{n}", {"n": n}) for n in range(RUNS))
        seen = set()
        async with (
            Runner(client, wait=WaitPolicy(first_look=20, maximum=60)) as runner,
            run_many(runner, requests, concurrency=RUNS) as batch,
        ):
            async for outcome in batch:
                assert outcome.error is None
                n = outcome.request.params["n"]
                assert outcome.result.outputs.json("echo") == {"n": n}
                seen.add(n)
        assert len(seen) == RUNS
        assert platform.faults.calls["execute"] == RUNS
        assert runner.open_runs == ()

    in_memory(test, duration=(60.0, 300.0))
