"""The outcome file: whole lines, each once, whatever happened to it before."""

import json
import random

import pytest
from batch_desk import kept, requests, table

from dpa_async.simulator import SimulatedWorkflow

WIDE = "\uff1d\uff0b\uff0d\uff20"  # = + - @, as wide as a Chinese character
FORMULAS = tuple("=+-@\t\r\n" + WIDE)
KEYS = [*(f"{mark}1" for mark in FORMULAS), "two\nlines", "a\rb", "'", "'=", '"', ","]
CHATTY = SimulatedWorkflow(
    "mdchatty",
    duration=0.01,
    outputs=[("=cmd|' /C calc'!A0", "=HYPERLINK(1)\nnext"), ("large", "x" * 200_000)],
)


def hostile(folder):
    lines = [
        {"workflow_id": f"md{n:04}", "key": key, "params": {"n": n}}
        for n, key in enumerate(KEYS)
    ]
    lines.append({"workflow_id": "mdchatty", "key": "chatty", "params": {"n": 99}})
    (folder / "b.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return {*KEYS, "chatty"}


def rows_of(path):
    rows, counts = kept(path)
    assert set(counts.values()) == {1}
    return {row["key"]: row for row in rows}


@pytest.mark.parametrize("name", ["out.jsonl", "out.csv"])
def test_wherever_it_was_cut_no_line_is_lost_halved_or_doubled(desk, name):
    here = desk(CHATTY, *(SimulatedWorkflow(f"md{n:04}") for n in range(len(KEYS))))
    keys = hostile(here.folder)
    out = here.folder / name
    command = ("batch", "b.jsonl", "--out", name, "--quiet")
    assert here.dpa(*command)[0] == 0
    whole = out.read_bytes()
    rng = random.Random(7)
    ends = [n for n, byte in enumerate(whole) if byte == ord("\n")]
    cuts = {0, 1, len(whole) - 1, *rng.sample(range(len(whole)), 4)}
    cuts.update(end + rng.choice([0, 1, 2]) for end in rng.sample(ends, 6))
    for cut in sorted(cuts):
        out.write_bytes(whole[:cut])
        assert here.dpa(*command)[0] == 0, cut
        again = kept(out)
        assert again[1] == dict.fromkeys(keys, 1), cut
    assert set(here.executed.values()) == {1}


@pytest.mark.parametrize("name", ["out.jsonl", "out.csv"])
def test_lines_that_are_gone_come_back_and_twins_go(desk, name):
    here = desk()
    here.write("b.jsonl", requests(12))
    out = here.folder / name
    command = ("batch", "b.jsonl", "--out", name, "--quiet")
    assert here.dpa(*command)[0] == 0
    lines = out.read_bytes().splitlines(keepends=True)
    head = lines[:1] if name.endswith("csv") else []
    out.write_bytes(b"".join([*head, *lines[3:], *lines[5:7]]))
    assert here.dpa(*command)[0] == 0
    assert rows_of(out).keys() == {f"k{n}" for n in range(12)}


def test_what_is_not_the_last_word_is_said_again(desk):
    here = desk(SimulatedWorkflow("mdlasts", duration=0.8))
    line = {"workflow_id": "mdlasts", "key": "a", "params": {"n": 1}}
    here.write("b.jsonl", [line])
    command = ("batch", "b.jsonl", "--out", "out.jsonl")
    here.outcomes(*command, "--timeout", "0.1", code=3)
    assert rows_of(here.folder / "out.jsonl")["a"]["status"] == "OPEN"
    here.outcomes(*command)
    assert rows_of(here.folder / "out.jsonl")["a"]["status"] == "SUCCEEDED"


def test_a_spreadsheet_finds_no_formula_in_it(desk):
    here = desk(CHATTY, *(SimulatedWorkflow(f"md{n:04}") for n in range(len(KEYS))))
    keys = hostile(here.folder)
    assert here.dpa("batch", "b.jsonl", "--out", "out.csv", "--quiet")[0] == 0
    rows = table(here.folder / "out.csv")
    assert not [cell for row in rows for cell in row if cell.startswith(FORMULAS)]
    # One quote before those that had to be marked gives them back.
    assert {row[0].removeprefix("'") for row in rows[1:]} == keys
    (chatty,) = (row for row in rows if row[0] == "chatty")
    assert json.loads(chatty[8])[0]["result"] == "=HYPERLINK(1)\nnext"


def test_it_is_its_owners_alone_and_keeps_the_mode_that_it_is_given(desk):
    here = desk()
    here.write("b.jsonl", requests(2))
    out = here.folder / "out.jsonl"
    (here.folder / "link.jsonl").symlink_to(out)
    command = ("batch", "b.jsonl", "--out", "link.jsonl", "--quiet")
    assert here.dpa(*command)[0] == 0
    assert out.stat().st_mode & 0o777 == 0o600
    out.chmod(0o644)
    (here.folder / "out.jsonl.mending").write_text("left by one that was killed")
    assert here.dpa(*command)[0] == 0
    assert out.stat().st_mode & 0o777 == 0o644
    assert (here.folder / "link.jsonl").is_symlink()
    assert not list(here.folder.glob("*.mending"))
    (here.folder / "folder.jsonl").mkdir()
    code, _, err = here.dpa("batch", "b.jsonl", "--out", "folder.jsonl")
    assert code == 2
    assert "folder.jsonl is no file that outcomes can be kept in" in err
    assert here.dpa("batch", "b.jsonl", "--out", "nowhere/out.jsonl")[0] == 1
