"""What is on the page, read as a browser reads it."""

import base64
import hashlib
import re
from datetime import timedelta
from itertools import pairwise

import pytest
from reported import HOSTILE, THEN, data, many, outputs, run, section, tree

from dpa_async import RunRef
from dpa_async.report import RunState, render

ELEMENTS = """
    html head meta title style body header main section form div span p h1 h2 h3 dl dt
    dd ul li i b q bdi small code pre details summary table thead tbody tr th td figure
    figcaption button select option input output noscript script svg rect path line text
"""


def test_of_nothing_there_is_a_page_that_says_so():
    page = render([])
    assert "No time of any run is known." in section(page, "timeline").text
    assert "No run failed." in section(page, "failures").text
    assert not tree(page).all("section", id="unsettled")


def test_the_headline_counts_by_state():
    page = render([*(run(n) for n in range(3)), run(3, RunState.FAILED)])
    tiles = {t.one("dt").text: t.one("dd").text for t in tree(page).all(class_="tile")}
    assert tiles["Runs"] == "41 workflow"
    assert tiles["Succeeded"] == "375.0 %"
    assert tiles["Failed"] == "125.0 %"
    assert tiles["Median duration"].startswith("10.0 s")
    assert "Uncertain" not in tiles


def test_the_pace_is_that_of_the_time_in_which_something_went_on():
    runs = [run(n, at=n * 10) for n in range(30)]
    runs += [run(30 + n, at=90_000 + n * 10) for n in range(30)]
    tile = tree(render(runs)).one("section", id="headline").text
    assert "1 d 1 h6.0 a minute outside gaps" in tile


def test_a_bar_lies_where_its_run_went_on():
    page = render([run(0, at=0, took=25), run(1, RunState.FAILED, at=75, took=25)])
    (good,) = section(page, "timeline").all("rect", class_="s")
    (bad,) = section(page, "timeline").all("rect", class_="f")
    assert (good.attributes["x"], good.attributes["width"]) == ("0%", "25%")
    assert (bad.attributes["x"], bad.attributes["width"]) == ("75%", "25%")
    assert bad.one("title").text == "order-00001: failed, 25.0 s"


def test_workflows_have_lanes_of_their_own():
    page = render([run(0, workflow="a"), run(1, workflow="b"), run(2, workflow="a")])
    lanes = [lane for lane in tree(page).all(class_="lane") if lane.all("button")]
    assert [lane.one("bdi").text for lane in lanes] == ["a", "b"]
    assert [len(lane.all("rect")) for lane in lanes] == [2, 1]
    assert lanes[0].one("svg").one("title").text == "a: 2 runs, 2 succeeded"


def test_beyond_sixty_workflows_the_lesser_ones_share_a_lane():
    runs = [run(n, workflow=f"md{n:03}") for n in range(70)]
    troubled = run(99, RunState.FAILED, workflow="zz")
    lanes = tree(render([*runs, troubled])).all(class_="lane")[1:]
    assert len(lanes) == 61
    assert lanes[-2].one("bdi").text == "zz", "where runs fail a lane is kept"
    assert lanes[-1].one("i").text == "11 other workflows"


def test_many_runs_are_drawn_in_columns_and_none_is_lost():
    page = render(many(1_500))
    lanes = section(page, "timeline").all(class_="lane")
    assert not section(page, "timeline").all("rect", data_i="0")
    failed = [lane for lane in lanes if "✕" in lane.text]
    assert failed
    for lane in failed:
        assert lane.one("path", class_="f").attributes["d"]
    assert len(data(page)["state"]) == 1_500


def test_at_once_counts_what_went_on_at_the_same_time():
    runs = [run(n, workflow=f"md{n}", at=0, took=100) for n in range(7)]
    once = tree(render([*runs, run(9, at=200, took=200)])).one(class_="once")
    assert once.one("small").text == "7"


def test_what_took_no_time_is_seen_all_the_same():
    runs = [run(n, at=n, took=1) for n in range(1_100)]
    page = render([*runs, run(7_000, RunState.FAILED, at=500, took=0)])
    assert section(page, "timeline").all("path", class_="f")[0].attributes["d"]


