"""Deadlines that outlive a process: points in time, by the wall clock, as text."""

from datetime import UTC, datetime, timedelta

from dpa_async.checks import is_number, refuse

_LONGEST = 1e9
"""Seconds: more than thirty years; what is added to a date has to be one, too."""


def check_deadline(name: str, value: object) -> None:
    """See that it is a time to wait: seconds, or a timedelta; or None.

    Args:
        name: What the argument is called.
        value: What was given.

    Raises:
        ConfigurationError: It is not.
    """
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if seconds is not None and not (is_number(seconds) and 0 <= seconds <= _LONGEST):
        refuse(
            name,
            f"is {value!r}: give seconds from 0 to {_LONGEST:g}, a timedelta of as "
            "much, or None",
        )


def deadline_from(seconds: float | timedelta | None) -> str | None:
    """Give when so many seconds will be over, in ISO form, by the wall clock."""
    if seconds is None:
        return None
    if not isinstance(seconds, timedelta):
        seconds = timedelta(seconds=seconds)
    return (datetime.now(UTC) + seconds).isoformat()


def seconds_left(deadline: str | None, *, least: float = 0.0) -> float | None:
    """Give the seconds until a deadline in ISO form; None: there is none.

    By the wall clock: the deadline was set by another machine.

    Args:
        deadline: What `deadline_from` gave.
        least: What is given where less is left.
    """
    if deadline is None:
        return None
    left = datetime.fromisoformat(deadline) - datetime.now(UTC)
    return max(left.total_seconds(), least)
