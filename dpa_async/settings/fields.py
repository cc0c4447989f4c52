"""`Settings`, `Limits` and `Dialect`: checked when they are made, frozen after.

A `ConfigurationError` names the field and says what would be right.
"""

import base64
import os
import ssl as tls
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, tzinfo
from typing import Any, Literal, NoReturn, Self, cast
from urllib.parse import unquote, urlsplit

import attrs
from attrs import field, frozen
from typing_extensions import override

from dpa_async.checks import refuse
from dpa_async.settings.rules import (
    above_zero,
    among,
    check_headers,
    credential,
    fixed,
    instance,
    is_callable,
    list_of,
    or_none,
    shown_url,
    shown_urls,
    trimmed,
    whole,
)
from dpa_async.settings.sources import read_environment, read_file
from dpa_async.settings.urls import (
    PLACEHOLDER,
    check_execute_url,
    check_proxy,
    checked_base_url,
    checked_origin,
    join,
    origin,
    segment,
)


@frozen(kw_only=True)
class Limits:
    """How much of the platform one client takes.

    Attributes:
        requests_per_second: At most so many requests start in any second; None: no
            limit.
        reads_in_flight: At most so many reads are under way at once.
        submissions_in_flight: At most so many executes are.
        held_in_flight: At most so many executes are whose answer is held (`sync_wait`).

    Raises:
        ConfigurationError: A value is out of its range.
    """

    requests_per_second: float | None = field(
        default=None, validator=or_none(above_zero)
    )
    reads_in_flight: int = field(default=64, validator=whole)
    submissions_in_flight: int = field(default=16, validator=whole)
    held_in_flight: int = field(default=64, validator=whole)


@frozen(kw_only=True)
class Dialect:
    """What the platform's document is silent about, with what is assumed.

    Attributes:
        flags: How `sync`, `second` and `paramFlag` travel: as the document's examples
            have them ("strings"), or as JSON's own types ("json").
        params: How parameter values that are not text travel: as they are ("json"), or
            as JSON in text ("strings").
        token_body: How the token request's body is written.
        busy_codes: Body codes that can mean "this workflow is running already".
        execute_reader: Turns the `data` of a foreign execute answer into
            `{"instanceId": ..., "modelId": ...}`; None: the shapes that are assumed.
        callback_reply: What a callback is answered with.
        list_all_body: The JSON body of listAll.
        timezone: The zone of listAll's times where their text names none.
        token_lifetime: Seconds a token lives where it does not say so itself.

    Raises:
        ConfigurationError: A value is out of its range.
    """

    flags: Literal["strings", "json"] = field(
        default="strings", validator=among("strings", "json")
    )
    params: Literal["strings", "json"] = field(
        default="json", validator=among("strings", "json")
    )
    token_body: Literal["form", "json"] = field(
        default="json", validator=among("form", "json")
    )
    busy_codes: Collection[int] = field(
        default=frozenset({999}), validator=list_of("body codes", int)
    )
    execute_reader: Callable[[object], object] | None = field(
        default=None, validator=or_none(is_callable)
    )
    callback_reply: str = field(default="SUCCESS", validator=instance("text", str))
    list_all_body: Mapping[str, object] = field(
        factory=dict[str, object], validator=instance("a mapping", Mapping)
    )
    timezone: tzinfo = field(default=UTC, validator=instance("a tzinfo", tzinfo))
    token_lifetime: float = field(default=1800.0, validator=above_zero)