def test_a_night_in_which_nothing_happened_is_cut():
    later = 14 * 3600
    runs = [run(n, at=n * 10) for n in range(20)]
    # It was going on when its process died, and its end was seen the next day.
    runs.append(run(20, at=200, took=later))
    runs += [run(30 + n, at=later + 210 + n * 10) for n in range(20)]
    page = render(runs)
    (cut,) = section(page, "timeline").all("rect", class_="cut")
    assert 40 < float(cut.attributes["x"].rstrip("%")) < 60
    assert "Grey bands: 14 h 00 min, cut out" in section(page, "timeline").text


def test_the_axis_has_times_that_do_not_touch():
    page = render([run(n, at=n * 60, took=50) for n in range(120)])
    labels = tree(page).one(class_="axis").all("text")
    assert [label.text for label in labels] == ["14:00", "14:30", "15:00", "15:30"]
    assert labels[0].attributes["x"] == "0%"
    assert 24 < float(labels[1].attributes["x"].rstrip("%")) < 26
    two_days = [run(0), run(1, at=100_000), run(2, at=100_005)]
    labels = tree(render(two_days)).one(class_="axis").all("text")
    places = [float(label.attributes["x"].rstrip("%")) for label in labels]
    assert labels[0].text.startswith("Nov\u00a023 ")
    assert all(after - before >= 16 for before, after in pairwise(places))


def test_a_long_run_alone_is_not_cut():
    page = render([run(0, took=7200), run(1, workflow="b", took=6000)])
    assert not section(page, "timeline").all("rect", class_="cut")


def test_durations_are_told_by_workflow():
    runs = [run(n, workflow="a", at=n, took=n) for n in range(1, 100)]
    page = render([*runs, run(100, workflow="b")])
    row, _ = section(page, "durations").one("tbody").all("tr")
    cells = [cell.text for cell in row.all("td")]
    assert row.one("th").text == "a"
    assert [cells[0], *cells[2:]] == ["99", "50.0 s", "1 min 34 s", "1 min 39 s", "3"]
    assert row.one("title").text.endswith("from 1.00 s to 1 min 39 s, median 50.0 s")


def test_looks_are_drawn_and_lag_where_it_is_known():
    page = render([run(n, looks=n % 3 + 1) for n in range(9)])
    assert "Looks per run: 2 in the mean, 3 at most" in section(page, "looks").text
    assert "a journal does not tell" in section(page, "looks").text
    assert data(page)["lag"] is None

    page = render([run(0, lag=0.4), run(1, lag=4.0), run(2)])
    assert "Lag, at most: median 2.20 s" in section(page, "looks").text
    assert data(page)["lag"] == [0.4, 4.0, None]


def test_a_failure_has_its_outputs():
    failed = run(7, RunState.FAILED, outputs=outputs("first", None, "the end\nof it"))
    card = section(render([failed]), "failures").one("details")
    assert card.one("b").text == "order-00007"
    assert card.one("q").text == "the end of it"
    assert [pre.text for pre in card.all("pre")] == ["first", "the end\nof it"]
    assert str(failed.ref) in card.text


def test_of_a_traceback_the_last_line_is_shown_first():
    said = "Traceback (most recent call last):\n  File…\nValueError: no such order"
    failed = run(7, RunState.FAILED, outputs=outputs(said))
    card = section(render([failed]), "failures").one("details")
    assert card.one("q").text == "ValueError: no such order"


def test_what_succeeded_gives_no_outputs():
    page = render([run(1, outputs=outputs("a private number"))])
    assert "a private number" not in page


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (RunState.UNCERTAIN, "dpa settle 'night 1.journal' order-00001"),
        (RunState.RUNNING, "dpa resume 'night 1.journal'"),
        (RunState.INTENDED, "dpa resume 'night 1.journal'"),
    ],
)
def test_what_is_not_over_comes_with_what_to_do(state, words):
    page = render([run(1, state)], journal="night 1.journal")
    to_do = section(page, "unsettled")
    assert words in [code.text for code in to_do.all("code")]
    assert "order-00001" in to_do.text


def test_what_was_not_started_says_why():
    page = render([run(1, RunState.NOT_STARTED, words=("the deadline came",))])
    assert "the deadline came" in section(page, "unsettled").text


