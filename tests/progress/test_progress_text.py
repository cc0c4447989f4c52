"""How progress reads at several widths, and what others write into it."""

import re

import pytest

from dpa_async.progress import Snapshot, block, line

SOME = Snapshot(
    total=2000,
    queued=380,
    running=100,
    succeeded=418,
    failed=2,
    elapsed=34.2,
    runs_per_second=12.34,
    requests_per_second=31.0,
    looks_per_run=2.06,
    seconds_left=125.0,
    slowest=(("mddaebe8b163", 83.0), ("w12", 58.9)),
)
ESCAPES = re.compile(r"\x1b\[\d*m")


def test_it_reads_well_on_eighty_columns():
    assert block(SOME, width=80) == [
        "████████░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░  420/2000  21%  ~2:05 left",
        "queued 380  running 100  succeeded 418  failed 2  uncertain 0",
        "12.3 runs/s  31.0 requests/s  2.1 looks/run  0:34 so far",
        "slowest: mddaebe8b163 1:23  w12 0:58",
    ]


def test_it_reads_well_on_forty_columns():
    assert block(SOME, width=39, unicode=False) == [
        "##..........  420/2000  21%  ~2:05 left",
        "queued 380  running 100  succeeded 418",
        "failed 2  uncertain 0",
        "12.3 runs/s  31.0 requests/s",
        "2.1 looks/run  0:34 so far",
        "slowest: mddaebe8b163 1:23  w12 0:58",
    ]


def test_it_reads_well_in_one_line():
    assert line(SOME) == (
        "420/2000 done (21%): "
        "380 queued, 100 running, 418 succeeded, 2 failed, 0 uncertain; "
        "12.3 runs/s, 31.0 requests/s, 2.1 looks/run; 0:34 so far; "
        "about 2:05 left; slowest mddaebe8b163 1:23"
    )


@pytest.mark.parametrize("width", [1, 7, 20, 31, 40, 55, 80, 81, 200])
@pytest.mark.parametrize("name", ["md1", "流程" * 30, "\x1b[2J" * 20])
def test_no_line_is_wider_than_the_terminal(width, name):
    ours = Snapshot(total=10**7, queued=10**6, slowest=((name, 10.0),))
    for text in block(ours, width=width):
        wide = sum(2 if char in "流程" else 1 for char in text)
        assert wide <= width, text


def test_no_more_lines_than_there_are():
    assert len(block(SOME, height=2)) == 2
    assert block(SOME, height=0) == block(SOME, height=1)


def test_rare_fates_are_shown_where_there_are_any():
    text = "\n".join(block(Snapshot(not_started=3, left_running=4), width=200))
    assert "not started 3  left running 4" in text
    assert "not started" not in "\n".join(block(SOME))


def test_without_a_total_there_is_no_bar():
    assert block(Snapshot(succeeded=7, elapsed=3700.0))[0] == "7 done  1:01:40 so far"
    assert line(Snapshot(succeeded=7)).startswith("7 done: 0 queued")


@pytest.mark.parametrize(
    ("total", "succeeded", "says"),
    [(0, 0, "0/0"), (3, 3, "100%"), (3, 5, "100%"), (1000, 999, "99%")],
)
def test_the_bar_is_full_when_all_is_done_and_not_before(total, succeeded, says):
    (head, *_) = block(Snapshot(total=total, succeeded=succeeded))
    assert says in head
    assert ("░" not in head) == (succeeded >= total)


def test_colours_are_for_what_there_is():
    coloured = block(SOME, colour=True)
    assert "\x1b[31mfailed 2\x1b[0m" in coloured[1]
    assert "uncertain 0" in ESCAPES.split(coloured[1])[-1]
    assert [ESCAPES.sub("", text) for text in coloured] == block(SOME)
    assert "\x1b" not in "".join(block(SOME))


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("\x1b[2Jgone", r"\x1b[2Jgone"),
        ("a\r\nb\x07", r"a\r\nb\x07"),
        ("\x9b31m", r"\x9b31m"),
        ("abc\u202etxt", r"abc\u202etxt"),
        ("half\ud800", r"half\ud800"),
        ("[bold]x", "[bold]x"),
        ("x" * 40, "x" * 23 + "~"),
    ],
)
def test_names_that_somebody_else_chose_cannot_drive_the_terminal(name, shown):
    ours = Snapshot(slowest=((name, 5.0),))
    for text in (block(ours)[-1], line(ours)):
        assert f"{shown} 0:05" in text
        assert text.isprintable()


def test_names_that_cannot_be_written_are_escaped():
    ours = Snapshot(slowest=(("流程", 5.0),))
    assert "流程 0:05" in block(ours)[-1]
    assert r"\u6d41\u7a0b 0:05" in block(ours, unicode=False)[-1]
    assert line(ours).isascii()


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0:00"),
        (59.9, "0:59"),
        (3599, "59:59"),
        (3600, "1:00:00"),
        (97200, "1 d 3 h"),
    ],
)
def test_durations_read_as_people_write_them(seconds, shown):
    assert f"{shown} so far" in line(Snapshot(elapsed=seconds))
