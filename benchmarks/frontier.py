"""How many looks for how much lag: the learned schedule against those of others.

Runs of one workflow follow each other; each is looked at until a look comes after its
end. The lag is the time from its end to that look. What the learned schedule knows of
a run is what its own looks told. No network, no clock: seeded chance, the same figures
each time.

At equal looks, runs 61 to 200 of 20 workflows, mean lag with its 95 % confidence: each
of the others may choose its best parameter that makes no more looks than the learned
one has (`fixed`: the interval; `expo`, with full jitter: its cap, and where no cap
makes so few, its first interval). `best`: the best plan for the true distribution,
which nobody knows.

    python benchmarks/frontier.py [--quick] [--write]

`--quick` takes seconds; `--write` puts the table and the picture into docs/.
"""

import argparse
import itertools
import math
import random
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import backoff

from dpa_async.waiting.adaptive import adaptive
from dpa_async.waiting.durations import Durations
from dpa_async.waiting.plan import best_plan
from dpa_async.waiting.spread import Spread

RUNS = 200
COLD, WARM = 5, 60  # runs under the plain schedule; runs not counted
LONGEST_INTERVAL = 3600.0
DOCS = Path(__file__).parents[1] / "docs"
STUDENT = {3: 3.182, 19: 2.093}  # of 95 %, by degrees of freedom

Chance = random.Random
Schedule = Callable[[Chance], Iterator[float]]

MAIN: dict[str, Callable[[Chance, int], float]] = {
    "lognormal, median 30 s, sigma 1": lambda c, _: c.lognormvariate(math.log(30), 1),
    "2 s or 10 min, ±10 %": lambda c, _: c.choice((2, 600)) * c.uniform(0.9, 1.1),
    "20 s ±10 %": lambda c, _: 20 * c.uniform(0.9, 1.1),
}
OTHERS: dict[str, Callable[[Chance, int], float]] = {
    "gamma, shape 2, mean 40 s": lambda c, _: c.gammavariate(2, 20),
    "5, 40 or 200 s, ±20 %": lambda c, _: c.choice((5, 40, 200)) * c.uniform(0.8, 1.2),
    "9 of 10 30 s, 1 of 10 5 min, ±20 %": lambda c, _: (
        (30 if c.random() < 0.9 else 300) * c.uniform(0.8, 1.2)
    ),
    "uniform, 4 to 9 s": lambda c, _: c.uniform(4, 9),
    "exponential, mean 60 s": lambda c, _: c.expovariate(1 / 60),
    "drift 20 → 40 s, ±10 %": lambda c, n: 20 * (1 + n / RUNS) * c.uniform(0.9, 1.1),
    "20 s, from run 101 on 40 s, ±10 %": lambda c, n: (
        (20 if n < 100 else 40) * c.uniform(0.9, 1.1)
    ),
}
DRIFTING = list(OTHERS)[-2:]


class Seen(NamedTuple):
    """One run: how many looks it took, and how late the last one was."""

    looks: int
    lag: float


class Point(NamedTuple):
    """A schedule with one parameter: means of each workflow."""

    parameter: float
    looks: float
    lags: list[float]

    @property
    def lag(self) -> float:
        return statistics.fmean(self.lags)


def watch(intervals: Iterator[float], duration: float) -> tuple[Seen, float, float]:
    """Look at one run to its end; tell its last look before that, and the last."""
    before, now, looks = 0.0, 0.0, 0
    for interval in intervals:
        before, now, looks = now, now + interval, looks + 1
        if now >= duration:
            break
    return Seen(looks, now - duration), before, now


def plain() -> Iterator[float | None]:
    return backoff.expo(base=1.5, factor=0.5, max_value=15.0)


def fixed(interval: float) -> Schedule:
    return lambda _: itertools.repeat(interval)


def expo(cap: float, factor: float = 1.0) -> Schedule:
    def intervals(chance: Chance) -> Iterator[float]:
        for interval in backoff.expo(factor=factor, max_value=cap):
            if interval is not None:
                yield chance.uniform(0, interval)

    return intervals


