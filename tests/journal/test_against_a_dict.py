"""Any sequence of steps, closings and reopenings, beside a dict that does the same."""

import asyncio
import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from making import THEN, ref, result, submission

from dpa_async import JournalError
from dpa_async.journal import EntryState, SQLiteJournal

KEYS = st.sampled_from(["a", "b", "", "c\0d", "键"])
BEFORE_A_RUN = {EntryState.INTENDED, EntryState.UNCERTAIN}


class AgainstADict(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.directory = Path(tempfile.mkdtemp())
        self.runner = asyncio.Runner()
        self.journal = SQLiteJournal(self.directory / "journal")
        self.runner.run(self.journal.__aenter__())
        self.model = {}  # in the order of the intents
        self.aside = set()  # finished keys that are intended again

    def step(self, coroutine, *, allowed):
        """Take a step; see that it is refused where the model says so."""
        try:
            self.runner.run(coroutine)
        except JournalError:
            assert not allowed
        else:
            assert allowed
        return allowed

    @rule(key=KEYS, wants=st.booleans())
    def intend(self, key, wants):
        allowed = self.model.get(key) in {None, EntryState.FINISHED}
        writing = self.journal.intend(submission(key), {"k": key}, wants_outputs=wants)
        if self.step(writing, allowed=allowed):
            if self.model.pop(key, None) is not None:
                self.aside.add(key)
            self.model[key] = EntryState.INTENDED

    @rule(key=KEYS)
    def withdraw(self, key):
        allowed = self.model.get(key) in BEFORE_A_RUN
        if self.step(self.journal.withdraw(key), allowed=allowed):
            del self.model[key]
            if key in self.aside:
                self.aside.remove(key)
                self.model[key] = EntryState.FINISHED

    @rule(key=KEYS)
    def uncertain(self, key):
        allowed = self.model.get(key) in BEFORE_A_RUN
        if self.step(self.journal.uncertain(submission(key)), allowed=allowed):
            self.model[key] = EntryState.UNCERTAIN

    @rule(key=KEYS)
    def started(self, key):
        allowed = self.model.get(key) not in {None, EntryState.FINISHED}
        if self.step(self.journal.started(key, ref(key), THEN), allowed=allowed):
            self.model[key] = EntryState.STARTED
            self.aside.discard(key)

    @rule(key=KEYS)
    def finished(self, key):
        if self.step(
            self.journal.finished(key, result(key)), allowed=key in self.model
        ):
            self.model[key] = EntryState.FINISHED
            self.aside.discard(key)

    @rule()
    def reopen(self):
        self.runner.run(self.journal.aclose())
        self.runner.run(self.journal.__aenter__())

    @invariant()
    def holds_the_same(self):
        async def read():
            found = {key: self.journal.find(key) for key in self.model}
            unfinished = [entry.submission.key for entry in self.journal.unfinished()]
            return found, unfinished

        found, unfinished = self.runner.run(read())
        assert {key: entry.state for key, entry in found.items()} == self.model
        assert unfinished == [
            key for key, state in self.model.items() if state != EntryState.FINISHED
        ]

    def teardown(self):
        self.runner.run(self.journal.aclose())
        self.runner.close()
        shutil.rmtree(self.directory)


AgainstADict.TestCase.settings = settings(
    max_examples=40, stateful_step_count=25, deadline=None
)
test_it_does_as_a_dict_does = AgainstADict.TestCase
