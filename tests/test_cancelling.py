"""Half of a thousand waiters cancelled at once, at any tick; in virtual time.

A tick is one turn of the event loop. `DPA_TICKS` says how many of a scene's ticks are
tried, spread over all of it; `nox -s soak` tries 300 of each of the two scenes.
"""

import asyncio
import os
import random
from collections import Counter

import pytest
from attrs import define, field

from dpa_async import DPAClient, Limits, Runner, RunRequest, run_and_wait, run_many
from dpa_async.events import Ended, OutputsRead, Submitted
from dpa_async.simulator import MemorySimulator, SimulatedWorkflow
from dpa_async.simulator.virtual_time import VirtualTimeLoop

TICKS = int(os.environ.get("DPA_TICKS", "12"))

WORKFLOWS = 50
SHARED, RESULTS, EVENTS = 20, 630, 290  # runs, and who waits for them
HOPELESS = 20  # who wait for a run without end: always among those cancelled
ALONE = 40  # run_and_wait, behind the shared runs and each other
BATCHES, IN_A_BATCH = 20, 2
WAITERS = RESULTS + EVENTS + HOPELESS + ALONE + BATCHES

SCENES = {
    "few_places": Limits(reads_in_flight=6, submissions_in_flight=3),
    "paced": Limits(requests_per_second=200.0, submissions_in_flight=3),
}


ENDLESS = SimulatedWorkflow("endless", duration=float("inf"))


class CountedLoop(VirtualTimeLoop):
    """Counts its turns, and calls something ahead of one of them."""

    ticks = 0
    at_tick = None  # (ticks from now, what is called)

    def _run_once(self):
        self.ticks += 1
        if self.at_tick is not None and self.ticks == self.at_tick[0]:
            self.at_tick[1]()
        super()._run_once()


