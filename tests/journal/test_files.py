"""The file: private, versioned, and told apart from all that is no journal."""

import asyncio
import os
import sqlite3
import stat
import sys
import tempfile
from pathlib import Path

import pytest
from making import ORIGIN, PARAMS, bring, expected, result, submission, with_journal
from processes import POSIX, play

from dpa_async import JournalError, NodeOutput, NodeOutputs
from dpa_async.journal import EntryState, SQLiteJournal, schema

posix = pytest.mark.skipif(not POSIX, reason="modes and limits are POSIX's")


async def opened(journal):
    return journal


def refusal(path):
    """Open what must not be opened; give what is said."""
    with pytest.raises(JournalError) as told:
        with_journal(path, opened)
    assert repr(str(path)) in str(told.value)
    return str(told.value)


def in_file(path, *statements):
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        return [connection.execute(sql).fetchall() for sql in statements][-1]
    finally:
        connection.close()


@posix
@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_all_of_its_files_are_its_owners_alone(path, umask):
    before = os.umask(umask)
    try:

        async def scene(journal):
            await bring(journal, "k", EntryState.FINISHED)
            return {
                file.name: stat.S_IMODE(file.stat().st_mode)
                for file in path.parent.iterdir()
            }

        modes = with_journal(path, scene)
    finally:
        os.umask(before)
    names = [path.name + suffix for suffix in ("", "-wal", "-shm", "-lock")]
    assert modes == dict.fromkeys(names, 0o600)


@posix
def test_it_is_never_readable_by_others_not_even_for_a_moment(path):
    """Every file is made with its mode, which is what other processes can see."""
    made = []

    def watch(event, words):
        if event == "open" and str(path) in str(words[0]) and words[2] & os.O_CREAT:
            made.append((words[0], os.path.exists(words[0])))  # noqa: PTH110

    sys.addaudithook(watch)
    before = os.umask(0)
    try:
        file = SQLiteJournal(path)
        asyncio.run(_look_at_modes(file, path))
    finally:
        os.umask(before)
    assert [name for name, _ in made] == [f"{path}-lock", str(path)]


async def _look_at_modes(journal, path):
    connecting = sqlite3.connect
    seen = []

    def connect(name, **options):
        seen.append(stat.S_IMODE(os.stat(name).st_mode))  # noqa: PTH116
        return connecting(name, **options)

    sqlite3.connect = connect
    try:
        async with journal:
            pass
    finally:
        sqlite3.connect = connecting
    assert seen == [0o600, 0o600]
    assert path.exists()


@posix
def test_a_file_that_others_could_read_is_narrowed(path):
    with_journal(path, opened)
    path.chmod(0o644)
    with_journal(path, opened)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_it_is_all_in_one_file_once_it_is_closed(path):
    with_journal(path, lambda j: bring(j, "k", EntryState.FINISHED))
    names = {file.name for file in path.parent.iterdir()}
    assert names == {path.name, f"{path.name}-lock"}


def test_through_a_link_it_is_the_same_journal(path):
    link = path.with_name("link")
    link.symlink_to(path)

    async def scene(journal):
        await bring(journal, "k", EntryState.STARTED)
        with pytest.raises(JournalError, match="in use"):
            async with SQLiteJournal(path):
                pass

    with_journal(link, scene)
    assert path.exists()


def test_an_empty_file_becomes_a_journal(path):
    path.touch()
    with_journal(path, lambda j: bring(j, "k", EntryState.STARTED))


def test_its_marks_are_in_the_file(path):
    with_journal(path, opened)
    assert in_file(path, "PRAGMA application_id") == [(0x4450416A,)]
    assert in_file(path, "PRAGMA user_version") == [(2,)]


