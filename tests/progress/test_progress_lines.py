"""Progress without a terminal: lines, their pace, and files that take none."""

import asyncio
import io
import os
import sys

import pytest

from dpa_async import Runner, RunRequest, run_many
from dpa_async.progress import Progress
from dpa_async.simulator.virtual_time import run


class Recorder(io.StringIO):
    """A file that notes when it was written to, in seconds since it was made."""

    def __init__(self, *, terminal=False):
        super().__init__()
        self.terminal = terminal
        self.began = asyncio.get_running_loop().time()
        self.times = []

    def isatty(self):
        return self.terminal

    def write(self, text):
        self.times.append(asyncio.get_running_loop().time() - self.began)
        return super().write(text)


def test_a_line_every_few_seconds_and_one_at_the_end(in_memory):
    async def test(platform, client):
        file = Recorder()
        progress = Progress(total=40, file=file)
        requests = (RunRequest(f"w{n % 10}") for n in range(40))
        async with progress, Runner(client, observers=[progress]) as runner:
            async for outcome in run_many(runner, requests):
                progress.add(outcome)
        *paced, end = file.times
        assert paced == pytest.approx([5.0 * n for n in range(1, len(paced) + 1)])
        assert 8 <= len(paced) == end // 5
        lines = file.getvalue().splitlines()
        assert len(lines) == len(file.times)
        assert lines[0].startswith("0/40 done (0%): 30 queued, 10 running, 0 succeeded")
        assert lines[-1].startswith("40/40 done (100%): 0 queued, 0 running, 40 succ")
        assert all(line.isprintable() and line.isascii() for line in lines)

    in_memory(test, duration=12.0)


@pytest.mark.parametrize(
    ("terminal", "interval", "times"),
    [
        (False, 2.0, [2, 4, 6, 6.9]),
        (True, None, [0, *(n / 4 for n in range(1, 28)), 6.9, 6.9]),
        (True, 3.0, [0, 3, 6, 6.9, 6.9]),  # the last twice: its line ends
    ],
)
def test_the_pace_is_as_told(terminal, interval, times, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")

    async def test():
        file = Recorder(terminal=terminal)
        async with Progress(file=file, interval=interval):
            await asyncio.sleep(6.9)
        await asyncio.sleep(20)
        assert file.times == pytest.approx(times)

    run(test())


@pytest.mark.parametrize("term", ["dumb", "", None])
def test_a_terminal_that_cannot_be_drawn_on_gets_lines(term, monkeypatch):
    monkeypatch.delenv("TERM", raising=False)
    if term is not None:
        monkeypatch.setenv("TERM", term)

    async def test():
        file = Recorder(terminal=True)
        async with Progress(total=1, file=file):
            await asyncio.sleep(6)
        assert len(file.getvalue().splitlines()) == 2
        assert file.getvalue().replace("\n", "").isprintable()

    run(test())


def test_standard_error_is_where_it_goes_by_itself(capsys, monkeypatch):
    async def test():
        async with Progress(total=3):
            pass

    run(test())
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("0/3 done (0%): ")
    monkeypatch.setattr(sys, "stderr", None)  # a process without a console
    run(test())


def test_a_pipe_that_nobody_reads_stops_nothing():
    async def test():
        ours, theirs = os.pipe()
        os.set_blocking(theirs, False)
        filled = os.write(theirs, b"x" * 10**7)
        os.set_blocking(theirs, True)
        with os.fdopen(ours, "rb") as reader, os.fdopen(theirs, "w") as file:
            async with Progress(file=file, interval=0.05):
                await asyncio.sleep(0.2)
                assert len(reader.read(filled)) == filled
            file.close()
            assert reader.read().startswith(b"0 done: 0 queued")

    asyncio.run(test())


def test_a_file_that_goes_away_ends_the_showing_and_not_the_batch(in_memory, caplog):
    async def test(platform, client):
        ours, theirs = os.pipe()
        file = os.fdopen(theirs, "w", buffering=1)
        os.close(ours)
        progress = Progress(total=5, file=file)
        requests = (RunRequest(f"w{n}") for n in range(5))
        async with progress, Runner(client, observers=[progress]) as runner:
            async for outcome in run_many(runner, requests):
                progress.add(outcome)
        assert progress.snapshot().succeeded == 5
        with pytest.raises(BrokenPipeError):
            file.close()

    with caplog.at_level("INFO", logger="dpa_async"):
        in_memory(test, duration=12.0)
    (record,) = caplog.records
    assert "Broken pipe" in record.message


def test_a_file_that_would_block_is_tried_again():
    class Busy(Recorder):
        def write(self, text):
            super().write("")
            if len(self.times) < 3:
                raise BlockingIOError
            return io.StringIO.write(self, text)

    async def test():
        file = Busy()
        async with Progress(file=file, interval=1.0):
            await asyncio.sleep(3.5)
        assert file.times == pytest.approx([1, 2, 3, 3.5])
        assert len(file.getvalue().splitlines()) == 2

    run(test())
