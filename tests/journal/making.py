"""Submissions, runs and results for the tests, each a function of its key."""

import asyncio
from datetime import UTC, datetime, timedelta

from dpa_async import NodeOutput, NodeOutputs, RunRef, RunResult, RunStatus, Submission
from dpa_async.journal import Entry, EntryState, SQLiteJournal

ORIGIN = "https://dpa.example.com"
PARAMS = {"DPA_MODEL_WORKDIR": "/opt", "sizes": [1, 2.5, None], "deep": {"a": True}}
THEN = datetime(2025, 6, 30, 23, 59, 59, 123_457, tzinfo=UTC)
LATER = THEN + timedelta(seconds=61, microseconds=1)


def submission(key="k", **fields):
    digest = Submission.digest(PARAMS)
    return Submission(ORIGIN, key, "wf1", digest, **fields)


def ref(key="k"):
    return RunRef(ORIGIN, "wf1", f"run of {key}")


def result(key="k", status=RunStatus.SUCCEEDED, outputs=None, **fields):
    nodes = [NodeOutput("n", key), NodeOutput("n", None)]
    return RunResult(
        fields.get("ref", ref(key)),
        status,
        NodeOutputs(nodes) if outputs is None else outputs,
        fields.get("submitted_at", THEN),
        LATER,
        fields.get("looks", 3),
    )


async def bring(journal, key, state):
    """Have a key that is new come as far as this state."""
    await journal.intend(submission(key), PARAMS, wants_outputs=True)
    if state is EntryState.UNCERTAIN:
        await journal.uncertain(submission(key, sent_at=THEN, seen=("lost",)))
    if state in {EntryState.STARTED, EntryState.FINISHED}:
        await journal.started(key, ref(key), THEN)
    if state is EntryState.FINISHED:
        await journal.finished(key, result(key))


def expected(key, state):
    """The entry that `bring` makes."""
    evidence = {"sent_at": THEN, "seen": ("lost",)}
    meant = submission(key, **(evidence if state is EntryState.UNCERTAIN else {}))
    ran = state in {EntryState.STARTED, EntryState.FINISHED}
    return Entry(
        meant,
        PARAMS,
        state,
        wants_outputs=True,
        ref=ref(key) if ran else None,
        submitted_at=THEN if ran else None,
        result=result(key) if state is EntryState.FINISHED else None,
    )


def with_journal(path, scene):
    """Run `scene(journal)` on a journal of this path, opened and closed."""

    async def main():
        async with asyncio.timeout(120), SQLiteJournal(path) as journal:
            return await scene(journal)

    return asyncio.run(main())
