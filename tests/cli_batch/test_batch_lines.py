"""What a batch file can say, and how each line that cannot be right is named."""

import codecs
import json

import pytest

DATE = "Object of type date is not JSON serializable"
GOOD = '{"workflow_id": "md1", "key": "a"}\n'

BAD_LINES = [
    ("{", "is not JSON: Expecting property name enclosed in double quotes (column 2)"),
    ('{"workflow_id": "md1"} x', "is not JSON: Extra data (column 24)"),
    ("[1]", 'is no JSON object: write {"workflow_id": …}'),
    ('{"key": "b"}', "workflow_id is missing"),
    ('{"workflow_id": ""}', "workflow_id is empty"),
    ('{"workflow_id": 7}', "workflow_id is 7: write it as text, in quotes"),
    ('{"workflow_id": "m", "key": 7}', "key is 7: write it as text, in quotes"),
    ('{"workflow_id": "m", "key": " "}', "key is empty"),
    (
        r'{"workflow_id": "m", "key": "\ud800"}',
        "key holds half a character (an unpaired surrogate)",
    ),
    ('{"workflow_id": "m", "params": [1]}', "params is [1]: write names and values"),
    (
        '{"workflow_id": "m", "params": {"n": 1e999}}',
        "params cannot be sent as JSON: Out of range float values",
    ),
    (
        '{"workflow_id": "m", "params": {"n": NaN}}',
        "is not JSON: NaN is no number there",
    ),
    ('{"workflow_id": "m", "timeout": -1}', "timeout is -1: give seconds, 0 or more"),
    (
        '{"workflow_id": "m", "timeout": true}',
        "timeout is True: give seconds, 0 or more",
    ),
    ('{"workflow_id": "m", "workflow_id": "n"}', "says 'workflow_id' twice"),
    ('{"workflow_id": "m", "params": {"n": 1, "n": 2}}', "says 'n' twice"),
    (
        '{"workflow_id": "m", "parms": {}}',
        "'parms' is not known: a line has workflow_id, key, params, timeout",
    ),
    ('{"workflow_id": "m", "params": ' + "[" * 99_999, "is nested too deep"),
    (b'{"workflow_id": "\xff"}', "is not UTF-8 (byte 18 of the line)"),
]


@pytest.mark.parametrize(("line", "reason"), BAD_LINES)
def test_a_bad_line_is_named_with_its_reason(checked, line, reason):
    line = line if isinstance(line, bytes) else line.encode()
    code, said = checked("b.jsonl", GOOD.encode() + b"\n" + line + b"\n")
    assert code == 2
    assert said[0].startswith(f"b.jsonl:3: {reason}")
    assert said[1] == "b.jsonl: 1 bad line, 1 good one: nothing was started"


def test_a_line_tells_all_that_is_wrong_with_it(checked):
    _, said = checked("b.jsonl", '{"key": 1, "timeout": "x", "what": 1}')
    assert said[0] == (
        "b.jsonl:1: 'what' is not known: a line has workflow_id, key, params, timeout; "
        "workflow_id is missing; key is 1: write it as text, in quotes; "
        "timeout is 'x': give seconds, 0 or more"
    )


def test_every_bad_line_is_told_and_every_second_use_of_a_key(checked):
    lines = [
        json.dumps({"workflow_id": "md1", "key": f"k{n % 900}"}) for n in range(1000)
    ]
    lines[10] = lines[20] = "?"
    code, said = checked("b.jsonl", "\n".join(lines))
    assert code == 2
    twice = [
        f"b.jsonl:{n + 1}: its key 'k{n - 900}' is that of line {n - 899}"
        for n in range(900, 1000)
        if n not in {910, 920}
    ]
    assert [line.split(": ")[0] for line in said[:2]] == ["b.jsonl:11", "b.jsonl:21"]
    assert said[2:-1] == twice
    assert said[-1].startswith("b.jsonl: 100 bad lines, 900 good ones")


def test_blank_lines_a_byte_order_mark_and_foreign_line_ends_do_no_harm(checked):
    text = codecs.BOM_UTF8 + b"\r\n  \n" + GOOD.encode().replace(b"\n", b"\r\n") * 1
    assert checked("b.ndjson", text) == (0, ["b.ndjson: 1 line, all good"])


def test_a_line_that_is_too_long_is_bad_and_the_next_one_is_read(checked):
    long = json.dumps({"workflow_id": "m", "params": {"n": "x" * 2**24}})
    code, said = checked("b.jsonl", f"{long}\n?\n")
    assert code == 2
    assert said[0].startswith("b.jsonl:1: is longer than 16 MiB")
    assert said[1].startswith("b.jsonl:2: is not JSON")


