"""One HTTP request and its reply, as plain values."""

from collections.abc import Mapping
from typing import Literal, Self

from attrs import evolve, field, frozen

from dpa_async.models import AccessToken

Budget = Literal["reads", "submissions", "held", "tokens"]


@frozen(kw_only=True)
class Request:
    """What is sent, and what the layers below have to know of it.

    Attributes:
        operation: The platform's name of the interface.
        method: GET or POST.
        url: Complete, percent-encoded, query included.
        headers: Every header that matters.
        body: The body's bytes, or None.
        repeatable: Whether it may be sent again when its answer is lost.
        own_connection: Whether it needs a connection nobody used before: one of a pool
            can bring a stray answer, or be closing just now.
        budget: Whose place among the requests in flight it takes.
        hold: Seconds for which its answer may be held, beyond what answers take.
        max_body_bytes: The longest answer that is read.
        secrets: Strings in this request that must never be shown.
        secret_answer: Whether its answer is a secret: then none of it is shown, unless
            it is a proxy's page.
    """

    operation: str
    method: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: bytes | None = field(repr=False)
    repeatable: bool = True
    own_connection: bool = False
    budget: Budget = "reads"
    hold: float = 0.0
    max_body_bytes: int
    secrets: tuple[str, ...] = field(default=(), repr=False)
    secret_answer: bool = False

    def authorized(self, token: AccessToken) -> Self:
        """Give the same request with a token in it."""
        return evolve(
            self,
            headers={**self.headers, "Authorization": f"Bearer {token.value}"},
            secrets=(*self.secrets, token.value),
        )


@frozen
class Reply:
    """What came back: HTTP's status, headers by lower-case name, the body."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
