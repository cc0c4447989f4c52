"""The report as a person sees it and works with it, in a real browser.

It needs Chromium, so it is run by its name only: `nox -s browser`.
"""

import zlib

import pytest
from chromium import CODES
from reported import HOSTILE, ORIGIN, THEN, many, outputs, run

from dpa_async import RunRef
from dpa_async.report import RunState, render

FAILED = {"light": (203, 58, 39), "dark": (255, 111, 92)}
SHEET = {"light": (255, 255, 255), "dark": (25, 29, 33)}
EVERY_SECOND = 0.84  # as strong is every second bar, to be told from its neighbour
FOUND = "#found"


@pytest.fixture
def report(tmp_path, browser):
    """Show a report of these runs to `scene(page)`; nobody may hear of trouble."""

    def show(runs, scene, *, width=1280, dark=False, paper=False, script=True):
        file = tmp_path / "report.html"
        file.write_text(render(runs, journal="j"), encoding="utf-8")

        async def play(page):
            await page.call("Emulation.setScriptExecutionDisabled", value=not script)
            await page.window(width, dark=dark, paper=paper)
            page.said.clear()
            await page.look_at(file.as_uri())
            await scene(page)
            await page.call("Emulation.setScriptExecutionDisabled", value=False)
            assert page.said == []
            assert page.requested == [file.as_uri()]

        browser(play)

    return show


async def colour(page, selector):
    """Give the colour that is drawn in the middle of an element."""
    x, y = await page.place(selector)
    top = await page.evaluate("scrollY")
    shot = await page.picture(clip=(x, y + top, 1, 1))
    at, found = 8, b""
    while at < len(shot):
        size = int.from_bytes(shot[at : at + 4])
        if shot[at + 4 : at + 8] == b"IDAT":
            found += shot[at + 8 : at + 8 + size]
        at += 12 + size
    return tuple(zlib.decompress(found)[1:4])  # of one pixel, no filter changes it


def is_failure(seen, scheme):
    """Tell whether this is the colour of a failure, in a lane's second bar."""
    pairs = zip(FAILED[scheme], SHEET[scheme], strict=True)
    meant = [EVERY_SECOND * a + (1 - EVERY_SECOND) * b for a, b in pairs]
    return all(abs(a - b) <= 3 for a, b in zip(seen, meant, strict=True))


async def rows(page):
    return await page.evaluate(
        "[...document.querySelectorAll('#table tbody tr')]"
        ".map(row => [...row.cells].map(cell => cell.innerText.trim()))"
    )


async def cards(page):
    return await page.evaluate(
        "[...document.querySelectorAll('.failure')].filter(card => !card.hidden)"
        ".map(card => card.querySelector('b').innerText)"
    )


