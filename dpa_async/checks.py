"""Checks of arguments and settings: bad input is told before anything is sent."""

import re
from types import UnionType
from typing import NoReturn, TypeGuard

from dpa_async.errors import ConfigurationError

_PATH = re.compile(r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+")
_MOST = 1e12  # finite enough for seconds and counts, and for a float


def refuse(name: object, words: str) -> NoReturn:
    """Say which argument or field is wrong, and what would be right.

    Raises:
        ConfigurationError: Always.
    """
    msg = f"{name} {words}"
    raise ConfigurationError(msg)


def is_number(value: object) -> TypeGuard[float]:
    """Tell whether it is a number; True and False are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def check_number(name: str, value: object, *, least: float) -> None:
    """See that it is a finite number of at least so much.

    Raises:
        ConfigurationError: It is not.
    """
    if not is_number(value) or not least <= value <= _MOST:
        refuse(name, f"is {value!r}: give a finite number of {least:g} or more")


def check_choice(name: str, value: object, *choices: str) -> None:
    """See that it is one of these words.

    Raises:
        ConfigurationError: It is not.
    """
    if value not in choices:
        refuse(name, f"is {value!r}: give one of {', '.join(map(repr, choices))}")


def check_type(name: str, value: object, kind: type | UnionType) -> None:
    """See that it is of this type.

    Raises:
        ConfigurationError: It is not.
    """
    if not isinstance(value, kind):
        wanted = getattr(kind, "__name__", kind)
        refuse(name, f"is {type(value).__name__}: give {wanted}")


def check_text(name: str, value: object) -> None:
    """See that it is a text of at least one character, and that UTF-8 can hold it.

    Raises:
        ConfigurationError: It is not.
    """
    check_type(name, value, str)
    text = str(value)
    if not text:
        refuse(name, "is empty: give a text")
    if text.encode("utf-8", "ignore").decode() != text:
        refuse(name, "holds half a character (an unpaired surrogate)")


def check_callable(name: str, value: object) -> None:
    """See that it can be called.

    Raises:
        ConfigurationError: It cannot.
    """
    if not callable(value):
        refuse(name, f"is {type(value).__name__}: give what is to be called")


def check_path(name: str, value: object, *, such_as: str) -> None:
    """See that it is a path of a URL that needs no quoting.

    Raises:
        ConfigurationError: It is not.
    """
    check_type(name, value, str)
    if not _PATH.fullmatch(str(value)):
        refuse(name, f"is {value!r}: give one such as {such_as}")


def check_count(name: str, value: object) -> None:
    """See that it is a whole number of 1 or more.

    Raises:
        ConfigurationError: It is not.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        refuse(name, f"is {value!r}: give a whole number of 1 or more")
