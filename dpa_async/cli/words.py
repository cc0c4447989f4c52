"""Words of the command line that have a form of their own; a wrong one is usage."""

from typing import Annotated, TypeAlias

from cyclopts import Parameter, validators

from dpa_async.models import RunRef


def _check_ref(_: object, text: str | None) -> None:
    """See that it is a run's reference, where one is given.

    Raises:
        ValueError: It is none.
    """
    if text is not None:
        _ = RunRef.parse(text)


def _check_pairs(_: object, pairs: "tuple[str, ...]") -> None:
    """See that each is NAME=VALUE.

    Raises:
        ValueError: One is not.
    """
    for pair in pairs:
        name, equals, _value = pair.partition("=")
        if not (name and equals):
            msg = f"{pair!r} is not NAME=VALUE"
            raise ValueError(msg)


def _check_seconds(_: object, seconds: float | None) -> None:
    """See that it is a time to wait.

    Raises:
        ValueError: It is negative, or no number.
    """
    if seconds is not None and not seconds >= 0:
        msg = "give seconds, 0 or more"
        raise ValueError(msg)


Count: TypeAlias = Annotated[int, Parameter(validator=validators.Number(gte=1))]
Ref: TypeAlias = Annotated[str, Parameter(validator=_check_ref)]
Timeout: TypeAlias = Annotated[float | None, Parameter(validator=_check_seconds)]
Pairs: TypeAlias = Annotated[
    tuple[str, ...],
    Parameter(
        name=("--param", "-p"),
        validator=_check_pairs,
        negative="",
        show_default=False,
    ),
]