def a_few():
    return [
        run(0, workflow="md1", at=0, took=30),
        run(
            1,
            RunState.FAILED,
            workflow="md1",
            at=40,
            took=60,
            outputs=outputs("no disk"),
        ),
        run(2, workflow="md2", at=0, took=50, looks=7),
        run(
            3, RunState.FAILED, workflow="md2", at=60, took=5, outputs=outputs("no net")
        ),
        run(4, RunState.UNCERTAIN, workflow="md2", at=80),
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_failed_run_is_a_bar_in_the_colour_of_failure(report, scheme):
    async def scene(page):
        assert is_failure(await colour(page, "rect[data-i='2'].f"), scheme)
        assert not is_failure(await colour(page, "rect[data-i='0'].s"), scheme)
        corner = await page.evaluate("getComputedStyle(timeline).backgroundColor")
        assert corner == "rgb({}, {}, {})".format(*SHEET[scheme])

    report(a_few(), scene, dark=scheme == "dark")


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("runs", [many(500), many(1_500, workflows=90)], ids=len)
def test_it_fits_its_window(report, runs, width):
    async def scene(page):
        assert await page.evaluate("document.documentElement.scrollWidth") == width
        small = await page.evaluate(
            "[...document.querySelectorAll('main *')].filter(node => node.innerText"
            " && parseFloat(getComputedStyle(node).fontSize) < 11).length"
        )
        assert small == 0
        low = await page.evaluate(
            "[...document.querySelectorAll('#filters button, select, input')]"
            ".filter(node => node.getBoundingClientRect().height < 24).length"
        )
        assert low == 0

    report(runs, scene, width=width)


def test_states_are_chosen_by_clicking(report):
    async def scene(page):
        assert await page.text(FOUND) == "5 runs"
        await page.click("[data-state=f]")
        assert await page.text(FOUND) == "2 of 5 runs"
        assert [row[0] for row in await rows(page)] == ["failed", "failed"]
        dim = "getComputedStyle(document.querySelector('rect.s[data-i]')).opacity"
        assert float(await page.evaluate(dim)) < 0.2
        assert is_failure(await colour(page, "rect[data-i='2'].f"), "light")
        assert not is_failure(await colour(page, "rect[data-i='0'].s"), "light")
        await page.click("[data-state=u]")
        assert await page.text(FOUND) == "3 of 5 runs"
        await page.click("#clear")
        assert await page.text(FOUND) == "5 runs"
        assert float(await page.evaluate(dim)) == 1
        pressed = "document.querySelectorAll('[aria-pressed=true]').length"
        assert await page.evaluate(pressed) == 0

    report(a_few(), scene)


def test_what_is_typed_is_searched_for(report):
    async def scene(page):
        await page.click("#search")
        await page.type("NO DISK")  # what a failed run said
        assert await cards(page) == ["order-00001"]
        assert [row[1] for row in await rows(page)] == ["order-00001"]
        await page.type(" no net")
        assert await page.text(FOUND) == "0 of 5 runs"
        assert "No run is like that." in await page.text("#table")
        await page.click("#clear")
        await page.click("#search")
        await page.type("in0000002")  # a run's id
        assert [row[1] for row in await rows(page)] == ["order-00002"]

    report(a_few(), scene)


def test_a_lane_is_chosen_by_its_name_and_given_back(report):
    async def scene(page):
        await page.click(".lane button[data-workflow=md2]")
        assert await page.text(FOUND) == "3 of 5 runs"
        assert await page.evaluate("document.querySelector('#workflow').value") == "1"
        assert await cards(page) == ["order-00003"]
        missed = "document.querySelector('tr[data-workflow=md1]').className"
        assert await page.evaluate(missed) == "missed"
        await page.click(".lane button[data-workflow=md2]")
        assert await page.text(FOUND) == "5 runs"

    report(a_few(), scene)


def test_what_is_pointed_at_is_told(report):
    async def scene(page):
        assert await page.text("#tip") == ""
        await page.point_at("rect[data-i='1']")
        told = await page.text("#tip")
        assert told.splitlines()[:2] == ["order-00002", "md2 · succeeded"]
        assert "50.0 s" in told
        assert "looks: 7" in told
        await page.point_at("rect[data-i='2'].f")
        # Ours is there instead of the browser's own, and not besides.
        titled = "document.querySelector(`rect[data-i='2'] title`) !== null"
        assert await page.evaluate(titled) is False
        await page.point_at("h1")
        assert await page.evaluate("document.querySelector('#tip').hidden")
        assert await page.evaluate(titled) is True

    report(a_few(), scene)


def test_a_column_tells_what_went_on_then(report):
    async def scene(page):
        await page.point_at(".lane.once > svg")
        at_once = await page.text("#tip")
        assert "14:" in at_once
        assert "succeeded" in at_once
        await page.click("[data-state=f]")
        await page.point_at(".lane.once > svg")
        assert "succeeded" not in await page.text("#tip")

    report(many(1_500), scene)


def test_a_bar_leads_to_what_its_run_gave(report):
    async def scene(page):
        await page.click("rect[data-i='2'].f")
        assert await page.evaluate("document.querySelector('#run-2').open")
        assert "no disk" in await page.text("#run-2 pre")

    report(a_few(), scene)


def test_the_list_is_sorted_and_opened(report):
    async def scene(page):
        took = "#table th:nth-child(5) button"
        await page.click(took)
        assert [row[4] for row in await rows(page)] == [
            *("5.00 s", "30.0 s", "50.0 s", "1 min 00 s"),
            "",
        ]
        await page.click(took)
        assert (await rows(page))[0][4] == "1 min 00 s"
        sort = "document.querySelector('#table th:nth-child(5)').ariaSort"
        assert await page.evaluate(sort) == "descending"
        await page.click("#table tbody tr:first-child button")
        assert str(a_few()[1].ref) in await page.text("#table tr.more")

    report(a_few(), scene)


def test_the_keyboard_is_enough(report):
    async def scene(page):
        focused = "document.activeElement.innerText ?? document.activeElement.id"
        for _ in range(20):
            await page.press("Tab")
            if "Failed" in await page.evaluate(focused):
                break
        outline = "getComputedStyle(document.activeElement).outlineStyle"
        assert await page.evaluate(outline) == "solid"
        await page.press(" ", "Space", " ")
        assert await page.text(FOUND) == "2 of 5 runs"
        await page.evaluate("document.querySelector('#table tbody button').focus()")
        await page.press("Enter", "Enter", "\r")
        assert "dpa-run:1:" in await page.text("#table tr.more")

    assert {"Tab", " ", "Enter"} <= set(CODES)
    report(a_few(), scene)


def test_who_cannot_see_it_is_told_by_name(report):
    async def scene(page):
        nodes = (await page.call("Accessibility.getFullAXTree"))["nodes"]
        named = [
            (node["role"]["value"], node.get("name", {}).get("value", ""))
            for node in nodes
            if not node.get("ignored")
        ]
        controls = {"button", "combobox", "searchbox", "image", "img", "region"}
        assert [role for role, name in named if role in controls and not name] == []
        assert ("heading", "Timeline") in named
        assert ("button", "Show only md1: 2 runs, 1 succeeded, 1 failed") in named

    report(a_few(), scene)


def test_hostile_text_is_only_text(report):
    runs = [
        run(
            n,
            RunState.FAILED,
            workflow=words,
            key=words,
            at=n,
            ref=RunRef(ORIGIN, words, words),
            outputs=outputs(words),
        )
        for n, words in enumerate(HOSTILE)
    ]

    async def scene(page):
        strange = (
            "document.querySelectorAll('img, iframe, object, body h1 ~ h1').length"
        )
        assert await page.evaluate(strange) == 0
        assert await page.evaluate("document.scripts.length") == 2
        assert len(await rows(page)) == len(HOSTILE)
        for n in range(len(HOSTILE)):
            await page.click(f"#table tbody tr:nth-child({2 * n + 1}) button")
            await page.point_at(f"rect[data-i='{n}']")
        await page.click("#search")
        await page.type("<script>alert(1)</script>")
        assert (await rows(page))[0][1] == HOSTILE[0]

    report(runs, scene)


def test_the_policy_lets_nothing_in_and_nothing_out(tmp_path, browser):
    file = tmp_path / "report.html"
    file.write_text(render(a_few()), encoding="utf-8")

    async def scene(page):
        await page.look_at(file.as_uri())
        await page.evaluate(
            """(() => {
                const script = document.createElement("script");
                script.textContent = "window.ran = true";
                const image = new Image();
                image.src = "http://127.0.0.1:9/pixel.png";
                document.body.append(script, image);
                document.body.setAttribute("onclick", "window.ran = true");
                document.body.click();
            })()"""
        )
        sent = "fetch('http://127.0.0.1:9/').then(() => true, () => false)"
        assert await page.evaluate(sent) is False
        assert await page.evaluate("window.ran === undefined")
        blocked = [words for kind, words in page.said if kind == "log"]
        assert len(blocked) >= 4
        assert all("Content Security Policy" in one["text"] for one in blocked[:3])
        page.said.clear()

    browser(scene)


def test_without_scripts_the_pictures_and_failures_are_there(report):
    async def scene(page):
        tree = await page.call(
            "DOMSnapshot.captureSnapshot", computedStyles=["display"]
        )
        words = " ".join(tree["strings"])
        assert "The list and its filters need JavaScript." in words
        assert await colour_without_script(page) > 0

    async def colour_without_script(page):
        return len(await page.picture())

    report(a_few(), scene, script=False)


def test_on_paper_all_is_open_and_nothing_can_be_pressed(report):
    async def scene(page):
        hidden = "getComputedStyle(document.querySelector('#filters')).display"
        assert await page.evaluate(hidden) == "none"
        white = "getComputedStyle(document.body).backgroundColor"
        assert await page.evaluate(white) == "rgb(255, 255, 255)"
        await page.evaluate(
            "addEventListener('beforeprint', () => {"
            " window.opened = document.querySelectorAll('.failure[open]').length })"
        )
        assert (await page.paper()).startswith(b"%PDF-")
        assert await page.evaluate("window.opened") == 2
        still = "document.querySelectorAll('.failure[open]').length"
        assert await page.evaluate(still) == 0

    report(a_few(), scene, paper=True, dark=True)


def test_nothing_moves_for_who_does_not_like_it(report):
    async def scene(page):
        moves = "getComputedStyle(document.documentElement).scrollBehavior"
        assert await page.evaluate(moves) == "smooth"
        still = {"name": "prefers-reduced-motion", "value": "reduce"}
        await page.call("Emulation.setEmulatedMedia", features=[still])
        assert await page.evaluate(moves) == "auto"

    report(a_few(), scene)


def test_twenty_thousand_runs_are_filtered_and_listed_a_few_at_a_time(report):
    runs = many(20_000, workflows=100)
    failed = sum(one.state is RunState.FAILED for one in runs)

    async def scene(page):
        assert await page.text(FOUND) == "20,000 runs"
        assert len(await rows(page)) == 50
        await page.click("[data-state=f]")
        assert await page.text(FOUND) == f"{failed:,} of 20,000 runs"
        drawn = "document.querySelector('.lane .hit').getAttribute('d').length"
        assert await page.evaluate(drawn) > 100
        await page.click("#more")
        assert len(await rows(page)) == 250
        await page.click("#clear")
        await page.click("#search")
        await page.type("order-00777")
        assert [row[1] for row in await rows(page)] == ["order-00777"]

    report(runs, scene)


def test_it_is_as_old_as_it_says(report):
    async def scene(page):
        assert f"{THEN:%Y-%m-%d}" in await page.text("header")

    report(a_few(), scene)
