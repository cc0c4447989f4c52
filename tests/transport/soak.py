"""Random faults, cancels and time-outs, at every interface and for whole runs.

What happens is drawn from a seed ahead of time; how it is interleaved is not. Whatever
it is, what holds is the same: the truth or an error of ours, "not sent" never wrong, no
second execute, no run lost, no hang, and no secret shown.
"""

import asyncio
import random
from collections import Counter

from attrs import define, field, frozen
from calls import (
    INTERFACES,
    NO_HANG,
    Ask,
    GivenTokens,
    chain,
    check,
    keeps_its_secrets,
    settings_of,
)
from fault_catalogue import FAULTS
from raw_platform import RawPlatform, Talk

from dpa_async import (
    DPAClient,
    DPAError,
    Runner,
    SubmissionUncertainError,
    TransportError,
    WaitPolicy,
    run_and_wait,
)
from dpa_async.transport import Departure

AT_ONCE = 50
A_RUN = "a whole run"
HANDSHAKES = {"close": Talk.fin, "reset": Talk.rst, "stall": Talk.stall}
IMPATIENT = WaitPolicy(first_look=0.01, maximum=0.05, max_silence=1.0)


@frozen(kw_only=True)
class Draw:
    """What is to happen in one case."""

    number: int
    operation: str
    fault: str
    first: int  # how many exchanges go well before it begins
    times: int  # how often it then happens
    over_tls: bool
    handshakes: str | None  # what the first TLS handshakes end in
    refused_after: float | None  # when the port closes, for good
    own_tokens: bool  # whether the token is asked for, too, over what is broken
    request_timeout: float
    cancelled_after: float | None


def draw(number, chance):
    operation = chance.choice([*INTERFACES, A_RUN, "execute", A_RUN])
    return Draw(
        number=number,
        operation=operation,
        fault=chance.choice([*FAULTS]),
        first=chance.choice([0, 0, 0, 1, 2, 3]),
        times=chance.choice([1, 1, 2, 1_000]),
        over_tls=chance.random() < 0.3,
        handshakes=chance.choice([*HANDSHAKES]) if chance.random() < 0.3 else None,
        refused_after=chance.uniform(0, 0.2) if chance.random() < 0.15 else None,
        own_tokens=chance.random() < 0.3,
        request_timeout=chance.choice([0.05, 0.1, 0.2, 0.3, 0.3, 0.3]),
        cancelled_after=chance.uniform(0, 0.1) if chance.random() < 0.25 else None,
    )


@define
class Tally:
    """What came of it all."""

    outcomes: Counter[str] = field(factory=Counter)
    verdicts: Counter[str] = field(factory=Counter)
    wrong: list[str] = field(factory=list)

    @property
    def text(self):
        rows = [*self.outcomes.most_common(), *sorted(self.verdicts.items())]
        return "\n".join(f"{count:7,} {name}" for name, count in rows)


def at_once(draw):
    """Spoil the first handshakes, before there is TLS."""
    if not (draw.over_tls and draw.handshakes):
        return None
    broken = Broken(draw)

    def script(talk):
        if broken(talk):
            HANDSHAKES[draw.handshakes](talk)

    return script


class Broken:
    """Lets some exchanges go well, breaks some, and lets the rest go well."""

    def __init__(self, draw):
        self._left = [False] * draw.first + [True] * draw.times

    def __call__(self, _):
        return bool(self._left) and self._left.pop(0)


async def play_one(draw, certificates, tally):
    platform = RawPlatform(
        FAULTS[draw.fault].script,
        Broken(draw),
        tls=certificates.good if draw.over_tls else None,
        at_once=at_once(draw),
        elsewhere="http://127.0.0.1:9",
    )
    async with platform:
        if draw.refused_after is not None:
            platform.loop.call_later(draw.refused_after, platform.refuse)
        tokens = None if draw.own_tokens else GivenTokens(platform)
        settings = settings_of(
            platform, ssl=certificates.trusting, request_timeout=draw.request_timeout
        )
        async with DPAClient(settings, tokens=tokens) as client:
            ask = Ask(platform, client)
            departure = Departure()
            outcome = await outcome_of(draw, ask, departure)
            if draw.operation == A_RUN:
                check_run(ask, outcome)
            else:
                check(draw.operation, ask, outcome)
    executed = [seen for seen in platform.of("execute") if seen.carried_out]
    assert len(executed) <= 1, "executed twice"
    count(draw, outcome, departure, executed, tally)


async def call(draw, ask, departure):
    if draw.operation == A_RUN:
        async with Runner(ask.client, wait=IMPATIENT) as runner:
            return await run_and_wait(runner, ask.workflow_id, timeout=2.0)
    if draw.operation == "execute":
        return await ask.client.execute(ask.workflow_id, departure=departure)
    return await INTERFACES[draw.operation].call(ask)


async def outcome_of(draw, ask, departure):
    """What a call gave or raised; cancelled is only what was cancelled."""
    calling = asyncio.create_task(call(draw, ask, departure))
    done, _ = await asyncio.wait([calling], timeout=draw.cancelled_after or NO_HANG)
    if not done:
        assert draw.cancelled_after is not None, "it hangs"
        calling.cancel()
        done, _ = await asyncio.wait([calling], timeout=NO_HANG)
        assert done, "it hangs, cancelled"
    try:
        return calling.result()
    except asyncio.CancelledError as error:
        assert draw.cancelled_after is not None, "cancelled by nobody"
        keeps_its_secrets(error)
        return error
    except DPAError as error:
        return error


def check_run(ask, outcome):
    """See that a run that was started is given, named or said to be uncertain."""
    executed = [seen for seen in ask.platform.of("execute") if seen.carried_out]
    if isinstance(outcome, asyncio.CancelledError):
        return
    if not isinstance(outcome, DPAError):
        assert len(executed) == 1
        assert outcome.outputs["of"] == f"{ask.workflow_id} {outcome.ref.run_id}"
        return
    keeps_its_secrets(outcome, harmless=(TimeoutError, asyncio.CancelledError))
    if outcome.ref is not None:
        assert len(executed) == 1
    elif not isinstance(outcome, SubmissionUncertainError):
        assert not executed, f"a run is lost: {outcome!r}"


def count(draw, outcome, departure, executed, tally):
    """Count what came of it; see that a cancelled execute knows whether it left."""
    tally.outcomes[f"{type(outcome).__name__} of {draw.operation}"] += 1
    cancelled = isinstance(outcome, asyncio.CancelledError)
    if cancelled and draw.operation == "execute" and not departure.left:
        tally.verdicts["cancelled and not sent, by the trace"] += 1
        assert not executed, "cancelled, not sent, and it ran"
    if isinstance(outcome, TransportError):
        verdict = "maybe carried out" if outcome.request_sent else "not sent"
        tally.verdicts[f"verdict: {verdict}"] += 1
    if isinstance(outcome, SubmissionUncertainError):
        tally.verdicts[f"uncertain, and {len(executed)} ran"] += 1


async def soak(cases, seed, certificates):
    """Play so many cases; gives what came of them."""
    chance = random.Random(seed)
    draws = iter([draw(number, chance) for number in range(cases)])
    tally = Tally()

    async def play_some():
        for drawn in draws:
            try:
                async with asyncio.timeout(4 * NO_HANG):
                    await play_one(drawn, certificates, tally)
            except Exception as error:  # noqa: BLE001 - all that are wrong are told
                causes = [repr(one) for one in chain(error)]
                tally.wrong.append(f"seed {seed}, {drawn}: {causes}")

    await asyncio.gather(*(play_some() for _ in range(AT_ONCE)))
    return tally
