"""What is told a journal comes back as it was, and only in the order of a life."""

import asyncio
import json
import random
import tracemalloc
from datetime import UTC, datetime, timedelta, timezone

import pytest
from attrs import evolve
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from making import (
    LATER,
    ORIGIN,
    PARAMS,
    THEN,
    bring,
    expected,
    ref,
    result,
    submission,
    with_journal,
)

from dpa_async import (
    ConfigurationError,
    JournalError,
    NodeOutput,
    NodeOutputs,
    RunRef,
    RunResult,
    RunStatus,
    Submission,
)
from dpa_async.journal import Entry, EntryState, SQLiteJournal

STATES = list(EntryState)
REOPENED = pytest.mark.parametrize("reopened", [False, True])


@REOPENED
@pytest.mark.parametrize("state", STATES)
def test_an_entry_is_found_as_it_was_told(path, state, reopened):
    async def write(journal):
        await bring(journal, "k", state)
        assert journal.find("other") is None
        return journal.find("k")

    async def read(journal):
        return journal.find("k")

    found = with_journal(path, write)
    assert (with_journal(path, read) if reopened else found) == expected("k", state)


def test_a_finished_run_gives_its_whole_result(path):
    outputs = NodeOutputs(
        [NodeOutput("", ""), NodeOutput("n", None), NodeOutput("n", '{"a": "ü\0"}')]
    )
    ends = {
        "failed": result("failed", RunStatus.FAILED, outputs),
        "unread": result("unread", outputs=NodeOutputs(unread="not asked for")),
        "partly": result("partly", outputs=evolve(outputs, unread="cut")),
        "attached": result("attached", submitted_at=None, looks=0),
    }

    async def scene(journal):
        for key, end in ends.items():
            await bring(journal, key, EntryState.STARTED)
            await journal.finished(key, end)
        for key, end in ends.items():
            entry = journal.find(key)
            assert entry.result == end
            assert (entry.ref, entry.submitted_at) == (end.ref, end.submitted_at)

    with_journal(path, scene)


def test_times_keep_their_microsecond_in_any_zone(path):
    moments = [
        datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
        datetime(2242, 3, 16, 12, 56, 31, 999_999, tzinfo=UTC),
        datetime.max.replace(tzinfo=UTC),
        datetime(2025, 1, 1, 8, 0, 0, 1, tzinfo=timezone(timedelta(hours=8))),
    ]

    async def scene(journal):
        for number, moment in enumerate(moments):
            key = str(number)
            meant = submission(key, sent_at=moment)
            end = evolve(result(key, submitted_at=moment), ended_at=moment)
            await journal.intend(meant, None, wants_outputs=False)
            await journal.finished(key, end)
            entry = journal.find(key)
            assert (entry.submission, entry.result) == (meant, end)
            assert entry.result.ended_at.tzinfo is UTC

    with_journal(path, scene)


@pytest.mark.parametrize("params", [None, {}, {"a": (1, 2)}, {"n": 10**30}])
def test_parameters_come_back_as_json_that_means_the_same(path, params):
    async def scene(journal):
        await journal.intend(submission(), params, wants_outputs=False)
        entry = journal.find("k")
        assert entry.params == json.loads(json.dumps(params))
        assert Submission.digest(entry.params) == Submission.digest(params)
        assert entry.wants_outputs is False

    with_journal(path, scene)