def test_a_command_can_be_pasted_or_is_not_there():
    keys = ["it's $(here)", "-x", "right\u202eleft"]
    runs = [run(n, RunState.UNCERTAIN, key=key) for n, key in enumerate(keys)]
    codes = section(render(runs, journal="j"), "unsettled").all("code")
    assert [code.text for code in codes] == [
        """dpa settle j 'it'"'"'s $(here)'""",
    ]


@pytest.mark.parametrize("words", HOSTILE)
def test_whatever_stands_anywhere_is_text(words):
    everywhere = {"key": words, "ref": RunRef(words, words, words), "origin": words}
    runs = [
        run(0, workflow=words, **everywhere),
        run(1, RunState.FAILED, workflow=words, outputs=outputs(words), **everywhere),
        run(2, RunState.UNCERTAIN, workflow=words, words=(words,), **everywhere),
        run(3, RunState.RUNNING, workflow=words, **everywhere),
    ]
    page = render(runs, title=words, journal=words)
    page.encode()
    root = tree(page)
    assert {node.name for node in root.walk()} - {""} <= set(ELEMENTS.split())
    assert [s.attributes for s in root.all("script")] == [
        {"type": "application/json", "id": "data"},
        {},
    ]
    for node in root.walk():
        assert not [name for name in node.attributes if name.startswith("on")]
    assert data(page)["key"] == [words] * 4
    # Control characters of any kind are shown, and do nothing.
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e]", page)


def test_the_policy_allows_its_own_script_and_nothing_from_anywhere():
    root = tree(render(many(30)))
    policy = root.one("meta", http_equiv="Content-Security-Policy").attributes[
        "content"
    ]
    rules = dict(rule.split(maxsplit=1) for rule in policy.split("; "))

    def source(words):
        digest = base64.b64encode(hashlib.sha256(words.encode()).digest())
        return f"'sha256-{digest.decode()}'"

    assert rules == {
        "default-src": "'none'",
        "script-src": source(root.all("script")[1].text),
        "style-src": source(root.one("style").text),
        "base-uri": "'none'",
        "form-action": "'none'",
    }


def test_nothing_points_outside():
    page = render(many(30))
    root = tree(page)
    for node in root.walk():
        assert not {"src", "href", "xlink:href", "style"} & set(node.attributes)
    assert not re.search(r"url\(|@import|@font-face", root.one("style").text)
    assert not re.search(
        r"fetch\(|XMLHttp|WebSocket|innerHTML|eval\(|import\(",
        root.all("script")[1].text,
    )


def test_every_control_and_picture_has_a_name():
    root = tree(render(many(60)))
    for node in root.walk():
        if node.name in {"input", "select"}:
            assert node.attributes["aria-label"]
        if node.name == "button":
            assert node.attributes.get("aria-label") or node.text.strip()
        if node.attributes.get("role") == "img":
            assert node.attributes.get("aria-label") or node.all("title")
        elif node.name == "svg":
            assert node.attributes["aria-hidden"] == "true" or node.all("title")
    assert root.one("html").attributes["lang"] == "en"
    ids = [n.attributes["id"] for n in root.walk() if "id" in n.attributes]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("failing", [0.06, 1.0])
def test_five_hundred_runs_are_150_kb_at_most(failing):
    page = render(many(500, failing=failing))
    assert len(page.encode()) <= 150_000


def test_outputs_without_end_do_not_make_a_page_without_end():
    told = outputs(*["x" * 1_000_000] * 50)
    runs = [run(n, RunState.FAILED, outputs=told) for n in range(500)]
    page = render(runs)
    assert len(page.encode()) <= 150_000
    assert re.search(r"999,\d{3} characters more", page)
    assert "435 failures more" in section(page, "failures").text


def test_the_order_of_the_runs_makes_no_difference():
    runs = many(80)
    assert render(runs[::-1]) == render(runs)


def test_times_are_shown_in_utc():
    page = render([run(1)], made_at=THEN + timedelta(hours=2))
    assert "as of 2026-11-23 16:00:00 UTC" in tree(page).one("header").text
