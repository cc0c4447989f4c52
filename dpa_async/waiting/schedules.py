"""When to look at a run: the policy, and the schedule that it makes."""

import random
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import lru_cache
from itertools import count
from typing import Any, Literal, TypeAlias

import attrs
import backoff
from attrs import field, frozen

from dpa_async.checks import check_number, refuse
from dpa_async.errors import ConfigurationError

WaitGenerator: TypeAlias = Callable[[], Generator[float | None, Any, None]]
"""What makes a backoff wait generator: `backoff.fibo`, or a `functools.partial`."""

_LONGEST_GROWTH = 1_000
_STRETCH = 10


def spread(interval: float) -> float:
    """Jitter: give the interval, 10 % more or less, so that runs drift apart."""
    return interval * random.uniform(0.9, 1.1)  # noqa: S311 - no secret hangs on it


def _in_range(low: float) -> Callable[[object, "attrs.Attribute[Any]", object], None]:
    def check(_: object, attribute: "attrs.Attribute[Any]", value: object) -> None:
        check_number(attribute.name, value, least=low)

    return check


def _word(_: object, attribute: "attrs.Attribute[Any]", value: object) -> None:
    if value not in ("wait", "raise"):
        refuse(attribute.name, f'is {value!r}: give "wait" or "raise"')


def _mode(_: object, attribute: "attrs.Attribute[Any]", value: object) -> None:
    if value not in ("auto", "always", "never"):
        refuse(attribute.name, f'is {value!r}: give "auto", "always" or "never"')


def _hold(_: object, attribute: "attrs.Attribute[Any]", value: object) -> None:
    if value is not None and value != "auto":
        check_number(attribute.name, value, least=1)


def _callable(_: object, attribute: "attrs.Attribute[Any]", value: object) -> None:
    if not callable(value):
        refuse(attribute.name, f"is {value!r}: give a function")


@frozen(kw_only=True)
class WaitPolicy:
    """When a run is looked at, and when waiting is given up.

    The n-th interval is `first_look * multiplier**n` seconds, at most `maximum`; each
    is jittered, and never under `minimum`.

    Attributes:
        first_look: Seconds from the execute's answer to the first look.
        multiplier: How much longer each interval is than the one before; 1 or more.
        maximum: The longest interval, in seconds.
        minimum: The shortest interval, in seconds; 0.01 or more.
        jitter: Makes of an interval the one that is slept: any of backoff's jitters.
        wait_gen: Gives the intervals instead: any of backoff's wait generators, called
            without arguments, once per run.
        adaptive: Whether workflows whose runs are known by now (five of them) are
            looked at when these tend to end, instead of by the plain schedule.
        lag_per_look: The seconds of lag that one look is worth there; four times as
            much makes half the looks, and twice the lag.
        sweep: Whether one list of all workflows, now and then, saves the looks at those
            that it shows running: "auto" where that costs less, "always" or "never".
        sync_wait: Seconds for which the answer to an execute is held back until the run
            is over, so that a short one takes no looks but the last; "auto" where the
            workflow's runs are known to be short; None: no answer is.
        safety_interval: The longest interval, in seconds, of a run whose end a callback
            will tell of, where the intervals are ten times as long; of one whose
            workflow is known; and the only one of a run that lists show running.
        max_silence: Seconds in which every look failed, after which a run is
            unreachable.
        on_suspended: Whether a suspended run is waited for, or raises.

    Raises:
        ConfigurationError: A value is out of its range.
    """

    first_look: float = field(default=0.5, validator=_in_range(0))
    multiplier: float = field(default=1.5, validator=_in_range(1))
    maximum: float = field(default=15.0, validator=_in_range(0.01))
    minimum: float = field(default=0.05, validator=_in_range(0.01))
    jitter: Callable[[float], float] = field(default=spread, validator=_callable)
    wait_gen: WaitGenerator | None = field(
        default=None, validator=attrs.validators.optional(_callable)
    )
    adaptive: bool = True
    lag_per_look: float = field(default=0.5, validator=_in_range(0.001))
    sweep: Literal["auto", "always", "never"] = field(default="auto", validator=_mode)
    sync_wait: float | Literal["auto"] | None = field(default=None, validator=_hold)
    safety_interval: float = field(default=60.0, validator=_in_range(0.01))
    max_silence: float = field(default=300.0, validator=_in_range(0))
    on_suspended: Literal["wait", "raise"] = field(default="wait", validator=_word)


