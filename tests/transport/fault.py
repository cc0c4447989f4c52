"""What a fault is: a script that breaks an exchange, and what has to come of it."""

from attrs import evolve, frozen
from raw_platform import Script

ANSWERED = "answered"
MAYBE = "maybe carried out"
NOT_SENT = "not sent"

ANSWER = "the answer"
TRANSPORT = "`TransportError`"
UNEXPECTED = "`UnexpectedResponseError`"
REFUSED_TOKEN = "`AuthenticationError`"

NONE = "no"
ONE = "yes"
UNCERTAIN = "maybe"


@frozen(kw_only=True)
class Fault:
    """A way to break an exchange, and what a caller gets for it.

    Attributes:
        script: Breaks one exchange.
        verdict: What the exchange ends as.
        execute: What `DPAClient.execute` gives.
        started: Whether a run was started, as far as the library knows.
        read: What a read gets where it goes on like that.
        once: What a read gets where it happens once, on a connection used before.
        stalls: Whether the exchange is ended by its time-out.
        times: How often it happens.
        skipped: Interfaces that it says nothing about.
    """

    script: Script
    verdict: str
    execute: str
    started: str
    read: str
    once: str
    stalls: bool = False
    times: float = float("inf")
    skipped: frozenset[str] = frozenset()

    def wanted(self, operation, *, once=False):
        """What one of these interfaces may give."""
        if operation == "execute":
            return self.execute.split(" or ")
        return (self.once if once else self.read).split(" or ")

    def but(self, **changes):
        return evolve(self, **changes)


def lost(script, **changes):
    """No answer: an execute may have started a run, a read is repeated."""
    fault = Fault(
        script=script,
        verdict=MAYBE,
        execute=TRANSPORT,
        started=UNCERTAIN,
        read=TRANSPORT,
        once=ANSWER,
    )
    return fault.but(**changes)


def unsent(script, **changes):
    """No connection: whatever it is, it is sent again."""
    fault = Fault(
        script=script,
        verdict=NOT_SENT,
        execute=TRANSPORT,
        started=NONE,
        read=TRANSPORT,
        once=ANSWER,
    )
    return fault.but(**changes)


def foreign(script, **changes):
    """An answer that is not the platform's: nobody says it again for being asked."""
    fault = Fault(
        script=script,
        verdict=ANSWERED,
        execute=UNEXPECTED,
        started=UNCERTAIN,
        read=UNEXPECTED,
        once=UNEXPECTED,
    )
    return fault.but(**changes)


def overlong(script):
    """A short answer with rubbish behind it, which comes in time or after it."""
    return foreign(
        script,
        verdict=f"{ANSWERED} or {MAYBE}",
        execute=f"{UNEXPECTED} or {TRANSPORT}",
        read=f"{UNEXPECTED} or {TRANSPORT}",
        once=f"{UNEXPECTED} or {ANSWER}",
    )


def harmless(script, **changes):
    """Odd, and the answer all the same."""
    fault = Fault(
        script=script,
        verdict=ANSWERED,
        execute=ANSWER,
        started=ONE,
        read=ANSWER,
        once=ANSWER,
    )
    return fault.but(**changes)


def answering(make, then=None):
    """Carry the request out, and say what `make` makes of the true answer's body."""

    def script(talk):
        talk.read()
        talk.say(make(talk.carry_out()))
        if then is not None:
            then(talk)

    return script


def turning_away(answer):
    """Answer without having done anything."""

    def script(talk):
        talk.read()
        talk.say(answer)

    return script
