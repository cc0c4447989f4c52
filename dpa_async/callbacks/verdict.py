"""What a request to a receiver is answered; the same whoever carried it here."""

from collections.abc import Callable
from typing import TypeAlias

from attrs import frozen

from dpa_async.callbacks.expectations import Expectation, Expectations, Known
from dpa_async.wire.callback import MAX_BYTES, Callback, read_callback

READ_TIMEOUT = 5.0
"""Seconds that a sender has to bring its request."""


@frozen
class Verdict:
    """An answer, and whom it wakes.

    Attributes:
        status: HTTP's.
        text: The body, plain text; empty with every refusal.
        expectation: Who is woken; None: nobody.
        callback: With what.
        problem: What is wrong with a callback that has a nonce of ours.
    """

    status: int
    text: str = ""
    expectation: Expectation | None = None
    callback: Callback | None = None
    problem: str = ""

    @property
    def headers(self) -> dict[str, str]:
        """The headers that go with it."""
        allow = {"Allow": "POST"} if self.status == METHOD else {}
        return {"Content-Type": "text/plain; charset=utf-8", **allow}


OK, MALFORMED, UNKNOWN, METHOD, TOO_SLOW, TOO_LONG = 200, 400, 404, 405, 408, 413

Judge: TypeAlias = Callable[[str, str, bytes | None], Verdict]
"""Takes a method, a path and a body; None stands for a body that is too long."""


def judge(
    expectations: Expectations, place: str, method: str, path: str, body: bytes | None
) -> Verdict:
    """Judge one request; raises nothing and changes nothing.

    Args:
        expectations: What is waited for.
        place: What stands before the nonce in a path. More may stand before it: a
            proxy or an application can have put the receiver anywhere.
        method: HTTP's, in capitals.
        path: Percent-decoded, without query.
        body: The whole of it; None: it is longer than `MAX_BYTES`.
    """
    before, _, nonce = path.rpartition("/")
    if not before.endswith(place):
        return Verdict(UNKNOWN)
    if method != "POST":
        return Verdict(METHOD)
    known = expectations.find(nonce)
    return Verdict(UNKNOWN) if known is None else _judge_body(known, body)


def _judge_body(known: Known, body: bytes | None) -> Verdict:
    if body is None or len(body) > MAX_BYTES:
        problem = f"the body is longer than {MAX_BYTES} bytes"
        return Verdict(TOO_LONG, expectation=known.expectation, problem=problem)
    try:
        callback = read_callback(body)
    except ValueError as error:
        return Verdict(MALFORMED, expectation=known.expectation, problem=str(error))
    return Verdict(OK, known.reply, known.expectation, callback)
