"""Killed at every point of a run's way into the journal: nothing twice, nothing lost.

Each scene is killed at one crossing of one point, mostly once more somewhere else, and
then goes on to the end. `DPA_KILL_SEEDS` says how many scenes there are of each
crossing; without it a few crossings of each point are tried (`nox -s soak` has all).
"""

import asyncio
import os
import random
import signal
from collections import Counter

from killing import World, workers

from dpa_async.journal import EntryState
from dpa_async.simulator import Fault, SimulatedWorkflow, Simulator

SEEDS = int(os.environ.get("DPA_KILL_SEEDS", "0"))
WORKERS, IN_FLIGHT = 4, 2
FOREIGN = 0.1  # seconds for which somebody else runs two of the workflows

REQUESTS = {"k0": "w0", "k1": "w1", "k2": "w2", "k3": "w3", "k4": "w3", "k5": "w5"}
BUSY, LOST, NEVER_RAN, FAILING = {"k0", "k5"}, "k1", "k2", frozenset({"k5"})

ABSENT, INTENDED, UNCERTAIN = "absent", EntryState.INTENDED, EntryState.UNCERTAIN
STARTED, FINISHED = EntryState.STARTED, EntryState.FINISHED

# Point: how often it is crossed at least, and what may then be journaled of the key.
POINTS = {
    "before intend": (6, {ABSENT}),
    "during intend": (6, {ABSENT, INTENDED}),
    "after intend": (6, {INTENDED}),
    "before the POST": (6, {INTENDED}),
    "POST out": (6, {INTENDED}),
    "answered": (5, {INTENDED}),
    "before started": (4, {INTENDED}),
    "during started": (4, {INTENDED, STARTED}),
    "after started": (4, {STARTED}),
    "before finished": (4, {STARTED}),
    "during finished": (4, {STARTED, FINISHED}),
    "after finished": (4, {FINISHED}),
    "before withdraw": (2, {INTENDED}),
    "during withdraw": (2, {INTENDED, ABSENT}),
    "after withdraw": (2, {ABSENT}),
    "before uncertain": (2, {INTENDED}),
    "during uncertain": (2, {INTENDED, UNCERTAIN}),
    "after uncertain": (2, {UNCERTAIN}),
}


def of(key):
    text = f'"{key}"'.encode()
    return lambda request: text in request.body


def taken(platform, key):
    """Have somebody else be a little faster than the first execute of a key."""
    coming = [key]

    def where(request):
        if coming and of(key)(request):
            workflow = REQUESTS[coming.pop()]
            platform.platform.execute_as_other_user(workflow, platform.now(), FOREIGN)
        return False

    platform.faults.add("execute", Fault.latency(0), where=where)


def troubled_platform(point, rng):
    """A platform on which every point is crossed."""
    workflows = {
        name: SimulatedWorkflow(name, duration=(0.03, 0.08), fails=name == "w5")
        for name in REQUESTS.values()
    }
    platform = Simulator(workflows.values(), seed=rng.random())
    platform.faults.add("execute", Fault.answer_lost(), first=1, where=of(LOST))
    platform.faults.add("execute", Fault.reset(), first=1, where=of(NEVER_RAN))
    for key in BUSY:
        taken(platform, key)
    if point == "POST out":  # killed before it is carried out, or before it is answered
        late = rng.choice((Fault.latency, Fault.slow_answer))
        platform.faults.add("execute", late(0.03))
    return platform


def crossings():
    """What is killed: (point, n-th crossing, seed)."""
    for seed in range(max(SEEDS, 1)):
        for point, (times, _) in POINTS.items():
            yield from (
                (point, n, seed)
                for n in range(1, times + 1)
                if SEEDS or n in {1, times}
            )


async def killed_once(world, worker, kill):
    """Live a life that is to be killed; gives it, and who is in doubt after it."""
    before = await world.unknown()
    life = await worker.live(world.job(kill=kill))
    entries, unknown = await world.check_left_behind(life)
    if life.died == 0:  # there was no such crossing any more
        return life, unknown
    assert life.died == -signal.SIGKILL
    entry = entries.get(life.killed_at)
    state = ABSENT if entry is None else entry.state
    assert state in POINTS[kill[0]][1], (kill, life.killed_at, state)
    answer_lost = {LOST, NEVER_RAN} & life.posts
    assert len(unknown - before - answer_lost) <= IN_FLIGHT, "more than could be out"
    return life, unknown


async def scene(worker, path, point, n, seed):
    """Be killed, again and to the end; gives how often it was killed."""
    rng = random.Random(f"{point} {n} {seed}")
    async with troubled_platform(point, rng) as platform:
        world = World(platform, path, REQUESTS, IN_FLIGHT)
        life, unknown = await killed_once(world, worker, (point, n, seed))
        assert life.killed_at is not None, "it was never there"
        other = rng.choice(tuple(POINTS))
        again, unknown = await killed_once(world, worker, (other, 1, seed))
        rest = await worker.live(world.job())
        while rest.uncertain:
            newly_lost = {LOST, NEVER_RAN} & rest.posts  # which it is only once
            assert unknown <= rest.uncertain <= unknown | newly_lost
            assert all(rest.outcomes[key]["names"] == key for key in rest.uncertain)
            await world.settle(rest.uncertain)
            unknown = set()
            rest = await worker.live(world.job())
        world.check_complete(rest, FAILING)
        async with world.runner() as (_, journal):
            assert list(journal.unfinished()) == []
    return [at for at, died in ((point, life.died), (other, again.died)) if died]


def test_killed_at_every_point(tmp_path):
    kills = Counter()

    async def lane(free, scenes):
        worker = await free.get()
        for number, (point, n, seed) in scenes:
            path = tmp_path / f"{number}.journal"
            try:
                kills.update(await scene(worker, path, point, n, seed))
            except BaseException as error:
                error.add_note(f"killed at {point!r}, crossing {n}, seed {seed}")
                raise

    async def main():
        scenes = iter(enumerate(crossings()))  # all lanes take from it
        async with workers(WORKERS) as free, asyncio.TaskGroup() as group:
            for _ in range(WORKERS):
                group.create_task(lane(free, scenes))

    asyncio.run(main())
    assert kills.keys() == POINTS.keys()
    assert kills.total() >= (200 if SEEDS > 1 else 50)
