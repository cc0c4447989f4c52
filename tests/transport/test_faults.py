"""Every fault of the catalogue, at every interface, plain and TLS, fresh and reused."""

import asyncio
import itertools

import pytest
from attrs import frozen
from calls import (
    INTERFACES,
    REUSED_STALL,
    STALL,
    Ask,
    GivenTokens,
    check,
    outcome_of,
    reused,
    settings_of,
    started,
    the_first,
    verdict_on,
)
from fault import ANSWER, Fault
from fault_catalogue import FAULTS, ON_SOCKETS
from raw_platform import RawPlatform
from watching import play

from dpa_async import DPAClient, DPAError

# Who is busy keeps the others waiting, and none may come near its time-out for that.
BUSY_AT_ONCE = 8
STALLED_AT_ONCE = 40
APART = 0.1  # seconds between the beginnings of those that then stall

EXECUTE = ("execute",)
TOKENS = ("authorize", "token")
READS = ("listVar", "getProcessRunStatus", "listAll", "getOutParamByModelId")


@frozen
class Case:
    name: str
    fault: Fault
    operation: str
    once: bool  # the second exchange of a connection, or every one

    @property
    def settings(self):
        if not self.fault.stalls:
            return {}
        return {"request_timeout": REUSED_STALL if self.once else STALL}

    @property
    def broken(self):
        return reused if self.once else the_first(self.fault.times)

    def __str__(self):
        return f"{self.operation}{' once' if self.once else ''}: {self.name}"


def cases(operations, faults):
    for (name, fault), operation in itertools.product(faults.items(), operations):
        if operation not in fault.skipped:
            yield Case(name, fault, operation, once=False)
        if operation == READS[0] or (operation in READS and name in ON_SOCKETS):
            yield Case(name, fault, operation, once=True)


async def break_one(case, tls, trusting, elsewhere):
    """Play one case; gives what is wrong with its outcome, if anything is."""
    platform = RawPlatform(case.fault.script, case.broken, tls, elsewhere=elsewhere)
    async with platform:
        needs_token = case.operation not in {"authorize", "token"}
        tokens = GivenTokens(platform) if needs_token else None
        settings = settings_of(platform, ssl=trusting, **case.settings)
        interface = INTERFACES[case.operation]
        async with DPAClient(settings, tokens=tokens) as client:
            if case.once:
                before = Ask(platform, client)
                assert interface.is_true(before, await interface.call(before))
            since = len(platform.requests)
            ask = Ask(platform, client)
            outcome = await outcome_of(interface.call(ask))
        check(case.operation, ask, outcome, since)
    got = f"`{type(outcome).__name__}`" if isinstance(outcome, DPAError) else ANSWER
    wanted = case.fault.wanted(case.operation, once=case.once)
    assert got in wanted, f"{got} instead of {wanted}: {outcome!r}"
    if case.operation == "execute":
        assert started(outcome) in case.fault.started.split(" or "), repr(outcome)
    if not case.once:
        assert verdict_on(outcome) in case.fault.verdict.split(" or "), repr(outcome)


async def break_all(cases, tls, trusting):
    busy, stalled = map(asyncio.Semaphore, (BUSY_AT_ONCE, STALLED_AT_ONCE))
    stalls = itertools.count()
    wrong = []

    async def one(case, elsewhere):
        if case.fault.stalls:
            await asyncio.sleep(APART * next(stalls))
        async with stalled if case.fault.stalls else busy:
            try:
                await break_one(case, tls, trusting, elsewhere)
            except Exception as error:  # noqa: BLE001 - all that are wrong are told
                wrong.append(f"{case}: {error!r}")

    async with RawPlatform() as thief:
        await asyncio.gather(*(one(case, thief.url) for case in cases))
        assert not thief.connections, "something followed a redirect"
    return wrong


@pytest.mark.parametrize("over", ["plain", "TLS"])
@pytest.mark.parametrize("operations", [EXECUTE, TOKENS, READS], ids="-".join)
def test_each_fault_ends_as_the_catalogue_says(operations, over, certificates):
    faults = FAULTS if over == "plain" else ON_SOCKETS
    tls = certificates.good if over == "TLS" else None
    wrong = play(
        break_all(cases(operations, faults), tls, certificates.trusting),
        debug=operations is not READS,
    )
    assert not wrong, "\n".join(wrong)


def test_there_are_faults_enough():
    assert len(ON_SOCKETS) >= 45
    assert {*EXECUTE, *TOKENS, *READS} == INTERFACES.keys()