UNICODE = st.text(st.characters(codec="utf-8"), max_size=20)
MICROSECONDS = st.datetimes(timezones=st.just(UTC))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | UNICODE,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(UNICODE, inner),
    max_leaves=10,
).filter(lambda value: "inf" not in repr(value))
SUBMISSIONS = st.builds(
    Submission,
    *[UNICODE] * 4,
    sent_at=st.none() | MICROSECONDS,
    nonce_sha256=st.none() | UNICODE,
    seen=st.lists(UNICODE, max_size=3).map(tuple),
)
RESULTS = st.builds(
    RunResult,
    st.builds(RunRef, UNICODE, UNICODE, UNICODE),
    st.sampled_from([RunStatus.SUCCEEDED, RunStatus.FAILED]),
    st.builds(
        NodeOutputs,
        st.lists(st.builds(NodeOutput, UNICODE, st.none() | UNICODE), max_size=4),
        st.none() | UNICODE,
    ),
    st.none() | MICROSECONDS,
    MICROSECONDS,
    st.integers(0, 10**9),
)


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    meant=SUBMISSIONS,
    params=st.none() | st.dictionaries(UNICODE, JSON, max_size=3),
    end=RESULTS,
)
def test_whatever_utf_8_can_hold_comes_back(tmp_path_factory, meant, params, end):
    async def scene(journal):
        await journal.intend(meant, params, wants_outputs=True)
        assert journal.find(meant.key) == Entry(
            meant, params, EntryState.INTENDED, wants_outputs=True
        )
        await journal.finished(meant.key, end)
        assert journal.find(meant.key).result == end

    with_journal(tmp_path_factory.mktemp("drawn") / "journal", scene)


HALF = "half \ud800"


def wrong(**change):
    return evolve(submission("k2"), **change)