def databricks(chance: Chance) -> Iterator[float]:
    """databricks-sdk: at once, then 1, 2 … 10 s, each and up to a second more."""
    yield 0.0
    for attempt in itertools.count(1):
        yield min(attempt, 10) + chance.random()


def google(chance: Chance) -> Iterator[float]:
    """google-api-core: at once, then expo from 1 s by 1.5 to 20 s with full jitter."""
    yield 0.0
    longest = 1.0
    while True:
        yield chance.uniform(0, longest)
        longest = min(longest * 1.5, 20.0)


def play(schedule: Schedule, workflows: Sequence[Sequence[float]]) -> Point:
    chance = Chance("jitter")
    seen = [
        [watch(schedule(chance), duration)[0] for duration in runs[WARM:]]
        for runs in workflows
    ]
    return mean(0.0, seen)


def mean(parameter: float, seen: Sequence[Sequence[Seen]]) -> Point:
    looks = statistics.fmean(run.looks for runs in seen for run in runs)
    lags = [statistics.fmean(run.lag for run in runs) for runs in seen]
    return Point(parameter, looks, lags)


def learn(lag_per_look: float, runs: Sequence[float]) -> list[Seen]:
    """Follow one workflow from its first run on, learning from each."""
    durations, seen = Durations(), []
    for duration in runs:
        intervals = adaptive(
            durations,
            lag_per_look=lag_per_look,
            minimum=0.05,
            maximum=LONGEST_INTERVAL,
            fallback=plain,
        )
        run, after, by = watch((i for i in intervals if i is not None), duration)
        durations.learn(after, by)
        seen.append(run)
    return seen


def learned(
    looks: float, workflows: Sequence[Sequence[float]]
) -> tuple[Point, list[list[Seen]]]:
    """Turn the one knob until the mean looks are right, within 1 %."""
    knob = 0.5
    for _ in range(12):
        seen = [learn(knob, runs) for runs in workflows]
        point = mean(knob, [runs[WARM:] for runs in seen])
        if abs(point.looks / looks - 1) < 0.01:
            break
        knob *= (point.looks / looks) ** 2  # looks go with the root of the knob
    return point, seen


def scanned(workflows: Sequence[Sequence[float]]) -> dict[str, list[Point]]:
    """The others with all parameters that make about 2 to 40 looks."""
    middle = statistics.fmean(itertools.chain(*workflows))
    intervals = [middle / 40 * 1.03**n for n in range(140)]
    caps = [middle / 20 * 1.15**n for n in range(40)]
    factors = [1.15**n for n in range(1, 45)]
    return {
        "fixed": [
            play(fixed(interval), workflows)._replace(parameter=interval)
            for interval in intervals
        ],
        "expo": [
            *(play(expo(cap), workflows)._replace(parameter=cap) for cap in caps),
            *(play(expo(1e9, factor), workflows) for factor in factors),
        ],
    }


def equal(points: Sequence[Point], looks: float) -> Point:
    """The least lag at no more looks, half a per cent granted."""
    few = (point for point in points if point.looks <= looks * 1.005)
    return min(few, key=lambda point: point.lag)


def best(name: str, looks: float) -> float:
    """The lag of the best plan for the true distribution."""
    spread = true_spread(name)
    knobs = [1e-3 * 1.15**n for n in range(80)]
    curve = [cost_of(spread, knob) for knob in knobs]
    (before, more), (after, less) = next(
        pair for pair in itertools.pairwise(curve) if pair[1][0] <= looks
    )
    part = math.log(before / looks) / math.log(before / after)
    return more ** (1 - part) * less**part


def true_spread(name: str) -> Spread:
    chance, size = Chance(f"true {name}"), 20_000
    draw = (MAIN | OTHERS)[name]
    ends = sorted(draw(chance, 0) for _ in range(size))
    places = [*range(9, size - 100, 10), *range(size - 100, size)]
    return Spread(
        [0.0, *(ends[at] for at in places)],
        [1.0, *(1 - (at + 1) / size for at in places)],
    )