@frozen(kw_only=True)
class Settings:
    """A deployment and our place in it; refuses to be pickled, for its secret.

    Attributes:
        base_url: The platform's address, with a path prefix where it has one.
        client_id: The application's id 「应用ID」: text, whatever it looks like.
        client_secret: The application's secret 「应用secret」; in no repr.
        scope: `"default"` or `"all"`.
        user_id: The platform's unique id of the user whose workflows are meant.
        auth_base_url: The address of the OAuth interfaces; None: `base_url`.
        execute_urls: A template with `{workflow_id}` in it, or a mapping of workflow
            id to URL; each absolute, or a path that is appended to `base_url`.
        request_timeout: Seconds for one request, from connecting to the last byte.
        connect_timeout: Seconds for name look-up, connecting and TLS of one request.
        max_body_bytes: The longest answer that is read.
        max_outputs_bytes: The longest answer that is read of a run's outputs.
        limits: How much of the platform one client takes.
        dialect: What the platform's document is silent about.
        headers: Further headers of every request, for gateways.
        ssl: An `ssl.SSLContext`, True for the usual checks, False for none at all.
        proxy: An HTTP proxy's URL.
        extra_origins: Further origins that execute URLs may lead to, token included.
        allow_http: Whether plain http may leave this machine.
        secrets: What of all this must never be shown; not an argument.

    Raises:
        ConfigurationError: A field cannot be right; the message names it.
    """

    # What is missing is told by us, with where to find it, and not by a TypeError.
    base_url: str = field(default="", validator=instance("an address", str))
    client_id: str = field(default="", converter=trimmed, validator=credential)
    client_secret: str = field(
        default="", repr=False, converter=trimmed, validator=credential
    )
    scope: str = field(default="default", validator=among("default", "all"))
    user_id: str | None = field(default=None, validator=or_none(instance("text", str)))
    auth_base_url: str | None = field(
        default=None, validator=or_none(instance("an address", str))
    )
    execute_urls: str | Mapping[str, str] = field(
        factory=dict[str, str],
        repr=shown_urls,
        converter=fixed,
        validator=instance("a template or a mapping of id to URL", str, Mapping),
    )
    request_timeout: float = field(default=30.0, validator=above_zero)
    connect_timeout: float = field(default=10.0, validator=above_zero)
    max_body_bytes: int = field(default=8 * 2**20, validator=whole)
    max_outputs_bytes: int = field(default=64 * 2**20, validator=whole)
    limits: Limits = field(factory=Limits, validator=instance("Limits(...)", Limits))
    dialect: Dialect = field(
        factory=Dialect, validator=instance("Dialect(...)", Dialect)
    )
    headers: Mapping[str, str] = field(
        factory=dict[str, str],
        repr=lambda h: f"{[*h]}",
        converter=fixed,
        validator=instance("a mapping of name to text", Mapping),
    )
    ssl: tls.SSLContext | bool = field(
        default=True,
        validator=instance("an SSLContext or a bool", tls.SSLContext, bool),
    )
    proxy: str | None = field(
        default=None, repr=shown_url, validator=or_none(instance("a URL", str))
    )
    extra_origins: Sequence[str] = field(
        default=(), validator=list_of("addresses", str)
    )
    allow_http: bool = field(default=False, validator=instance("a bool", bool))
    secrets: tuple[str, ...] = field(init=False, default=(), repr=False, eq=False)

    def __attrs_post_init__(self) -> None:
        """Normalise the addresses, then check what several fields say together."""
        for name in ("base_url", "auth_base_url"):
            url = getattr(self, name)
            if url is not None:
                url = checked_base_url(name, url, allow_http=self.allow_http)
                object.__setattr__(self, name, url)
        origins = tuple(
            checked_origin("extra_origins", url, allow_http=self.allow_http)
            for url in self.extra_origins
        )
        object.__setattr__(self, "extra_origins", origins)
        if self.proxy is not None:
            check_proxy("proxy", self.proxy)
        check_headers(self.headers)
        self._check_execute_urls()
        object.__setattr__(self, "secrets", _secrets_of(self))

    @classmethod
    def from_env(
        cls, environ: Mapping[str, str] | None = None, **arguments: object
    ) -> Self:
        """Read the `DPA_*` environment variables; arguments go before them.

        `DPA_BASE_URL`, `DPA_AUTH_BASE_URL`, `DPA_CLIENT_ID`, `DPA_CLIENT_SECRET`,
        `DPA_SCOPE`, `DPA_USER_ID` and `DPA_EXECUTE_URL` (the template).

        Raises:
            ConfigurationError: One that is needed is missing, or one cannot be right.
        """
        return cls._from({**read_environment(environ), **arguments})

    @classmethod
    def from_file(
        cls,
        path: str | os.PathLike[str],
        profile: str | None = None,
        *,
        environ: Mapping[str, str] | None = None,
        **arguments: object,
    ) -> Self:
        """Read a TOML file: fields as keys, and tables.

        `[workflows]` maps workflow ids to execute URLs, `[limits]`, `[dialect]` and
        `[headers]` are as the fields; `[profiles.NAME]` holds what differs there.
        Arguments go before the environment, and that before the file.

        Raises:
            ConfigurationError: The file cannot be read or used, it has no such profile,
                or a field cannot be right.

        Warns:
            UserWarning: The file holds a secret and others can read it.
        """
        known = [attribute.name for attribute in attrs.fields(cls) if attribute.init]
        values = read_file(path, profile, known)
        return cls._from({**values, **read_environment(environ), **arguments})

    def execute_url(self, workflow_id: str) -> str:
        """Give the absolute URL that executes this workflow.

        Raises:
            ConfigurationError: The id is no id, or no URL is known for it.
        """
        encoded = segment(workflow_id)
        if isinstance(self.execute_urls, str):
            url = self.execute_urls.replace(PLACEHOLDER, encoded)
        elif workflow_id in self.execute_urls:
            url = self.execute_urls[workflow_id]
        else:
            refuse(
                "execute_urls",
                f"has no URL for workflow {workflow_id!r}: copy it from the API button "
                "「API按钮」 of the workflow's card, and put it into execute_urls, "
                "DPA_EXECUTE_URL or the file's [workflows]",
            )
        return join("execute_urls", url, base=self.base_url)

    @override
    def __reduce__(self) -> NoReturn:
        msg = "Settings hold a secret and are not pickled: read them again over there"
        raise TypeError(msg)

    @classmethod
    def _from(cls, arguments: Mapping[str, object]) -> Self:
        values = dict(arguments)
        for name, kind in (("limits", Limits), ("dialect", Dialect)):
            if isinstance(values.get(name), dict):
                values[name] = _table(name, kind, cast("dict[str, Any]", values[name]))
        return cls(**cast("dict[str, Any]", values))

    def _check_execute_urls(self) -> None:
        if isinstance(self.execute_urls, str):
            # Two ids, one origin: the id stands where it cannot choose the host.
            samples = [
                self.execute_urls.replace(PLACEHOLDER, sample)
                for sample in ("a.example", "b.example")
            ]
            if samples[0] == samples[1]:
                refuse(
                    "execute_urls",
                    f"needs {PLACEHOLDER} where the id stands, since every "
                    "workflow has a URL of its own; or give a mapping of id to URL",
                )
            urls_by_field = {"execute_urls": samples}
        else:
            urls_by_field = {
                f"execute_urls[{key!r}]": [url]
                for key, url in self.execute_urls.items()
            }
        origins = {origin(self.base_url), *self.extra_origins}
        for name, candidates in urls_by_field.items():
            for url in candidates:
                check_execute_url(
                    name,
                    url,
                    base=self.base_url,
                    origins=origins,
                    allow_http=self.allow_http,
                )


def _secrets_of(settings: Settings) -> tuple[str, ...]:
    """Give the secret, the gateways' headers, and the proxy's credentials."""
    user_info, at, _ = urlsplit(settings.proxy or "").netloc.rpartition("@")
    plain = unquote(user_info)
    sent = base64.b64encode(plain.encode()).decode()
    of_proxy = (plain.partition(":")[2], plain, user_info, sent) if at else ()
    return (settings.client_secret, *settings.headers.values(), *of_proxy)


def _table(name: str, kind: type[Limits | Dialect], table: dict[str, Any]) -> object:
    known = [attribute.name for attribute in attrs.fields(kind)]
    unknown = sorted(table.keys() - set(known))
    if unknown:
        refuse(name, f"has unknown keys {', '.join(unknown)}; known: {known}")
    return kind(**table)
