"""How progress reads: values in, text out, and nothing else."""

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from attrs import frozen

_MOST_BAR = 40
_LEAST_BAR = 5
_MOST_NAME = 24
_GAP = "  "
_RESET = "\x1b[0m"
_COLOURS = {"good": "\x1b[32m", "bad": "\x1b[31m", "odd": "\x1b[33m", "dim": "\x1b[2m"}
_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400


@frozen(kw_only=True)
class Snapshot:
    """How far a batch has come.

    Attributes:
        total: How many requests there are; None: nobody knows.
        queued: Those that wait for their workflows, as far as they are read.
        running: Runs that go on.
        succeeded: Runs that ended well.
        failed: Those that did not; and those of whose end something is missing.
        uncertain: Executes of which nobody knows what became.
        not_started: What was refused, or given up before it was sent.
        left_running: Runs that go on, and for which nobody waits.
        elapsed: Seconds since the beginning.
        runs_per_second: How many end.
        requests_per_second: Executes, looks, and reads of outputs. What is asked for
            all together (tokens, lists) and what is sent again is told to nobody.
        looks_per_run: Of the runs that were started so far.
        seconds_left: An estimate, from how long the runs of each workflow took; None:
            there is nothing to estimate from.
        slowest: Workflow and age, in seconds, of the few runs that go on for longest.
    """

    total: int | None = None
    queued: int = 0
    running: int = 0
    succeeded: int = 0
    failed: int = 0
    uncertain: int = 0
    not_started: int = 0
    left_running: int = 0
    elapsed: float = 0.0
    runs_per_second: float | None = None
    requests_per_second: float | None = None
    looks_per_run: float | None = None
    seconds_left: float | None = None
    slowest: tuple[tuple[str, float], ...] = ()

    @property
    def done(self) -> int:
        """How many requests have come to their end, whatever that is."""
        ended = self.succeeded + self.failed + self.uncertain
        return ended + self.not_started + self.left_running


class Piece(NamedTuple):
    """Words that stay on one line."""

    text: str
    kind: str = ""


Line = Sequence[Piece]


def line(snapshot: Snapshot) -> str:
    """Say it in one line of plain ASCII, for logs and pipes."""
    of = "" if snapshot.total is None else f"/{snapshot.total}"
    percent = _percent(snapshot)
    head = f"{snapshot.done}{of} done{percent and f' ({percent})'}"
    counts = ", ".join(f"{number} {name}" for name, number, _ in _counts(snapshot))
    rates = ", ".join(_rates(snapshot))
    words = [f"{head}: {counts}", *([rates] if rates else [])]
    words.append(f"{duration(snapshot.elapsed)} so far")
    if snapshot.seconds_left is not None:
        words.append(f"about {duration(snapshot.seconds_left)} left")
    for workflow_id, age in snapshot.slowest[:1]:
        words.append(f"slowest {shown(workflow_id, unicode=False)} {duration(age)}")
    return "; ".join(words)


def block(
    snapshot: Snapshot,
    *,
    width: int = 80,
    height: int = 24,
    unicode: bool = True,
    colour: bool = False,
) -> list[str]:
    """Say it in a few lines for a terminal.

    Args:
        snapshot: What to say.
        width: Columns that no line goes beyond.
        height: Lines that there may be.
        unicode: Whether anything but ASCII may be written.
        colour: Whether colours are used.
    """
    counts = (
        Piece(f"{name} {number}", kind if number else "")
        for name, number, kind in _counts(snapshot)
    )
    rates = [Piece(rate, "dim") for rate in _rates(snapshot)]
    if snapshot.total is not None:  # else the first line has it
        rates.append(Piece(f"{duration(snapshot.elapsed)} so far", "dim"))
    slowest = [
        Piece(f"{shown(workflow_id, unicode=unicode)} {duration(age)}", "dim")
        for workflow_id, age in snapshot.slowest
    ]
    if slowest:
        slowest[0] = Piece("slowest: " + slowest[0].text, "dim")
    lines = [
        _head(snapshot, width, unicode=unicode),
        *_packed(counts, width),
        *_packed(rates, width),
        *_packed(slowest, width),
    ]
    return [
        _GAP.join(_painted(piece) if colour else piece.text for piece in pieces)
        for pieces in lines[: max(1, height)]
    ]


