"""The rules that URLs and ids have to keep before a token may travel to them."""

import ipaddress
from collections.abc import Collection
from urllib.parse import SplitResult, quote, urlsplit

from dpa_async.checks import refuse

PLACEHOLDER = "{workflow_id}"
_DEFAULT_PORTS = {"http": 80, "https": 443}


def origin(url: str) -> str:
    """Give scheme, host and port of a checked URL, default ports left out."""
    parts = urlsplit(url)
    port = parts.port or _DEFAULT_PORTS[parts.scheme]
    host = f"[{parts.hostname}]" if ":" in str(parts.hostname) else parts.hostname
    shown = "" if port == _DEFAULT_PORTS[parts.scheme] else f":{port}"
    return f"{parts.scheme}://{host}{shown}"


def check_url(field: str, url: str, *, allow_http: bool) -> None:
    """See that a token may be sent to this URL.

    Raises:
        ConfigurationError: No scheme or host, user info, a blank or control character,
            or plain http to a host that is not loopback.
    """
    if not url:
        refuse(field, "is missing: give the platform's address, https://host:port")
    parts = _split(field, url)
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
        refuse(field, "needs http:// or https:// and a host in front")
    if "@" in parts.netloc:
        refuse(field, "has user info before the host: take it out")
    if any(char.isspace() or not char.isprintable() for char in url):
        refuse(field, "has a blank or a control character inside")
    if parts.scheme == "http" and not (allow_http or _is_loopback(parts)):
        refuse(
            field,
            "is plain http, which would show the token to the network: use https, or "
            "say allow_http=True",
        )


def checked_base_url(field: str, url: str, *, allow_http: bool) -> str:
    """Check an address that paths are appended to; gives it without its last slash.

    Raises:
        ConfigurationError: As `check_url`, or there is a query or a fragment.
    """
    check_url(field, url, allow_http=allow_http)
    parts = urlsplit(url)
    if parts.query or parts.fragment:
        refuse(field, "has a query or a fragment: give scheme, host, port and path")
    return origin(url) + parts.path.rstrip("/")


def checked_origin(field: str, url: str, *, allow_http: bool) -> str:
    """Check an address that stands for all of its paths.

    Raises:
        ConfigurationError: As `checked_base_url`, or there is a path.
    """
    checked = checked_base_url(field, url, allow_http=allow_http)
    if checked != origin(checked):
        refuse(field, "has a path: give scheme, host and port")
    return checked


def check_execute_url(
    field: str, url: str, *, base: str, origins: Collection[str], allow_http: bool
) -> None:
    """See that an execute URL, absolute or a path, leads to a known origin.

    Raises:
        ConfigurationError: It is neither, or the token would go somewhere else.
    """
    absolute = join(field, url, base=base)
    check_url(field, absolute, allow_http=allow_http)
    if urlsplit(absolute).fragment:
        refuse(field, "has a fragment, which is never sent: take it out")
    if origin(absolute) not in origins:
        refuse(
            field,
            f"leads to {origin(absolute)}, and the token would go there: list that in "
            "extra_origins if it is right",
        )


def check_proxy(field: str, url: str) -> None:
    """See that a proxy's URL has its credentials, if any, where they are not shown.

    Raises:
        ConfigurationError: It is not http(s)://[user:password@]host[:port].
    """
    parts = _split(field, url)
    rest = (parts.path.rstrip("/"), parts.query, parts.fragment)
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname or any(rest):
        refuse(
            field,
            "is not http(s)://host:port; in a user and password before the host, "
            "/ ? # @ and : are percent-encoded",
        )


def join(field: str, url: object, *, base: str) -> str:
    """Make an execute URL absolute: a path is appended to the base URL.

    Raises:
        ConfigurationError: It is neither absolute nor a path.
    """
    if isinstance(url, str) and url.startswith("/"):
        return base + url
    if not isinstance(url, str) or "://" not in url:
        refuse(field, "is neither a URL with a scheme nor a path that starts with /")
    return url


def segment(workflow_id: object) -> str:
    """Percent-encode an id so that it fills exactly one segment of a path.

    Raises:
        ConfigurationError: It is empty, "." or "..", or has a control character.
    """
    if isinstance(workflow_id, str) and workflow_id.isascii() and workflow_id.isalnum():
        return workflow_id  # as nearly all are
    # Unpaired surrogates are not printable either, so quote() cannot fail on them.
    if not isinstance(workflow_id, str) or not workflow_id.isprintable():
        refuse("workflow_id", f"is {workflow_id!r}: ids are text, and printable")
    if workflow_id in ("", ".", ".."):
        refuse("workflow_id", f"is {workflow_id!r}, which is no segment of a path")
    return quote(workflow_id, safe="")


def _split(field: str, url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        readable = parts.port != 0  # reading a port that is no number raises
    except ValueError:
        readable = False
    if not readable:
        refuse(field, "is not a URL")
    return urlsplit(url)


def _is_loopback(parts: SplitResult) -> bool:
    host = parts.hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
