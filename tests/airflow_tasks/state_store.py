"""A task's state store as Airflow has it: JSON, and it can fail."""

import json


class MemoryStore:
    """Keeps what is stored as JSON.

    Attributes:
        rows: What is stored.
        fails: What it raises, whatever it is asked.
        writes_left: After how many writes it takes no more; None: it always does.
    """

    def __init__(self):
        self.rows = {}
        self.fails = None
        self.writes_left = None

    def _check(self):
        if self.fails is not None:
            raise self.fails

    def get(self, key):
        self._check()
        return json.loads(self.rows[key]) if key in self.rows else None

    def set(self, key, value, *, retention=None):
        del retention
        self._check()
        if self.writes_left is not None:
            if not self.writes_left:
                raise OSError("no server")
            self.writes_left -= 1
        self.rows[key] = json.dumps(value)

    def delete(self, key):
        self._check()
        self.rows.pop(key, None)