def _head(snapshot: Snapshot, width: int, *, unicode: bool) -> Line:
    if snapshot.total is None:
        words = [f"{snapshot.done} done", f"{duration(snapshot.elapsed)} so far"]
        return next(_packed(map(Piece, words), width))
    words = [f"{snapshot.done}/{snapshot.total}", _percent(snapshot)]
    if snapshot.seconds_left is not None:
        words.append(f"~{duration(snapshot.seconds_left)} left")
    pieces = list(next(_packed(map(Piece, filter(None, words)), width)))
    room = width - sum(cells(piece.text) + len(_GAP) for piece in pieces)
    size = min(room, _MOST_BAR)
    if size >= _LEAST_BAR:
        share = min(1.0, snapshot.done / snapshot.total) if snapshot.total else 1.0
        full = int(size * share)
        done, todo = "█░" if unicode else "#."
        pieces.insert(0, Piece(done * full + todo * (size - full)))
    return pieces


def _percent(snapshot: Snapshot) -> str:
    if not snapshot.total:
        return ""
    # Rounded down: 100 % is said when there is nothing left.
    return f"{min(100, 100 * snapshot.done // snapshot.total)}%"


def _counts(snapshot: Snapshot) -> Iterator[tuple[str, int, str]]:
    yield "queued", snapshot.queued, ""
    yield "running", snapshot.running, ""
    yield "succeeded", snapshot.succeeded, "good"
    yield "failed", snapshot.failed, "bad"
    yield "uncertain", snapshot.uncertain, "odd"
    if snapshot.not_started:
        yield "not started", snapshot.not_started, "odd"
    if snapshot.left_running:
        yield "left running", snapshot.left_running, "odd"


def _rates(snapshot: Snapshot) -> Iterator[str]:
    for value, unit in (
        (snapshot.runs_per_second, "runs/s"),
        (snapshot.requests_per_second, "requests/s"),
        (snapshot.looks_per_run, "looks/run"),
    ):
        if value is not None:
            yield f"{value:.1f} {unit}"


def duration(seconds: float) -> str:
    """Write seconds as people read them: 0:07, 12:30, 1:02:03, 3 d 4 h."""
    whole = int(seconds)
    if whole >= _DAY:
        return f"{whole // _DAY} d {whole % _DAY // _HOUR} h"
    minutes = f"{whole // _MINUTE}:{whole % _MINUTE:02}"
    if whole < _HOUR:
        return minutes
    return f"{whole // _HOUR}:{whole % _HOUR // _MINUTE:02}:{whole % _MINUTE:02}"


def shown(text: str, *, unicode: bool = True) -> str:
    """Give text that somebody else wrote so that it drives no terminal, and fits.

    What does not print (control and format characters, what turns the direction of
    writing, halves of characters) is written as its escape; without `unicode` so is all
    that is not ASCII.
    """
    safe = "".join(
        char
        if char.isprintable() and (unicode or char.isascii())
        else char.encode("unicode_escape").decode()
        for char in islice(text, _MOST_NAME + 1)
    )
    return _cut(safe, _MOST_NAME)


def _cut(text: str, most: int) -> str:
    if cells(text) <= most:
        return text
    while text and cells(text) > most - 1:
        text = text[:-1]
    return text + "~"


def cells(text: str) -> int:
    """Tell how many columns a text takes."""
    if text.isascii():
        return len(text)
    return sum(
        0
        if unicodedata.combining(char)
        else 1 + (unicodedata.east_asian_width(char) in "WF")
        for char in text
    )


def _packed(pieces: Iterable[Piece], width: int) -> Iterator[Line]:
    """Lay pieces side by side, as many to a line as fit."""
    row: list[Piece] = []
    used = 0
    for piece in pieces:
        needed = cells(piece.text) + (len(_GAP) if row else 0)
        if row and used + needed > width:
            yield row
            row, used = [], 0
            needed = cells(piece.text)
        row.append(Piece(_cut(piece.text, width), piece.kind))
        used += needed
    if row:
        yield row


def _painted(piece: Piece) -> str:
    return _COLOURS[piece.kind] + piece.text + _RESET if piece.kind else piece.text
