"""Checks of what brokers, tasks and requests are made of, before anything is sent."""

from dpa_async.checks import check_type, refuse


def check_name(name: str, value: object) -> None:
    """See that it is a text of at least one character, and that UTF-8 can hold it.

    Raises:
        ConfigurationError: It is not.
    """
    check_type(name, value, str)
    if not isinstance(value, str) or not value:
        refuse(name, "is empty: give a text")
    try:
        value.encode()
    except UnicodeEncodeError:
        refuse(name, "holds half a character (an unpaired surrogate)")


def check_maker(name: str, value: object) -> None:
    """See that it can be called, to make something in each worker.

    Raises:
        ConfigurationError: It cannot.
    """
    if not callable(value):
        refuse(name, f"is {type(value).__name__}: give what is to be called")