def cost_of(spread: Spread, knob: float) -> tuple[float, float]:
    """Mean looks and mean lag of the best plan, by its spread."""
    plan = best_plan(spread, knob)
    lasting = [spread.share_lasting(time) for time in plan.times]
    at, last, looks, lag = 0, len(plan.times) - 1, 0.0, 0.0
    while at < last:
        to = plan.following[at]
        looks += lasting[at]
        for piece in range(at, to):
            middle = (plan.times[piece] + plan.times[piece + 1]) / 2
            lag += (lasting[piece] - lasting[piece + 1]) * (plan.times[to] - middle)
        at = to
    return looks, lag


def confidence(values: Sequence[float]) -> float:
    spread = statistics.stdev(values) / math.sqrt(len(values))
    return STUDENT[len(values) - 1] * spread


class Row(NamedTuple):
    """One distribution at one number of looks."""

    name: str
    ours: Point
    fixed: Point
    expo: Point
    best: float | None
    cold: float  # lag in the first five runs, by the plain schedule's
    warming: float  # in runs 6 to 20
    warming_looks: float

    def times(self, other: Point) -> tuple[float, float]:
        """How many times our lag theirs is, and the confidence of that."""
        ratio = other.lag / self.ours.lag
        pairs = zip(other.lags, self.ours.lags, strict=True)
        off = [theirs - ratio * mine for theirs, mine in pairs]
        return ratio, confidence(off) / self.ours.lag


def workflows_of(name: str, seeds: int) -> list[list[float]]:
    draw = (MAIN | OTHERS)[name]
    chances = [Chance(f"{name} {seed}") for seed in range(seeds)]
    return [[draw(chance, run) for run in range(RUNS)] for chance in chances]


def compare(
    names: Sequence[str], seeds: int, targets: Sequence[float] = (5, 8)
) -> Iterator[Row]:
    """Measure the learned schedule against the others at equal looks."""
    for name in names:
        workflows = workflows_of(name, seeds)
        others = scanned(workflows)
        shared = [
            [watch(intervals_of(plain), duration)[0] for duration in runs[:20]]
            for runs in workflows
        ]
        for looks in targets:
            ours, seen = learned(looks, workflows)
            yield Row(
                name,
                ours,
                equal(others["fixed"], ours.looks),
                equal(others["expo"], ours.looks),
                None if name in DRIFTING else best(name, ours.looks),
                lag_in(seen, 0, COLD) / lag_in(shared, 0, COLD),
                lag_in(seen, COLD, 20) / lag_in(shared, COLD, 20),
                looks_in(seen, COLD, 20) / looks_in(shared, COLD, 20),
            )


def intervals_of(make: Callable[[], Iterator[float | None]]) -> Iterator[float]:
    return (interval for interval in make() if interval is not None)


def lag_in(seen: Sequence[Sequence[Seen]], begin: int, end: int) -> float:
    return statistics.fmean(run.lag for runs in seen for run in runs[begin:end])


def looks_in(seen: Sequence[Sequence[Seen]], begin: int, end: int) -> float:
    return statistics.fmean(run.looks for runs in seen for run in runs[begin:end])


def cells(row: Row) -> list[str]:
    def times(other: Point) -> str:
        ratio, off = row.times(other)
        places = 2 if ratio < 10 else 1
        return f"{other.lag:.2f} s, {ratio:.{places}f} ± {off:.{places}f} x"

    return [
        row.name,
        f"{row.ours.looks:.2f}",
        f"{row.ours.parameter:.3f}",
        f"{row.ours.lag:.3f} ± {confidence(row.ours.lags):.3f}",
        times(row.fixed),
        times(row.expo),
        "" if row.best is None else f"{row.best:.2f} s",
        f"{row.cold:.2f} x",
        f"{row.warming:.2f} x at {row.warming_looks:.2f} x",
    ]


HEAD = [
    *("runs take", "looks", "knob s", "lag s", "fixed interval", "expo, full jitter"),
    *("best possible", "runs 1-5", "runs 6-20"),
]


