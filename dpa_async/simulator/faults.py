"""Trouble on order: what can go wrong with a call, and a script of when it does.

script = FaultScript(seed=7)
script.add("execute", Fault.answer_lost(), calls={1})
script.add("getProcessRunStatus", Fault.http_status(503), probability=0.1)
"""

import functools
import json
import math
import random
from collections import Counter
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime
from email.utils import format_datetime
from enum import Enum
from typing import Literal, Self, cast, get_args

from attrs import define, evolve, field, frozen
from typing_extensions import override

from dpa_async.simulator.envelope import MESSAGES, envelope
from dpa_async.simulator.platform import Interface
from dpa_async.simulator.records import Answer, Request

Place = Interface | Literal["callback"]
"""Where a fault can strike: an interface, or the platform's own callbacks."""

_PLACES: tuple[str, ...] = (*get_args(Interface), "callback")


class Ending(Enum):
    """How the exchange ends."""

    WHOLE = "the answer arrives"
    CUT = "the connection closes in the middle of the answer's body"
    ENDLESS = "the answer's body never ends"
    RESET = "the connection is reset, nothing was answered"
    CLOSED = "the connection is closed, nothing was answered"
    STALLED = "the connection stays open, nothing is answered"
    REFUSED = "there is no connection"


@frozen(kw_only=True, repr=False)
class Fault:
    """One kind of trouble. Make it with one of the class methods.

    Attributes:
        name: What it is, for `repr`.
        ending: How the exchange ends.
        carried_out: Whether the platform gets to carry the request out.
        delay: Seconds by which the request reaches the platform late.
        answer_delay: Seconds by which the answer is late.
        revokes_token: Whether the presented token stops holding before the request is
            looked at.
        staleness: How many seconds old a listAll is.
        cut_at: After how many bytes the body is cut.
        reshape: What becomes of the answer; it is also given the platform's time.
    """

    name: str
    ending: Ending = Ending.WHOLE
    carried_out: bool = True
    delay: float = 0.0
    answer_delay: float = 0.0
    revokes_token: bool = False
    staleness: float = 0.0
    cut_at: int = 0
    reshape: Callable[[Answer, float], Answer] | None = None

    @override
    def __repr__(self) -> str:
        return f"Fault.{self.name}"

    def and_also(self, other: "Fault") -> "Fault":
        """Make one fault of two; the later one wins where only one can be."""
        chain = [step for step in (self.reshape, other.reshape) if step]

        def reshape(answer: Answer, now: float) -> Answer:
            return functools.reduce(lambda left, step: step(left, now), chain, answer)

        last = self if other.ending is Ending.WHOLE else other
        return Fault(
            name=f"{self.name} + {other.name}",
            ending=last.ending,
            carried_out=self.carried_out and other.carried_out,
            delay=self.delay + other.delay,
            answer_delay=self.answer_delay + other.answer_delay,
            revokes_token=self.revokes_token or other.revokes_token,
            staleness=max(self.staleness, other.staleness),
            cut_at=last.cut_at,
            reshape=reshape if chain else None,
        )

    # --- time -------------------------------------------------------------------

    @classmethod
    def latency(cls, seconds: float) -> Self:
        """Let the request reach the platform late."""
        return cls(name=f"latency({seconds})", delay=seconds)

    @classmethod
    def slow_answer(cls, seconds: float) -> Self:
        """Carry the request out at once, and answer late."""
        return cls(name=f"slow_answer({seconds})", answer_delay=seconds)

    @classmethod
    def stall(cls, *, carried_out: bool = False) -> Self:
        """Never answer, and keep the connection open."""
        return cls(name="stall()", ending=Ending.STALLED, carried_out=carried_out)

    # --- connections ------------------------------------------------------------

    @classmethod
    def refused(cls) -> Self:
        """Refuse the connection.

        Over real sockets a connection is there before its request can be known: there
        it is reset before anything is carried out, which a client cannot tell from
        `answer_lost`.
        """
        return cls(name="refused()", ending=Ending.REFUSED, carried_out=False)

    @classmethod
    def reset(cls) -> Self:
        """Reset the connection before the request is carried out."""
        return cls(name="reset()", ending=Ending.RESET, carried_out=False)

    @classmethod
    def closed(cls) -> Self:
        """Close the connection in good order before the request is carried out."""
        return cls(name="closed()", ending=Ending.CLOSED, carried_out=False)

    @classmethod
    def answer_lost(cls) -> Self:
        """Carry the request out, then reset the connection: the answer is lost."""
        return cls(name="answer_lost()", ending=Ending.RESET)

    @classmethod
    def answer_cut(cls, at: int = 0) -> Self:
        """Carry the request out, then close after `at` bytes of the answer's body."""
        return cls(name=f"answer_cut({at})", ending=Ending.CUT, cut_at=at)

    @classmethod
    def body_cut(cls, at: int = 0) -> Self:
        """Cut the answer's body after `at` bytes in a way that HTTP does not notice."""

        def reshape(answer: Answer, _: float) -> Answer:
            return evolve(answer, body=answer.body[:at])

        return cls(name=f"body_cut({at})", reshape=reshape)

    # --- other answers than the platform's ----------------------------------------

    @classmethod
    def empty(cls, *, carried_out: bool = False) -> Self:
        """Answer 200 without a body."""
        return cls._instead("empty()", Answer(200, {}, b""), carried_out)

    @classmethod
    def garbage(cls, body: bytes, *, carried_out: bool = False) -> Self:
        """Answer 200 with these bytes as JSON."""
        answer = Answer(200, {"content-type": "application/json"}, body)
        return cls._instead("garbage()", answer, carried_out)

    @classmethod
    def html(cls, status: int = 200, *, carried_out: bool = False) -> Self:
        """Answer with a proxy's HTML page."""
        page = f"<!DOCTYPE html><html><body><h1>{status}</h1></body></html>".encode()
        answer = Answer(status, {"content-type": "text/html"}, page)
        return cls._instead(f"html({status})", answer, carried_out)

    @classmethod
    def redirect(
        cls, location: str, status: int = 302, *, carried_out: bool = False
    ) -> Self:
        """Answer with a redirect."""
        answer = Answer(status, {"location": location}, b"")
        return cls._instead(f"redirect({location!r}, {status})", answer, carried_out)

    @classmethod
    def endless(cls, *, carried_out: bool = False) -> Self:
        """Answer with a body that never ends."""
        return cls(name="endless()", ending=Ending.ENDLESS, carried_out=carried_out)

    @classmethod
    def http_status(
        cls,
        status: int,
        *,
        retry_after: float | None = None,
        as_date: bool = False,
        carried_out: bool = False,
    ) -> Self:
        """Answer with an HTTP status and little else.

        Args:
            status: 429, 502, 503, ...
            retry_after: In how many seconds to come again; None: not said.
            as_date: Say it as an HTTP date, by the platform's clock.
            carried_out: Whether the platform did what was asked before.
        """

        def reshape(_: Answer, now: float) -> Answer:
            headers = {"content-type": "text/plain"}
            if retry_after is not None:
                moment = http_date(math.ceil(now + retry_after))
                headers["retry-after"] = moment if as_date else f"{retry_after:g}"
            return Answer(status, headers, b"")

        name = f"http_status({status})"
        return cls(name=name, carried_out=carried_out, reshape=reshape)

    @classmethod
    def body_code(
        cls,
        code: int | str,
        message: str | None = None,
        *,
        http_status: int = 200,
        carried_out: bool = False,
    ) -> Self:
        """Answer with another body code, which may be text such as "200".

        Where the request is carried out, the answer keeps its data.
        """

        def reshape(answer: Answer, _: float) -> Answer:
            data = _data_of(answer) if carried_out else None
            words = MESSAGES.get(int(code), "") if message is None else message
            return envelope(code, words, data, http_status=http_status)

        name = f"body_code({code!r})"
        return cls(name=name, carried_out=carried_out, reshape=reshape)

    # --- what only this platform has ----------------------------------------------

    @classmethod
    def token_revoked(cls) -> Self:
        """Revoke the presented token first; a token that expired looks the same."""
        return cls(name="token_revoked()", revokes_token=True)

    @classmethod
    def stale(cls, seconds: float) -> Self:
        """Answer a listAll with what was true so long ago."""
        return cls(name=f"stale({seconds})", staleness=seconds)

    @classmethod
    def _instead(cls, name: str, answer: Answer, carried_out: bool) -> Self:
        def reshape(_: Answer, __: float) -> Answer:
            return evolve(answer, headers=dict(answer.headers))

        return cls(name=name, carried_out=carried_out, reshape=reshape)


