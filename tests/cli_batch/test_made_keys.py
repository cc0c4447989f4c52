"""Lines without a key: theirs is made of what they ask for, and stays."""

import json

from batch_desk import requests


def test_the_same_lines_in_another_order_are_the_same_runs(desk):
    here = desk()
    lines = list(requests(8, keyed=False))
    here.write("b.jsonl", lines)
    first = here.outcomes("batch", "b.jsonl")
    assert all(key.startswith("auto-") and len(key) == 37 for key in first)
    fresh = {"workflow_id": "md0000", "params": {"n": 100}}
    lines = [fresh, *reversed(lines), {**fresh, "params": {"n": 101}, "timeout": 9}]
    del lines[4]
    here.write("b.jsonl", lines)
    again = here.outcomes("batch", "b.jsonl")
    assert len(set(first) - set(again)) == 1
    assert len(set(again) - set(first)) == 2
    assert here.executed == dict.fromkeys([*range(8), 100, 101], 1)


def test_a_time_out_is_no_part_of_a_key_and_params_are(desk):
    here = desk()
    line = {"workflow_id": "md1", "params": {"n": 1, "m": [1, {"a": "ä"}]}}
    here.write("b.jsonl", [line])
    (key,) = here.outcomes("batch", "b.jsonl")
    here.write("b.jsonl", [{"params": line["params"], **line, "timeout": 60}])
    assert here.outcomes("batch", "b.jsonl").keys() == {key}
    for other in ({"n": 2}, {"n": "1", "m": [1, {"a": "ä"}]}, None):
        here.write("b.jsonl", [{**line, "params": other or {"n": 3}}])
        assert here.outcomes("batch", "b.jsonl").keys().isdisjoint({key})


def test_lines_that_ask_for_the_same_are_each_run_once(desk):
    here = desk()
    line = {"workflow_id": "md1", "params": {"n": 1}}
    other = {"workflow_id": "md1", "params": {"n": 2}}
    here.write("b.jsonl", [line, other, line, line])
    ended = here.outcomes("batch", "b.jsonl")
    first = next(key for key in ended if key.endswith("-3"))[:-2]
    assert {key for key in ended if key.startswith(first)} == {
        first,
        f"{first}-2",
        f"{first}-3",
    }
    assert here.executed == {1: 3, 2: 1}
    here.write("b.jsonl", [other, line, line, line, line])
    assert here.outcomes("batch", "b.jsonl").keys() == {*ended, f"{first}-4"}
    assert here.executed == {1: 4, 2: 1}


def test_a_key_that_looks_like_a_made_one_is_no_twin_of_it(desk):
    here = desk()
    line = {"workflow_id": "md1", "params": {"n": 1}}
    here.write("b.jsonl", [line, line])
    keys = sorted(here.outcomes("batch", "b.jsonl"))
    pinned = {"workflow_id": "md1", "params": {"n": 1}, "key": keys[1]}
    here.write("b.jsonl", [line, line, pinned])
    code, _, err = here.dpa("batch", "b.jsonl")
    assert code == 2
    assert f"b.jsonl:3: its key '{keys[1]}' is that of line 2" in err
    here.write("b.jsonl", [line, pinned])
    assert sorted(here.outcomes("batch", "b.jsonl")) == keys
    assert here.executed == {1: 2}


def test_csv_and_toml_make_the_same_keys_as_jsonl(desk):
    here = desk()
    texts = {"workflow_id": "md1", "params": {"n": "1", "day": "Monday"}}
    (here.folder / "b.jsonl").write_text(json.dumps(texts))
    (here.folder / "b.csv").write_text("n,workflow_id,day,other\n1,md1,Monday,\n")
    (here.folder / "b.toml").write_text(
        '[[run]]\nworkflow_id = "md1"\nparams = { n = "1", day = "Monday" }\n'
    )
    keys = [
        here.outcomes("batch", f"b.{name}", "--journal", "one").keys()
        for name in ("jsonl", "csv", "toml")
    ]
    assert keys[0] == keys[1] == keys[2]
    assert here.executed == {"1": 1}