def test_a_newer_version_is_refused_and_left_as_it_is(path):
    with_journal(path, opened)
    in_file(path, "PRAGMA user_version = 7")
    before = path.read_bytes()
    words = refusal(path)
    assert "version 7" in words
    assert "up to 2" in words
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "statements",
    [
        ["CREATE TABLE theirs (a)"],
        ["PRAGMA application_id = 5"],
        ["PRAGMA user_version = 1"],
        ["CREATE TABLE entries (id)", "PRAGMA user_version = 1"],
        ["PRAGMA application_id = 0x4450416A", "PRAGMA user_version = -1"],
    ],
    ids=["a table", "another application", "a version", "alike", "below zero"],
)
def test_another_applications_database_is_left_as_it_is(path, statements):
    in_file(path, *statements, "VACUUM")
    before = path.read_bytes()
    assert "something else" in refusal(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("held", [b"key,value\n", b"x" * 5_000, b"\0" * 10_000])
def test_what_is_no_database_is_left_as_it_is(path, held):
    path.write_bytes(held)
    assert "no journal" in refusal(path)
    assert path.read_bytes() == held


def test_a_path_that_cannot_be_a_file_is_told(tmp_path):
    (tmp_path / "directory").mkdir()
    assert "is a directory" in refusal(tmp_path / "directory")
    assert "make it first" in refusal(tmp_path / "nowhere" / "journal")
    assert refusal(tmp_path / ("n" * 300))


@posix
def test_a_path_that_is_a_pipe_is_told(path):
    os.mkfifo(path)
    assert "no regular file" in refusal(path)


def test_a_file_of_the_first_version_becomes_todays(path):
    """The file was written by that version; it has a key of each state."""
    path.write_bytes(Path(__file__).with_name("version_1.journal").read_bytes())
    assert in_file(path, "PRAGMA user_version") == [(1,)]

    async def scene(journal):
        for state in EntryState:
            assert journal.find(state.value) == expected(state.value, state)
        assert journal.remembered(ORIGIN, "wf1") == []
        journal.remember(ORIGIN, "wf1", 1.0, 2.0)
        await journal.finished("started", result("started"))

    with_journal(path, scene)
    assert in_file(path, "PRAGMA user_version") == [(2,)]

    async def again(journal):
        assert journal.remembered(ORIGIN, "wf1") == [(1.0, 2.0)]
        found = journal.find("started")
        assert found == expected("started", EntryState.FINISHED)

    with_journal(path, again)


# Of a release that never was: what today's is to become.
NEXT = (
    "ALTER TABLE entries ADD COLUMN colour TEXT",
    "UPDATE entries SET colour = 'blue' WHERE state = 'finished'",
)


def test_an_older_version_becomes_todays(path, monkeypatch):
    with_journal(path, lambda j: bring(j, "k", EntryState.FINISHED))
    with_journal(path, lambda j: bring(j, "open", EntryState.STARTED))
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, NEXT))

    async def scene(journal):
        assert journal.find("k") == expected("k", EntryState.FINISHED)
        await journal.intend(submission("new"), PARAMS, wants_outputs=True)

    with_journal(path, scene)
    assert in_file(path, "PRAGMA user_version") == [(3,)]
    assert in_file(path, "SELECT key, colour FROM entries ORDER BY id") == [
        ("k", "blue"),
        ("open", None),
        ("new", None),
    ]


def test_a_migration_is_made_as_a_whole_or_not_at_all(path, monkeypatch):
    with_journal(path, lambda j: bring(j, "k", EntryState.FINISHED))
    broken = ("UPDATE nowhere SET a = 1",)
    with monkeypatch.context() as patched:
        patched.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, NEXT, broken))
        assert "nowhere" in refusal(path)

    async def scene(journal):
        assert journal.find("k") == expected("k", EntryState.FINISHED)

    with_journal(path, scene)
    assert in_file(path, "PRAGMA user_version") == [(2,)]


def test_a_stranger_who_writes_is_told_of(path, monkeypatch):
    monkeypatch.setattr("dpa_async.journal.files._BUSY_TIMEOUT", 0.01)

    async def scene(journal):
        await bring(journal, "before", EntryState.STARTED)
        stranger = sqlite3.connect(path, isolation_level=None)
        stranger.execute("BEGIN IMMEDIATE")
        try:
            intents = [
                journal.intend(submission(key), None, wants_outputs=True)
                for key in "ab"
            ]
            for outcome in await asyncio.gather(*intents, return_exceptions=True):
                assert isinstance(outcome, JournalError)
                assert "another program" in str(outcome)
            assert journal.find("before") == expected("before", EntryState.STARTED)
        finally:
            stranger.close()
        await journal.intend(submission("a"), None, wants_outputs=True)

    with_journal(path, scene)


def test_of_a_batch_only_what_has_no_room_is_refused(path):
    async def scene(journal):
        for key in "abcd":
            await bring(journal, key, EntryState.STARTED)
        writer = journal._opened.file.writer
        (pages,) = writer.execute("PRAGMA page_count").fetchone()
        writer.execute(f"PRAGMA max_page_count = {pages + 5}")
        large = result("b", outputs=NodeOutputs([NodeOutput("n", "x" * 100_000)]))
        ends = [result("a"), large, result("c")]
        writes = [journal.finished(end.outputs[0].result[0], end) for end in ends[::2]]
        outcomes = await asyncio.gather(
            writes[0], journal.finished("b", large), writes[1], return_exceptions=True
        )
        assert [type(one) for one in outcomes] == [
            type(None),
            JournalError,
            type(None),
        ]
        assert "disk is full" in str(outcomes[1])
        assert outcomes[1].ref == large.ref
        assert journal.find("b") == expected("b", EntryState.STARTED)
        writer.execute("PRAGMA max_page_count = 100000")
        await journal.finished("b", large)
        assert journal.find("b").result == large

    with_journal(path, scene)


@posix
def test_a_full_disk_refuses_what_is_new_until_there_is_room(path):
    told, done = play("without_room", path)
    assert done == "DONE"
    assert "full" in told
    assert "make room" in told or "see to the disk" in told


@posix
def test_on_a_full_disk_closing_loses_nothing(path):
    assert play("closing_without_room", path) == ["DONE"]


@posix
def test_what_may_not_be_written_is_told():
    # Not in pytest's own directory, which only its owner may enter.
    with tempfile.TemporaryDirectory() as directory:
        told = play("not_writable", os.path.join(directory, "runs.journal"))  # noqa: PTH118
    assert [line.split()[0] for line in told] == ["TOLD", "TOLD", "DONE"]
    for line in told[:2]:
        assert "cannot be written" in line
        assert "see that the file, its directory and the disk are writable" in line