_NO_FAULT = Fault(name="none")


@define
class _Rule:
    """When which faults strike at a place."""

    faults: tuple[Fault, ...]
    calls: AbstractSet[int] | None
    first: int | None
    every: int | None
    probability: float | None
    where: Callable[[Request], bool] | None
    seen: int = field(default=0, init=False)
    has_struck: bool = field(default=False, init=False)

    def strikes(self, request: Request | None, rng: random.Random) -> bool:
        """Count a call that the rule is about, and decide on it."""
        if self.where and request is not None and not self.where(request):
            return False
        self.seen += 1
        strikes = (
            (self.calls is None or self.seen in self.calls)
            and (self.first is None or self.seen <= self.first)
            and (self.every is None or self.seen % self.every == 0)
            and (self.probability is None or rng.random() < self.probability)
        )
        self.has_struck = self.has_struck or strikes
        return strikes


class FaultScript:
    """Says which calls go wrong, and how; the same each time for the same seed.

    Args:
        seed: Of the rules with a probability.

    Attributes:
        calls: How many requests came in for each interface, swallowed ones included.
        struck: Every fault that struck, in order.
    """

    def __init__(self, *, seed: int = 0) -> None:
        self.calls: Counter[Place] = Counter()
        self.struck: list[tuple[Place, Fault]] = []
        self._rules: dict[Place, list[_Rule]] = {}
        self._rng = random.Random(seed)  # noqa: S311 - to repeat, not to hide

    def add(
        self,
        place: Place,
        *faults: Fault,
        calls: AbstractSet[int] | None = None,
        first: int | None = None,
        every: int | None = None,
        probability: float | None = None,
        where: Callable[[Request], bool] | None = None,
    ) -> Self:
        """Have faults strike; without further arguments, at every call.

        Args:
            place: An interface, or "callback".
            *faults: What strikes, all at the same call.
            calls: Only these calls, counted from 1 when the rule is added.
            first: Only the first so many.
            every: Only every so manieth.
            probability: Only with this probability.
            where: Only requests of which this is true; others are not counted.

        Raises:
            ValueError: There is no such place, or no fault was given.
        """
        if place not in _PLACES or not faults:
            raise ValueError(f"give faults for one of {', '.join(_PLACES)}")
        rule = _Rule(faults, calls, first, every, probability, where)
        self._rules.setdefault(place, []).append(rule)
        return self

    @property
    def idle(self) -> list[tuple[Place, Fault]]:
        """The faults on order that never struck; those left to chance not counted."""
        return [
            (place, fault)
            for place, rules in self._rules.items()
            for rule in rules
            if not rule.has_struck and rule.probability is None
            for fault in rule.faults
        ]

    def clear(self) -> None:
        """Forget all rules: from now on nothing goes wrong."""
        self._rules.clear()

    def draw(self, place: Place, request: Request | None = None) -> Fault:
        """Count a call and tell what strikes it, all in one."""
        self.calls[place] += 1
        rules = self._rules.get(place)
        if not rules:
            return _NO_FAULT
        # Every rule is asked, so that none loses count when another one strikes.
        striking = [rule for rule in rules if rule.strikes(request, self._rng)]
        faults = [fault for rule in striking for fault in rule.faults]
        self.struck.extend((place, fault) for fault in faults)
        return functools.reduce(Fault.and_also, faults, _NO_FAULT)


def http_date(at: float) -> str:
    """Write a moment as HTTP does."""
    return format_datetime(datetime.fromtimestamp(at, UTC), usegmt=True)


def _data_of(answer: Answer) -> object:
    if not answer.body:  # another fault kept the request from being carried out
        return None
    return cast("dict[str, object]", json.loads(answer.body))["data"]
