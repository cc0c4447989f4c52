"""A file of any size is checked in little memory; `nox -s soak`: a million lines."""

import json
import os
import subprocess
import sys

LINES = int(os.environ.get("DPA_BATCH_LINES", "100000"))
MOST = 200 * 2**20

# What a child takes at the most, told by itself: `ru_maxrss` begins with its parent's.
MEASURED = """\
import pathlib, re, sys
from dpa_async.cli import main
code = main(sys.argv[1:])
told = pathlib.Path("/proc/self/status").read_text()
print(int(re.search(r"VmHWM:\\s*(\\d+) kB", told)[1]) * 1024)
sys.exit(code)
"""


def bad_lines():
    """Give ten lines that cannot be right, by their numbers, with their reasons."""
    step = LINES // 10
    at = [step // 2 + n * step for n in range(10)]
    lines = {
        at[0]: ("{", "is not JSON"),
        at[1]: ('{"key": "x"}', "workflow_id is missing"),
        at[2]: ("[]", "is no JSON object"),
        at[3]: ('{"workflow_id": "m", "timeout": "soon"}', "timeout is 'soon'"),
        at[4]: ('{"workflow_id": "m", "params": 1}', "params is 1"),
        at[5]: ('{"workflow_id": "m", "key": 1}', "key is 1"),
        at[6]: ('{"workflow_id": "m", "who": 1}', "'who' is not known"),
        at[7]: ('{"workflow_id": "m", "key": ""}', "key is empty"),
        at[8]: ('{"workflow_id": "m", "key": "night-0"}', "its key 'night-0' is that"),
        at[9]: ('{"workflow_id": "m", "key": "night-9"}', "its key 'night-9' is that"),
    }
    assert len(lines) == 10
    return lines


def test_every_bad_line_of_a_large_file_is_named_in_little_memory(tmp_path):
    bad = bad_lines()
    path = tmp_path / "large.jsonl"
    with path.open("w") as file:
        for n in range(LINES):
            request = {
                "workflow_id": f"md{n % 5000:06}",
                "key": f"night-{n}",
                "params": {"day": "2025-06-30", "n": n, "path": f"/data/in/{n}.csv"},
                "timeout": 3600,
            }
            line = bad[n + 1][0] if n + 1 in bad else json.dumps(request)
            file.write(line + "\n")
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, "batch", "large.jsonl", "--check"],
        capture_output=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "HOME": str(tmp_path)},
        text=True,
    )
    assert done.returncode == 2, done.stderr
    said = done.stderr.splitlines()
    assert len(said) == 11
    for line, (_, reason) in bad.items():
        assert any(told.startswith(f"large.jsonl:{line}: {reason}") for told in said)
    assert said[-1] == (
        f"large.jsonl: 10 bad lines, {LINES - 10:,} good ones: nothing was started"
    )
    assert int(done.stdout) <= MOST