@define
class Scene:
    """A runner, those who wait, and what was seen."""

    client: DPAClient
    runner: Runner
    seen: list = field(factory=list)
    batches: list = field(factory=list)
    hopeless: list = field(factory=list)
    waiters: dict = field(factory=dict)  # task: what it has to give

    def wait(self, work, expected):
        waiter = asyncio.create_task(work)
        self.waiters[waiter] = expected
        return waiter

    async def populate(self, rng):
        runs = [
            await self.runner.start(f"w{n}", {"n": f"shared {n}"})
            for n in range(SHARED)
        ]
        works = [(self.by_result, rng.choice(runs)) for _ in range(RESULTS)]
        works += [(self.by_events, rng.choice(runs)) for _ in range(EVENTS)]
        works += [(self.by_itself, n) for n in range(ALONE)]
        works += [(self.by_batch, n) for n in range(BATCHES)]
        rng.shuffle(works)
        for work, what in works:
            work(rng, what)
        endless = await self.runner.start(ENDLESS.id, {"n": "endless"})
        for work in [self.by_result, self.by_events] * (HOPELESS // 2):
            self.hopeless.append(work(rng, endless))

    def half(self, rng):
        others = [waiter for waiter in self.waiters if waiter not in self.hopeless]
        return [*self.hopeless, *rng.sample(others, WAITERS // 2 - HOPELESS)]

    def by_result(self, rng, run):
        run = rng.choice([run, self.runner.attach(str(run.ref))])
        timeout = rng.choice([None, 1e4])
        return self.wait(outputs_of(run.result(timeout=timeout)), [run_number(run)])

    def by_events(self, _, run):
        return self.wait(followed(run), [run_number(run)])

    def by_itself(self, rng, n):
        timeout = rng.choice([None, 1e4])
        n, workflow_id = f"alone {n}", f"w{n % SHARED}"
        work = run_and_wait(self.runner, workflow_id, {"n": n}, timeout=timeout)
        self.wait(outputs_of(work), [n])

    def by_batch(self, rng, n):
        numbers = [f"batch {n} {m}" for m in range(IN_A_BATCH)]
        requests = [
            RunRequest(f"w{rng.randrange(WORKFLOWS)}", {"n": number}, timeout=1e4)
            for number in numbers
        ]
        batch = run_many(
            self.runner, requests, concurrency=rng.randint(1, 2), ordered=True
        )
        waiter = self.wait(drained(batch), numbers)
        self.batches.append((waiter, batch, batch.places._value))


async def outputs_of(work):
    return [(await work).outputs.json("echo")["n"]]


async def followed(run):
    events = [event async for event in run.events()]
    assert {event.ref for event in events} == {run.ref}
    assert [type(event) for event in events[-2:]] == [Ended, OutputsRead]
    return [events[-1].outputs.json("echo")["n"]]


async def drained(batch):
    async with batch:
        return [o.result.outputs.json("echo")["n"] async for o in batch]


def run_number(run):
    return f"shared {run.ref.workflow_id[1:]}"


def nothing_is_left(scene, before):
    """See that all that can be counted is what it was before anybody waited."""
    loop = asyncio.get_running_loop()
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert [timer for timer in loop._scheduled if not timer.cancelled()] == []
    assert counted(scene) == before
    for waiter, batch, places in scene.batches:
        assert not batch._items
        # The places of a batch that was closed are nobody's any more.
        assert waiter.cancelled() or batch.places._value == places


def counted(scene):
    starter = scene.runner._starter
    here = starter._here
    limiter = scene.client._transport._limiter
    return {
        "lanes": dict(starter._lanes),
        "ready": dict(starter._ready._queues),
        "slots": starter._slots,
        "waits": len(here.watch),
        "due": len(here.watch._due),
        "looks": here.watch._free,
        "tasks": len(here.owner),
        "streams": dict(here.announce._streams),
        "batches": list(scene.runner._dependants),
        "places": {name: s._value for name, s in limiter._places.items()},
        "queued": sum(map(len, limiter.pace._queues.values())),
        "listed": len(starter._listing._waiters),
    }


def everybody_else_is_unharmed(scene, platform, victims):
    runs = platform.platform.runs.values()
    times = Counter(run.params["n"] for run in runs)
    assert set(times.values()) == {1}
    assert platform.platform.requests["execute"] == len(runs)  # nobody was refused
    for waiter, expected in scene.waiters.items():
        if waiter.cancelled():
            assert waiter in victims
        else:
            assert waiter.result() == expected
            assert times.keys() >= set(expected)
    # No run is lost: each was told of, and is open until it was seen to end.
    refs = {e.ref for e in scene.seen if isinstance(e, Submitted)}
    assert {ref.run_id for ref in refs} == set(platform.platform.runs)
    over = {e.ref for e in scene.seen if isinstance(e, Ended)}
    assert set(scene.runner.open_runs) == refs - over


async def play(loop, limits, half, cancel_at):
    """Give how many ticks it took; at one of them half of all who wait is cancelled."""
    rng = random.Random(0)
    random.seed(0)  # the jitter's
    platform = MemorySimulator(duration=(0.2, 4.0))
    platform.platform.add_workflow(ENDLESS)
    settings = platform.settings(limits=limits)
    async with DPAClient(settings, backend=platform) as client:
        seen = []
        async with Runner(client, observers=[seen.append]) as runner:
            scene = Scene(client, runner, seen)
            before = counted(scene)
            await scene.populate(rng)
            assert len(scene.waiters) == WAITERS
            victims = scene.half(random.Random(half))
            began = loop.ticks
            if cancel_at is not None:
                at = began + 1 + cancel_at
                loop.at_tick = (at, lambda: [v.cancel() for v in victims])
            await asyncio.wait(set(scene.waiters) - set(scene.hopeless))
            ticks = loop.ticks - began
            for waiter in scene.hopeless:
                waiter.cancel()
            await asyncio.sleep(60)  # what was under way is finished
            everybody_else_is_unharmed(scene, platform, victims)
            nothing_is_left(scene, before)
    await platform.aclose()
    assert asyncio.all_tasks() == {asyncio.current_task()}
    return ticks, sum(waiter.cancelled() for waiter in scene.waiters) - HOPELESS


def run(limits, half=0, cancel_at=None):
    # Never in debug mode, which counts the same and takes many times as long.
    with asyncio.Runner(debug=False, loop_factory=CountedLoop) as runner:
        return runner.run(play(runner.get_loop(), limits, half, cancel_at))


@pytest.mark.parametrize("scene", SCENES)
def test_any_half_of_1000_waiters_is_cancelled_at_any_tick(scene):
    ticks, cancelled = run(SCENES[scene])
    assert cancelled == 0
    rng = random.Random(scene)
    harmed = 0
    for number in range(TICKS):  # the same runs each time, as far as to that tick
        at = rng.randrange(ticks * number // TICKS, ticks * (number + 1) // TICKS)
        _, cancelled = run(SCENES[scene], number, at)
        harmed += cancelled > 0
    assert harmed > TICKS // 2
