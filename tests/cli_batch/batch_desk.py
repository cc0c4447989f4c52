"""Where batches are run by hand: a folder, a platform, and `dpa`."""

import csv
import json
import os
import subprocess
import sys
from collections import Counter

from dpa_async.cli import main

COMMAND = [sys.executable, "-W", "error", "-m", "dpa_async"]


def without_settings(monkeypatch, folder):
    for name in [name for name in os.environ if name.startswith("DPA_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder))
    monkeypatch.chdir(folder)


class Desk:
    """Whoever calls `dpa` in a folder, and the platform that is told.

    Args:
        platform: The simulator.
        folder: The working directory.
        capfd: Of pytest.
    """

    def __init__(self, platform, folder, capfd):
        self.platform = platform
        self.folder = folder
        self._capfd = capfd

    def dpa(self, *words):
        """Call it in this process; gives exit code, stdout, stderr."""
        self._capfd.readouterr()
        code = main([str(word) for word in words])
        return int(code), *self._capfd.readouterr()

    def outcomes(self, *words, code=0):
        """Run a batch in this process; gives its outcomes by key."""
        ended, out, err = self.dpa(*words, "-o", "jsonl")
        assert ended == code, err
        records = [json.loads(line) for line in out.splitlines()]
        by_key = {record["key"]: record for record in records}
        assert len(by_key) == len(records)
        return by_key

    def process(self, *words, **options):
        """Start it as a process."""
        return subprocess.Popen(
            [*COMMAND, *map(str, words)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.folder,
            **options,
        )

    def write(self, name, requests):
        """Write a JSONL file; gives its path."""
        path = self.folder / name
        path.write_text("".join(json.dumps(request) + "\n" for request in requests))
        return path

    @property
    def executed(self):
        """How often each `n` among the parameters was executed."""
        runs = list(self.platform.platform.runs.values())
        return Counter(run.params["n"] for run in runs)

    @property
    def runs(self):
        """The runs by their `n`."""
        runs = list(self.platform.platform.runs.values())
        return {run.params["n"]: run.run_id for run in runs}


def requests(count, workflows=20, *, keyed=True):
    """Give lines that are told apart by `n`."""
    for n in range(count):
        line = {"workflow_id": f"md{n % workflows:04}", "params": {"n": n}}
        yield {"key": f"k{n}", **line} if keyed else line


def table(path):
    """Read a table as anybody would: its rows."""
    usual = csv.field_size_limit(2**20)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return list(csv.reader(file, strict=True))
    finally:
        csv.field_size_limit(usual)


def kept(path):
    """Read an outcome file: (its records, how often each key)."""
    if path.suffix == ".csv":
        names, *rows = table(path)
        rows = [dict(zip(names, row, strict=True)) for row in rows]
        for row in rows:
            row["key"] = row["key"].removeprefix("'")  # it marks text as text
    else:
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        assert not rows or path.read_bytes().endswith(b"\n")
    return rows, Counter(row["key"] for row in rows)
