"""A task's state store as Airflow has it: JSON, and it can fail."""

import json


class MemoryStore:
    """Keeps what is stored as JSON; `fails` makes it raise."""

    def __init__(self):
        self.rows = {}
        self.fails = None

    def _check(self):
        if self.fails is not None:
            raise self.fails

    def get(self, key):
        self._check()
        return json.loads(self.rows[key]) if key in self.rows else None

    def set(self, key, value):
        self._check()
        self.rows[key] = json.dumps(value)

    def delete(self, key):
        self._check()
        self.rows.pop(key, None)