def test_an_empty_file_asks_for_nothing(checked):
    assert checked("b.jsonl", "") == (0, ["b.jsonl: 0 lines, all good"])


def test_nothing_in_a_file_drives_the_terminal(checked):
    _, said = checked("b.jsonl", '{"workflow_id": "m", "\\u001b[31mred": 1}')
    assert r"\x1b[31mred" in said[0]
    assert "\x1b" not in said[0]


def test_csv_says_the_same_with_columns(checked):
    text = (
        "workflow_id,key,timeout,note\r\n"
        'md1,a,30,"two\nlines"\r\n'
        "\r\n"
        "md1,b,,\r\n"
        "md1,,soon,x\r\n"
        "md1,c\r\n"
        'md1,a,,"again"\r\n'
        ",d,1,x\r\n"
    )
    code, said = checked("b.csv", codecs.BOM_UTF8 + text.encode())
    assert code == 2
    assert said == [
        "b.csv:6: timeout is 'soon': give seconds, 0 or more",
        "b.csv:7: has 2 cells, and there are 4 columns",
        "b.csv:9: workflow_id is missing",
        "b.csv:8: its key 'a' is that of line 2",
        "b.csv: 4 bad lines, 2 good ones: nothing was started",
    ]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("key,n\na,1\n", "1: has no column workflow_id; it has 'key', 'n'"),
        ("workflow_id,n,n\na,1,2\n", "1: has a column twice: 'n'"),
        ("workflow_id,\na,1\n", "1: has a column without a name"),
        (
            "workflow_id;n\na;1\n",
            "1: has no column workflow_id; it has 'workflow_id;n'",
        ),
        ('workflow_id,n\na,"1\n', "2: is not CSV: a quote is not closed"),
        ('workflow_id,n\na,"1"2\n', "2: is not CSV: ',' expected after '\"'"),
        ('workflow_id,n\na,"' + "x\n" * 70_000, "2: is not CSV: a cell is larger than"),
        (b"workflow_id,n\na,\xe9\n", "2: is not UTF-8 (byte 3 of the line)"),
        (b'workflow_id,n\na,"\n\xe9"\n', "2: line 3 is not UTF-8 (byte 1 of the line)"),
    ],
)
def test_a_table_that_cannot_be_right_is_named(checked, text, reason):
    code, said = checked("b.csv", text)
    assert code == 2
    assert said[0].startswith(f"b.csv:{reason}")


def test_toml_says_the_same_with_tables(checked):
    text = (
        '# nightly\n[[run]]\nworkflow_id = "md1"\nkey = "a"\n'
        "[run.params]\nday = 1\n\n"
        '[[ run ]]\nworkflow_id = "md1"\nkey = "a"\n'
        '[[run]]\nworkflow_id = "md1"\nparams = { at = 2024-05-01 }\n'
    )
    code, said = checked("b.toml", text)
    assert code == 2
    assert said == [
        f"b.toml:11: params cannot be sent as JSON: {DATE}",
        "b.toml:8: its key 'a' is that of line 2",
        "b.toml: 2 bad lines, 1 good one: nothing was started",
    ]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a = \n", "1: is not TOML: Invalid value (column 5)"),
        ("workflow_id = 'm'\n", "1: 'workflow_id' is not known at the top"),
        ("run = [{workflow_id = 'm'}]\n", "1: give each run a heading of its own"),
        ("run = 7\n", "1: give each run a heading of its own"),
        (b"# a\n# \xe9\n", "2: is not UTF-8"),
    ],
)
def test_toml_that_cannot_be_right_is_named(checked, text, reason):
    code, said = checked("b.toml", text)
    assert code == 2
    assert said[0].startswith(f"b.toml:{reason}")


def test_a_name_that_says_no_format_needs_one_said(checked):
    code, said = checked("b.txt", GOOD)
    assert code == 2
    assert "b.txt is in which format?" in said[0]
    assert checked("b.txt", GOOD, "--format", "jsonl")[0] == 0


def test_a_file_that_is_not_there_is_usage(checked):
    code, said = checked("b.jsonl", GOOD, "--format", "nonsense")
    assert code == 2, said


def test_workflows_are_compared_with_the_settings_where_there_are_some(
    checked, monkeypatch
):
    monkeypatch.setenv("DPA_BASE_URL", "https://dpa.example.com")
    monkeypatch.setenv("DPA_EXECUTE_URL", "/execute/{workflow_id}")
    monkeypatch.setenv("DPA_CLIENT_ID", "made+Up/Id==")
    monkeypatch.setenv("DPA_CLIENT_SECRET", "made+Up/Secret==")
    code, said = checked("b.jsonl", GOOD + '{"workflow_id": ".."}\n')
    assert code == 2
    assert said[0].startswith("b.jsonl:2: ")
    assert "'..'" in said[0]
