"""Progress on a pseudo-terminal: what somebody who looks at it sees."""

import asyncio
import contextlib
import logging
import sys
import termios
import threading

import pytest
from pseudo_terminals import PseudoTerminal

from dpa_async import DPAClient, Runner, RunRequest, WaitPolicy, run_many
from dpa_async.progress import Progress
from dpa_async.simulator import MemorySimulator

BAR = "████████████████████████████████████████"
COUNTS = "queued 0  running 0  succeeded 0  failed 0  uncertain 0"


@pytest.fixture(autouse=True)
def a_good_terminal(monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)


@pytest.fixture
def terminal():
    with contextlib.closing(PseudoTerminal()) as terminal:
        yield terminal


@contextlib.contextmanager
def as_console(terminal):
    """Make it what the standard streams lead to, too."""
    stdout = open(terminal.file.fileno(), "w", buffering=1, closefd=False)  # noqa: SIM115
    with (
        stdout,
        contextlib.redirect_stdout(stdout),
        contextlib.redirect_stderr(terminal.file),
    ):
        yield


async def drawings(number=2):
    await asyncio.sleep(0.05 * number + 0.03)


def test_a_batch_is_drawn_in_place_and_stays(terminal):
    async def main():
        platform = MemorySimulator(duration=(0.05, 0.3))
        progress = Progress(total=60, file=terminal.file, interval=0.05)
        requests = (RunRequest(f"w{n}") for n in range(60))
        at_once = WaitPolicy(first_look=0.05)
        seen = set()
        async with (
            progress,
            DPAClient(platform.settings(), backend=platform) as client,
            Runner(client, wait=at_once, observers=[progress]) as runner,
        ):
            assert terminal.look()[0].endswith("  0/60  0%")
            async for outcome in run_many(runner, requests, concurrency=10):
                progress.add(outcome)
                shown = terminal.look()
                assert sum("/60" in text for text in shown) == 1
                seen.add(next(text for text in shown if "/60" in text))
        assert len(seen) > 3
        await platform.aclose()

    asyncio.run(main())
    head, counts, rates = terminal.look()
    assert head == f"{BAR}  60/60  100%"
    assert counts == "queued 0  running 0  succeeded 60  failed 0  uncertain 0"
    assert "requests/s" in rates
    assert terminal.cursor == (3, 0)
    assert "\x1b[32m" in terminal.written  # green
    assert "\x1b[?" not in terminal.written  # no mode is changed: none stays so


def test_what_others_write_stands_above_it_whole(terminal):
    async def main():
        handler = logging.StreamHandler(sys.stderr)  # it keeps the stream
        log = logging.getLogger("a test")
        log.addHandler(handler)
        log.propagate = False
        try:
            async with Progress(total=2, interval=0.05):
                log.warning("a log line")
                log.warning("another, much longer than what is drawn" * 3)
                print("printed", "in pieces")  # noqa: T201
                assert terminal.look()[-3:-1] == ["░" * 40 + "  0/2  0%", COUNTS]
                await drawings()
                sys.stdout.write("half")
                sys.stdout.flush()
                await drawings()  # a half line is ended, so that it can be read
                thread = threading.Thread(target=print, args=("from a thread",))
                thread.start()
                thread.join()
                await drawings()
        finally:
            log.removeHandler(handler)

    with as_console(terminal):
        asyncio.run(main())
    shown = terminal.look()
    wrapped = "another, much longer than what is drawn" * 3
    assert shown[:6] == [
        "a log line",
        wrapped[:80],
        wrapped[80:].rstrip(),
        "printed in pieces",
        "half",
        "from a thread",
    ]
    assert [text[:9] for text in shown[6:]] == ["░" * 9, "queued 0 ", "0.0 runs/"]
    assert terminal.cursor == (9, 0)


def test_the_streams_are_given_back(terminal):
    async def main():
        async with Progress(interval=0.05):
            assert "write" in vars(sys.stdout)
            assert "write" in vars(sys.stderr)
        assert "write" not in vars(sys.stdout)
        assert "write" not in vars(sys.stderr)

    with as_console(terminal):
        asyncio.run(main())


@pytest.mark.parametrize("end", ["cancel", "error"])
def test_however_it_ends_the_terminal_is_clean(terminal, end):
    async def show(started):
        async with Progress(total=4, interval=0.05):
            started.set()
            if end == "error":
                raise LookupError
            await asyncio.sleep(60)

    async def main():
        started = asyncio.Event()
        task = asyncio.create_task(show(started))
        await started.wait()
        if end == "cancel":
            task.cancel()
        with contextlib.suppress(LookupError, asyncio.CancelledError):
            await task
        print("after")  # noqa: T201
        assert "write" not in vars(sys.stdout)

    with as_console(terminal):
        asyncio.run(main())
    shown = terminal.look()
    assert "0/4" in shown[0]
    assert shown[-1] == "after"
    assert terminal.cursor == (len(shown), 0)


@pytest.mark.parametrize("columns", [40, 60, 120])
def test_a_window_of_another_size_is_drawn_anew(terminal, columns):
    async def main():
        async with Progress(total=5, file=terminal.file, interval=0.05):
            await drawings()
            terminal.look()
            terminal.resize(columns, 24)
            terminal.screen.reset()  # as a window looks that was cleared
            await drawings()
            return terminal.look()

    head, *_ = asyncio.run(main())
    assert len(head) == min(columns - 1, 40 + len("  0/5  0%"))


def test_a_window_made_narrower_has_no_old_lines_left(terminal):
    """A terminal that breaks lines anew has put them on more rows: all are cleared."""

    async def main():
        async with Progress(total=5, file=terminal.file, interval=0.05):
            await drawings()
            terminal.look()
            already = len(terminal.written)
            terminal.resize(30, 24)
            await drawings(1)
            terminal.look()
            return terminal.written[already:]

    # 49 columns take 2 rows, 55 take 2, 56 take 2: the first of them is 5 rows up.
    assert asyncio.run(main()).startswith("\r\x1b[5A")


def test_a_terminal_that_is_held_stops_nothing(terminal):
    async def main():
        async with Progress(total=5, file=terminal.file, interval=0.05):
            termios.tcflow(terminal.file, termios.TCOOFF)  # Ctrl-S
            terminal.look()
            already = len(terminal.written)
            await drawings(4)
            terminal.look()
            assert len(terminal.written) == already
            termios.tcflow(terminal.file, termios.TCOON)  # Ctrl-Q
            await drawings()
            terminal.look()
            assert len(terminal.written) > already

    asyncio.run(main())


def test_neither_colours_nor_other_letters_where_they_are_not_wanted(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")

    async def main(file):
        async with Progress(total=4, file=file, interval=0.05):
            pass

    with contextlib.closing(PseudoTerminal(encoding="latin-1")) as terminal:
        asyncio.run(main(terminal.file))
        assert terminal.look()[0] == "." * 40 + "  0/4  0%"
    assert "m" not in {text[:1] for text in terminal.written.split("\x1b[")}
    assert "\x1b[2m" not in terminal.written