NO_ZONE = datetime(2025, 1, 1)  # noqa: DTZ001
WRONG = {
    "key": lambda j: j.intend(wrong(key=HALF), None, wants_outputs=True),
    "param": lambda j: j.intend(wrong(), {"a": [HALF]}, wants_outputs=True),
    "name": lambda j: j.intend(wrong(), {HALF: 1}, wants_outputs=True),
    "NaN": lambda j: j.intend(wrong(), {"a": float("nan")}, wants_outputs=True),
    "set": lambda j: j.intend(wrong(), {"a": {1}}, wants_outputs=True),
    "seen": lambda j: j.intend(wrong(seen=(HALF,)), {}, wants_outputs=True),
    "workflow": lambda j: j.intend(wrong(workflow_id=HALF), {}, wants_outputs=True),
    "seen later": lambda j: j.uncertain(submission("k", seen=(HALF,))),
    "sent at": lambda j: j.uncertain(submission("k", sent_at=NO_ZONE)),
    "run": lambda j: j.started("k", RunRef(ORIGIN, "wf1", HALF), THEN),
    "submitted at": lambda j: j.started("k", ref(), NO_ZONE),
    "key started": lambda j: j.started(HALF, ref(), THEN),
    "key withdrawn": lambda j: j.withdraw(HALF),
    "unread": lambda j: j.finished("k", result(outputs=NodeOutputs(unread=HALF))),
    "no end": lambda j: j.finished("k", result(status=RunStatus.RUNNING)),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_cannot_be_journaled_is_told_and_nothing_is_written(path, what):
    async def scene(journal):
        await bring(journal, "k", EntryState.INTENDED)
        with pytest.raises(ConfigurationError):
            await WRONG[what](journal)
        assert list(journal.unfinished()) == [expected("k", EntryState.INTENDED)]

    with_journal(path, scene)


def test_parameters_nested_too_deep_are_told(path):
    deep = []
    for _ in range(100_000):
        deep = [deep]

    async def scene(journal):
        with pytest.raises(ConfigurationError, match="nested too deep"):
            await journal.intend(submission(), {"a": deep}, wants_outputs=True)

    with_journal(path, scene)


def test_a_key_that_is_no_unicode_is_asked_for_in_vain(path):
    async def scene(journal):
        with pytest.raises(ConfigurationError, match="surrogate"):
            journal.find(HALF)

    with_journal(path, scene)


def other_run():
    return RunRef(ORIGIN, "wf1", "another")


STEPS = {
    "intend": lambda j: j.intend(submission(), PARAMS, wants_outputs=True),
    "withdraw": lambda j: j.withdraw("k"),
    "uncertain": lambda j: j.uncertain(submission(seen=("more",))),
    "started": lambda j: j.started("k", ref(), LATER),
    "started as another": lambda j: j.started("k", other_run(), LATER),
    "finished": lambda j: j.finished("k", result(looks=9)),
    "finished as another": lambda j: j.finished("k", result(ref=other_run())),
}
INTENDED, UNCERTAIN, STARTED, FINISHED = STATES
# From each state (None: the key is not there) the steps that are allowed, and where to.
BEFORE_A_RUN = {
    "withdraw": None,
    "uncertain": UNCERTAIN,
    "started": STARTED,
    "started as another": STARTED,
    "finished": FINISHED,
    "finished as another": FINISHED,
}
ALLOWED = {
    None: {"intend": INTENDED},
    INTENDED: BEFORE_A_RUN,
    UNCERTAIN: BEFORE_A_RUN,
    STARTED: {"started": STARTED, "finished": FINISHED},
    FINISHED: {"intend": INTENDED, "finished": FINISHED},
}


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("state", [None, *STATES])
def test_only_the_steps_of_a_life_are_made(path, state, step):
    allowed = ALLOWED[state]

    async def scene(journal):
        if state is not None:
            await bring(journal, "k", state)
        before = journal.find("k")
        if step in allowed:
            await STEPS[step](journal)
            after = journal.find("k")
            assert (after and after.state) is allowed[step]
        else:
            with pytest.raises(JournalError, match=r"runs\.journal.*'k'"):
                await STEPS[step](journal)
            assert journal.find("k") == before

    with_journal(path, scene)


def test_what_is_written_again_is_what_counts(path):
    async def scene(journal):
        await bring(journal, "k", EntryState.UNCERTAIN)
        more = submission(sent_at=LATER, nonce_sha256="ab", seen=("lost", "idle"))
        await journal.uncertain(more)
        assert journal.find("k").submission == more
        await journal.started("k", ref(), THEN)
        assert journal.find("k").submission == more
        await journal.finished("k", result(outputs=NodeOutputs(unread="broken")))
        await journal.finished("k", result())
        assert journal.find("k").result == result()

    with_journal(path, scene)


def test_a_repeat_begins_anew_and_comes_last(path):
    async def scene(journal):
        await bring(journal, "k", EntryState.FINISHED)
        await bring(journal, "younger", EntryState.UNCERTAIN)
        again = evolve(submission(), params_digest="other")
        await journal.intend(again, {"other": 1}, wants_outputs=False)
        assert journal.find("k") == Entry(
            again, {"other": 1}, EntryState.INTENDED, wants_outputs=False
        )
        keys = [entry.submission.key for entry in journal.unfinished()]
        assert keys == ["younger", "k"]

    with_journal(path, scene)


@REOPENED
@pytest.mark.parametrize("doubted", [False, True])
def test_a_repeat_that_is_withdrawn_gives_back_what_was_finished(
    path, reopened, doubted
):
    async def write(journal):
        await bring(journal, "k", EntryState.FINISHED)
        for _ in range(2):
            again = evolve(submission(), params_digest="other")
            await journal.intend(again, {"other": 1}, wants_outputs=False)
            if doubted:
                await journal.uncertain(again)
            assert journal.find("k").result is None
            if reopened:
                await journal.aclose()
                await journal.__aenter__()
            await journal.withdraw("k")
            assert journal.find("k") == expected("k", EntryState.FINISHED)
            assert list(journal.unfinished()) == []

    with_journal(path, write)


@pytest.mark.parametrize("step", ["started as another", "finished as another"])
def test_a_repeat_that_ran_takes_the_place_of_what_was_finished(path, step):
    async def scene(journal):
        await bring(journal, "k", EntryState.FINISHED)
        await journal.intend(submission(), PARAMS, wants_outputs=True)
        await STEPS[step](journal)
        await journal.finished("k", result(ref=other_run()))
        await journal.intend(submission(), PARAMS, wants_outputs=True)
        await journal.withdraw("k")
        assert journal.find("k").ref == other_run()

    with_journal(path, scene)


def test_an_error_says_what_it_is_about(path):
    async def scene(journal):
        with pytest.raises(JournalError) as told:
            await journal.uncertain(submission())
        assert told.value.submission == submission()
        with pytest.raises(JournalError) as told:
            await journal.started("k", ref(), THEN)
        assert told.value.ref == ref()
        assert told.value.__context__ is None

    with_journal(path, scene)


def test_unfinished_are_all_that_is_not_finished_the_oldest_first(path):
    states = [STATES[number % 4] for number in range(450)]

    async def write(journal):
        async with asyncio.TaskGroup() as tasks:
            for number, state in enumerate(states):
                tasks.create_task(bring(journal, str(number), state))

    async def read(journal):
        return list(journal.unfinished())

    with_journal(path, write)
    assert with_journal(path, read) == [
        expected(str(number), state)
        for number, state in enumerate(states)
        if state is not EntryState.FINISHED
    ]


def test_unfinished_can_be_finished_while_they_are_gone_through(path):
    async def scene(journal):
        for number in range(250):
            await journal.intend(submission(str(number)), None, wants_outputs=True)
        seen = []
        for entry in journal.unfinished():
            seen.append(key := entry.submission.key)
            await journal.finished(key, result(key))
            await journal.intend(submission(f"new {key}"), None, wants_outputs=True)
            if key == "10":
                await journal.withdraw("200")
        assert seen == [str(number) for number in range(250) if number != 200]

    with_journal(path, scene)


def test_the_file_holds_no_more_than_it_is_given(path):
    """Parameters and outputs are in it, of a nonce only what the submission has."""

    async def scene(journal):
        meant = submission(nonce_sha256="5ha-of-the-n0nce")
        await journal.intend(meant, {"a": "a-parameter"}, wants_outputs=True)
        await journal.finished("k", result("an-output"))

    with_journal(path, scene)
    held = path.read_bytes()
    for text in (b"a-parameter", b"an-output", b"5ha-of-the-n0nce"):
        assert text in held


def test_its_repr_shows_the_file_and_whether_it_is_open(path):
    async def scene(journal):
        assert repr(journal) == f"<SQLiteJournal {str(path)!r} open>"
        return journal

    assert repr(with_journal(path, scene)) == f"<SQLiteJournal {str(path)!r} closed>"
    assert "closed" in repr(SQLiteJournal(path))


@pytest.mark.parametrize("order", ["forwards", "backwards", "shuffled"])
def test_keys_are_found_in_any_order_and_as_they_are_now(path, order):
    keys = [str(number) for number in range(700)]
    asked = {
        "forwards": keys,
        "backwards": keys[::-1],
        "shuffled": random.Random(1).sample(keys, len(keys)),
    }[order]

    async def scene(journal):
        async with asyncio.TaskGroup() as tasks:
            for key in keys:
                tasks.create_task(bring(journal, key, EntryState.STARTED))
        for number, key in enumerate(asked):
            assert journal.find(key) == expected(key, EntryState.STARTED)
            if number % 90 == 5:  # of the next one, which may have been read along
                following = asked[number + 1]
                await journal.finished(following, result(following))
                found = journal.find(following)
                assert found == expected(following, EntryState.FINISHED)
                await journal.intend(submission(following), None, wants_outputs=True)
                assert journal.find(following).state is EntryState.INTENDED
                await journal.withdraw(following)
                assert journal.find(following) == found
                await bring(journal, following, EntryState.STARTED)
        for key in asked:
            assert journal.find(key).submission.key == key

    with_journal(path, scene)


def test_what_is_read_along_is_little_where_outputs_are_large(path):
    large = NodeOutputs([NodeOutput("n", "x" * 2**17)])

    async def scene(journal):
        for number in range(12):
            key = str(number)
            await journal.intend(submission(key), None, wants_outputs=True)
            await journal.finished(key, result(key, outputs=large))
        tracemalloc.start()
        try:
            for number in range(12):
                assert journal.find(str(number)).result.outputs == large
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert with_journal(path, scene) < 12 * 2**17
