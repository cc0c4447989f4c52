"""The journal: what is meant to run, what runs and how it ended, on disk.

An intent is in it before its POST leaves, so that a process that dies at any
instruction leaves enough behind to go on from. A journal file holds parameters and
outputs as they are: whoever reads it reads them. It holds no token and no secret, and
of a callback nonce only the SHA-256 that `Submission` has.
"""

from dpa_async.journal.entries import Entry, EntryState, Journal
from dpa_async.journal.history import History
from dpa_async.journal.looking_on import read_entries
from dpa_async.journal.sqlite import SQLiteJournal

__all__ = [
    "Entry",
    "EntryState",
    "History",
    "Journal",
    "SQLiteJournal",
    "read_entries",
]