def schedule(policy: WaitPolicy) -> Iterator[float]:
    """Give the seconds before each look, without end, none under the minimum."""
    if policy.wait_gen is not None:
        return _generated(policy, policy.wait_gen)
    return (plain_interval(policy, step) for step in count())


def plain_interval(policy: WaitPolicy, step: int, *, has_alarm: bool = False) -> float:
    """Give the seconds before a look of the plain schedule.

    Args:
        policy: What it comes from.
        step: How many looks there were before.
        has_alarm: Whether something else will tell that it is time: this one then only
            makes sure.

    Raises:
        ConfigurationError: The policy's jitter raised.
    """
    growth = _growth_of(policy)
    interval = growth[min(step, len(growth) - 1)]
    if has_alarm:
        interval = max(interval, min(interval * _STRETCH, policy.safety_interval))
    return _jittered(policy, interval)


def safety_interval(policy: WaitPolicy) -> float:
    """Give the seconds before a look that only makes sure.

    Raises:
        ConfigurationError: The policy's jitter raised.
    """
    return _jittered(policy, policy.safety_interval)


def plain_step(policy: WaitPolicy, elapsed: float) -> int:
    """Tell how many looks the plain schedule takes in so many seconds."""
    slept = 0.0
    growth = _growth_of(policy)
    for step, interval in enumerate(growth):
        slept += interval
        if slept > elapsed:
            return step
    return len(growth)


def _jittered(policy: WaitPolicy, interval: float) -> float:
    try:
        return max(policy.minimum, policy.jitter(interval))
    except Exception as error:  # noqa: BLE001 - the user's code
        problem = f"raised {type(error).__name__}: {error}"
    return refuse("the wait policy", problem)


def _growth_of(policy: WaitPolicy) -> Sequence[float]:
    # From 0 it would never grow.
    first = max(policy.first_look, policy.minimum)
    return _growth(first, policy.multiplier, policy.maximum)


@lru_cache(maxsize=64)
def _growth(first: float, multiplier: float, maximum: float) -> Sequence[float]:
    """Give `backoff.expo`'s intervals up to the longest; a thousand at the most."""
    growth: list[float] = []
    for interval in _expo(first, multiplier, maximum):
        if interval is not None:  # backoff 2 is primed by a first None
            growth.append(interval)
            if interval >= maximum or len(growth) == _LONGEST_GROWTH:
                break
    return growth


def _expo(first: float, multiplier: float, maximum: float) -> Iterable[float | None]:
    return backoff.expo(base=multiplier, factor=first, max_value=maximum)


def _generated(policy: WaitPolicy, wait_gen: WaitGenerator) -> Iterator[float]:
    latest = policy.maximum
    with suppress(OverflowError):  # where a generator without a maximum ends
        for number, interval in enumerate(wait_gen()):
            if interval is None and number == 0:  # backoff 2 is primed by a first None
                continue
            latest = latest if interval is None else interval
            yield max(policy.minimum, policy.jitter(latest))
    while True:  # a generator that ends goes on with its last interval
        yield max(policy.minimum, policy.jitter(latest))


def next_interval(intervals: Iterator[float]) -> float:
    """Give the seconds before the next look.

    Raises:
        ConfigurationError: The policy's generator or jitter raised.
    """
    try:
        return next(intervals)
    except ConfigurationError:
        raise
    except Exception as error:  # noqa: BLE001 - the user's code
        problem = f"raised {type(error).__name__}: {error}"
    return refuse("the wait policy", problem)
