"""What a field of the settings has to be, and how much of it is shown.

Every rule names the field that breaks it, and says what would be right.
"""

from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias, cast
from urllib.parse import urlsplit

import attrs

from dpa_async.checks import check_choice, check_count, check_number, refuse

_NOT_YOURS = frozenset(
    {
        "accept-encoding",
        "authorization",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "host",
        "transfer-encoding",
    }
)
_LEAST = 1e-3

_Attribute: TypeAlias = "attrs.Attribute[Any]"
_Validator: TypeAlias = Callable[[Any, _Attribute, Any], None]


def above_zero(_: object, attribute: _Attribute, value: object) -> None:
    """See that it is a number, finite and not so small that it is nothing."""
    check_number(attribute.name, value, least=_LEAST)


def whole(_: object, attribute: _Attribute, value: object) -> None:
    """See that it is a whole number of 1 or more."""
    check_count(attribute.name, value)


def or_none(check: _Validator) -> _Validator:
    """See that it keeps the rule, or is None."""
    return attrs.validators.optional(check)


def among(*words: str) -> _Validator:
    """See that it is one of these words."""

    def check(_: object, attribute: _Attribute, value: object) -> None:
        check_choice(attribute.name, value, *words)

    return check


def instance(words: str, *kinds: type) -> _Validator:
    """See that it is of one of these types; the words say what to give."""

    def check(_: object, attribute: _Attribute, value: object) -> None:
        if not isinstance(value, kinds):
            refuse(attribute.name, f"is of type {type(value).__name__}: give {words}")

    return check


def is_callable(_: object, attribute: _Attribute, value: object) -> None:
    """See that it can be called."""
    if not callable(value):
        refuse(attribute.name, f"is {value!r}: give a function")


def list_of(words: str, kind: type) -> _Validator:
    """See that it is a collection, and all in it of this very type."""

    def check(_: object, attribute: _Attribute, value: object) -> None:
        items = cast("Collection[object]", value)
        listed = isinstance(value, Collection) and not isinstance(value, str)
        if not listed or any(type(item) is not kind for item in items):
            refuse(attribute.name, f"is no list of {words}: give one")

    return check


def fixed(value: object) -> Any:  # noqa: ANN401 - the validator comes after
    """Copy a mapping: what was checked stays so, whoever holds the original."""
    if not isinstance(value, Mapping):
        return value
    return MappingProxyType({**cast("Mapping[object, object]", value)})


def trimmed(value: object) -> Any:  # noqa: ANN401 - the validator comes after
    """Take the blanks around it off: files and variables end in a line's end."""
    return value.strip() if isinstance(value, str) else value


def credential(_: object, attribute: _Attribute, value: object) -> None:
    """Refuse a secret that cannot be one; the message never shows it."""
    if not isinstance(value, str) or not value:
        refuse(attribute.name, "is missing: it is in the platform's security centre")
    if any(char.isspace() or not char.isprintable() for char in value):
        refuse(attribute.name, "has a blank inside: copy it again, in one piece")


def shown_url(url: str | None) -> str:
    """Show a URL without what could be secret in it: user info and query."""
    if url is None:
        return "None"
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return repr(parts._replace(netloc=host, query="", fragment="").geturl())


def shown_urls(value: str | Mapping[str, str]) -> str:
    """Show a template as a URL; of a mapping, how many it has."""
    if isinstance(value, str):
        return shown_url(value)
    return f"<of {len(value)} workflows>"


def check_headers(headers: Mapping[Any, object]) -> None:
    """See that further headers are text, fit to be sent, and not the library's own.

    Raises:
        ConfigurationError: One is not; its value is not shown.
    """
    for name, value in headers.items():
        if not (isinstance(name, str) and isinstance(value, str)):
            refuse("headers", f"has {name!r}, which is not text to text")
        if name.lower() in _NOT_YOURS:
            refuse("headers", f"has {name!r}, which the library sets itself")
        if not (name + value).isprintable() or not name:
            refuse("headers", f"has a control character at {name!r}")