def table(rows: Sequence[Row]) -> str:
    lines = [HEAD, ["---"] * len(HEAD), *map(cells, rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def defaults(seeds: int) -> str:
    """What schedules make of the main distributions as they come."""
    schedules: dict[str, Schedule] = {
        "every 1 s": fixed(1),
        "every 5 s": fixed(5),
        "every 30 s": fixed(30),
        "expo, full jitter, cap 30 s": expo(30),
        "databricks-sdk": databricks,
        "google-api-core": google,
    }
    lines = [["looks, lag", *MAIN], ["---"] * (len(MAIN) + 1)]
    workflows = [workflows_of(name, seeds) for name in MAIN]
    for name, schedule in schedules.items():
        points = [play(schedule, runs) for runs in workflows]
        lines.append([name, *(f"{p.looks:.1f}, {p.lag:.2f} s" for p in points)])
    for knob in (0.1, 0.5, 2.0):
        points = [
            mean(knob, [learn(knob, run)[WARM:] for run in runs]) for runs in workflows
        ]
        shown = (f"{p.looks:.1f}, {p.lag:.2f} s" for p in points)
        lines.append([f"learned, knob {knob:g} s", *shown])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


WIDTH, HEIGHT, LEFT, TOP, GAP = 250, 230, 52, 64, 54
FEWEST, MOST = 2.0, 32.0  # looks in the picture
STYLE = """
text { font: 12px system-ui, sans-serif; fill: #1f2328 }
.small { font-size: 11px; fill: #59636e }
.title { font-weight: 600 }
.grid { stroke: #d1d9e0; stroke-width: 1 }
path { fill: none; stroke-width: 2; stroke-linejoin: round }
.learned { stroke: #0969da; stroke-width: 3 }
.fixed { stroke: #59636e }
.expo { stroke: #bc4c00 }
.best { stroke: #1a7f37; stroke-dasharray: 4 4 }
.mark { fill: #8250df; stroke: none }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc } .small { fill: #9198a1 } .grid { stroke: #3d444d }
  .learned { stroke: #58a6ff } .fixed { stroke: #9198a1 } .expo { stroke: #f0883e }
  .best { stroke: #3fb950 } .mark { fill: #bc8cff }
}
"""


class Panel(NamedTuple):
    """One distribution's place in the picture, both axes logarithmic."""

    left: float
    low: float
    high: float

    def place(self, looks: float, lag: float) -> tuple[float, float]:
        right = math.log(looks / FEWEST) / math.log(MOST / FEWEST)
        up = math.log(lag / self.low) / math.log(self.high / self.low)
        return self.left + WIDTH * right, TOP + HEIGHT * (1 - up)

    def inside(self, looks: float, lag: float) -> bool:
        return FEWEST <= looks <= MOST and self.low <= lag <= self.high

    def curve(self, kind: str, points: Sequence[tuple[float, float]]) -> str:
        places = (self.place(*point) for point in points if self.inside(*point))
        steps = " L".join(f"{x:.1f} {y:.1f}" for x, y in places)
        return f'<path class="{kind}" d="M{steps}"/>'

    def grid(self) -> Iterator[str]:
        bottom = TOP + HEIGHT
        for looks in (2, 4, 8, 16, 32):
            x, _ = self.place(looks, self.low)
            yield f'<path class="grid" d="M{x:.1f} {TOP}V{bottom}"/>'
            yield text(x, bottom + 16, f"{looks}", "small", "middle")
        for power in range(-2, 4):
            lag = 10.0**power
            if self.low <= lag <= self.high:
                _, y = self.place(FEWEST, lag)
                yield f'<path class="grid" d="M{self.left} {y:.1f}h{WIDTH}"/>'
                yield text(self.left - 6, y + 4, f"{lag:g} s", "small", "end")

    def mark(self, point: Point, words: str) -> Iterator[str]:
        if self.inside(point.looks, point.lag):
            x, y = self.place(point.looks, point.lag)
            yield f'<circle class="mark" cx="{x:.1f}" cy="{y:.1f}" r="4"/>'
            yield text(x + 7, y - 5, words, "small", "start")


def text(x: float, y: float, words: str, kind: str, anchor: str) -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text class="{kind}" {place}>{words}</text>'


def panel(number: int, name: str, seeds: int) -> Iterator[str]:
    workflows = workflows_of(name, seeds)
    others = scanned(workflows)
    knobs = [3e-4 * 2.3**n for n in range(16)]
    ours = [mean(k, [learn(k, run)[WARM:] for run in workflows]) for k in knobs]
    spread = true_spread(name)
    ideal = [cost_of(spread, knob * 1.5**n) for n in (0, 1) for knob in knobs]
    curves = {
        "fixed": [(p.looks, p.lag) for p in others["fixed"]],
        "expo": sorted((p.looks, p.lag) for p in others["expo"]),
        "best": sorted(ideal),
        "learned": [(p.looks, p.lag) for p in ours],
    }
    low = 0.8 * min(lag for looks, lag in curves["best"] if looks <= MOST)
    high = 1.2 * max(p.lag for p in others["fixed"] if p.looks >= FEWEST)
    place = Panel(LEFT + number * (WIDTH + GAP), low, high)
    yield text(place.left, TOP - 12, name, "title", "start")
    yield from place.grid()
    for kind, points in curves.items():
        yield place.curve(kind, points)
    yield from place.mark(play(databricks, workflows), "databricks-sdk")
    yield from place.mark(play(google, workflows), "google-api-core")


def picture(seeds: int) -> str:
    width = LEFT + len(MAIN) * (WIDTH + GAP)
    box = f'xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} 350"'
    drawn = [
        f'<svg {box} role="img" aria-label="Lag over looks, for three kinds of runs">',
        f"<style>{STYLE}</style>",
    ]
    legend = {
        "learned": "learned",
        "fixed": "fixed interval",
        "expo": "expo, full jitter",
        "best": "best possible",
    }
    for at, (kind, words) in enumerate(legend.items()):
        x = LEFT + at * 160
        drawn += [
            f'<path class="{kind}" d="M{x} 20h28"/>',
            text(x + 36, 24, words, "", "start"),
        ]
    for number, name in enumerate(MAIN):
        drawn += panel(number, name, seeds)
    words = "mean looks a run (across) and mean lag (up), both logarithmic"
    drawn += [text(LEFT, TOP + HEIGHT + 42, words, "small", "start"), "</svg>"]
    return "\n".join(drawn) + "\n"


def cost_of_learning() -> str:
    """What learning and planning cost, in µs of CPU a run."""
    workflows = workflows_of(next(iter(MAIN)), 4)
    told = []
    for begin, end in ((COLD, 64), (64, RUNS)):
        spent = 0.0
        for runs in workflows:
            durations = Durations()
            for number, duration in enumerate(runs[:end]):
                began = time.process_time()
                durations.plan(0.5)
                durations.learn(duration * 0.9, duration)
                spent += (time.process_time() - began) * (number >= begin)
        cost = spent / len(workflows) / (end - begin) * 1e6
        told.append(f"runs {begin + 1} to {end}: {cost:.0f} µs a run")
    return "learning and planning, " + "; ".join(told)


def write(tables: str, seeds: int) -> None:
    (DOCS / "frontier.svg").write_text(picture(seeds), encoding="utf-8")
    page = DOCS / "polling.md"
    begin, end = "<!-- measured -->\n", "<!-- end of measured -->"
    before, _, rest = page.read_text(encoding="utf-8").partition(begin)
    after = rest.partition(end)[2]
    page.write_text(f"{before}{begin}\n{tables}\n\n{end}{after}", encoding="utf-8")


def main(*, quick: bool, to_docs: bool) -> None:
    seeds = 4 if quick else 20
    names = list(MAIN) if quick else [*MAIN, *OTHERS]
    tables = f"{table(list(compare(names, seeds)))}\n\n{defaults(seeds)}"
    print(tables)
    print(cost_of_learning())
    if to_docs:
        write(tables, seeds)


if __name__ == "__main__":
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--quick", action="store_true")
    words.add_argument("--write", action="store_true")
    chosen = words.parse_args()
    main(quick=chosen.quick, to_docs=chosen.write)
