"""A schedule that learned from a workflow's past runs when its runs end."""

from collections.abc import Callable, Generator, Iterable

from dpa_async.waiting.durations import Durations


def adaptive(
    durations: Durations,
    *,
    lag_per_look: float,
    minimum: float,
    maximum: float,
    fallback: Callable[[], Iterable[float | None]],
    elapsed: Callable[[], float] | None = None,
) -> Generator[float | None, None, None]:
    """Give the seconds before each look at one run: a backoff wait generator.

    Its first value is None, as backoff's own have it; it never ends, and takes no
    jitter: that would only move looks from where they are best.

    Args:
        durations: What is known of the workflow's runs. Under five runs, the intervals
            are the fallback's, and nothing but these.
        lag_per_look: The seconds of lag that one look is worth: the one knob. Four
            times as much makes about half the looks, and twice the lag.
        minimum: The shortest interval, in seconds.
        maximum: The longest interval, in seconds.
        fallback: Makes the schedule of a workflow that is not known yet.
        elapsed: Gives the seconds since the run's start, when an interval is asked for.
            Without it they are the intervals added up, which leaves out what the looks
            themselves take, and supposes that the first interval begins at the start.
    """
    plan = durations.plan(lag_per_look)
    if plan is None:
        yield from fallback()
        return
    yield None
    slept = 0.0
    while True:
        now = slept if elapsed is None else elapsed()
        interval = min(max(plan.next_look(now) - now, minimum), maximum)
        slept = now + interval
        yield interval
