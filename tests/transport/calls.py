"""Calls of the library against a raw platform, and what may never come of them."""

import asyncio
import itertools
import pickle
import traceback
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from attrs import field, frozen
from fault import ANSWERED, MAYBE, NONE, NOT_SENT, ONE, UNCERTAIN
from faults_of_body import CAP
from raw_platform import MARK, RawPlatform, Talk

from dpa_async import (
    AccessToken,
    DPAClient,
    DPAError,
    RunRef,
    RunStatus,
    Settings,
    TransportError,
)
from dpa_async.verdicts import Verdict, verdict
from dpa_async.wire import replies, requests

NO_HANG = 90.0
STALL = 3.0  # time enough for all before it, on a machine that others use, too
REUSED_STALL = 3.0
_ids = itertools.count()


class GivenTokens:
    """Tokens without a request: what the platform says it would have given."""

    def __init__(self, platform):
        self._platform = platform
        self._token = AccessToken(platform.new_token(), 3600)

    async def get(self):
        return self._token

    async def renew(self, *, rejected):  # noqa: ARG002
        self._token = AccessToken(self._platform.new_token(), 3600)
        return self._token


def settings_of(platform, **changes):
    arguments = {
        "base_url": platform.url,
        "client_id": platform.client_id,
        "client_secret": platform.client_secret,
        "execute_urls": f"/execute/{{workflow_id}}?key={MARK}-in-a-URL",
        "request_timeout": NO_HANG,
        "max_body_bytes": CAP,
        "max_outputs_bytes": CAP,
    }
    return Settings(**arguments | changes)


@frozen
class Ask:
    """One call with ids of its own, so that another's answer can be told."""

    platform: RawPlatform
    client: DPAClient
    workflow_id: str = field(factory=lambda: f"wf{next(_ids)}")
    run_id: str = field(factory=lambda: f"run{next(_ids)}")

    @property
    def run(self):
        return RunRef(self.client.settings.base_url, self.workflow_id, self.run_id)


@frozen(kw_only=True)
class Interface:
    """How an interface is called, and whether what it gave is true."""

    call: Callable[[Ask], Awaitable[Any]]
    is_true: Callable[[Ask, Any], bool]
    pooled: bool = True


def _authorize(ask):
    settings, transport = ask.client.settings, ask.client._transport
    return transport.call(requests.authorize(settings), replies.authorization_code)


def _exchange_code(ask):
    settings, transport = ask.client.settings, ask.client._transport
    request = requests.exchange_code(settings, ask.platform.new_code())
    return transport.call(request, partial(replies.access_token, settings))


def _started(ask, execution):
    ran = [seen for seen in ask.platform.of("execute") if seen.carried_out]
    return execution.run.workflow_id == ask.workflow_id and len(ran) == 1


INTERFACES = {
    # Each of the two alone: the token manager asks for both.
    "authorize": Interface(
        call=_authorize,
        is_true=lambda ask, code: code == ask.platform.codes[-1],
        pooled=False,
    ),
    "token": Interface(
        call=_exchange_code,
        is_true=lambda ask, token: token.value == ask.platform.tokens[-1],
        pooled=False,
    ),
    "listVar": Interface(
        call=lambda ask: ask.client.list_variables(ask.workflow_id),
        is_true=lambda ask, given: (
            [variable.name for variable in given] == [f"of {ask.workflow_id}"]
        ),
    ),
    "execute": Interface(
        call=lambda ask: ask.client.execute(ask.workflow_id, {"n": 1}),
        is_true=_started,
        pooled=False,
    ),
    "getProcessRunStatus": Interface(
        call=lambda ask: ask.client.get_run_status(ask.run),
        is_true=lambda _, given: given is RunStatus.SUCCEEDED,
    ),
    "listAll": Interface(
        call=lambda ask: ask.client.list_workflows(),
        is_true=lambda _, given: [row.id for row in given] == ["wf"],
    ),
    "getOutParamByModelId": Interface(
        call=lambda ask: ask.client.get_outputs(ask.run),
        is_true=lambda ask, given: given["of"] == f"{ask.workflow_id} {ask.run_id}",
    ),
}


def the_first(times):
    """Break so many exchanges, whichever they are."""
    left = itertools.count(1)
    return lambda _: next(left) <= times


def reused(talk: Talk):
    """Break the second exchange of each connection."""
    return talk.position == 1


async def outcome_of(call):
    """What a call gave or raised; a foreign exception and a hang are none."""
    try:
        async with asyncio.timeout(NO_HANG):
            return await call
    except DPAError as error:
        return error


def check(operation, ask, outcome, since=0):
    """See to what holds whatever is broken: the verdict, the one run, the secrets.

    Args:
        operation: Which interface was called.
        ask: With what.
        outcome: What it gave or raised.
        since: How many requests had been read before the call.
    """
    read = ask.platform.requests[since:]
    carried_out = [seen for seen in read if seen.carried_out]
    executed = [seen for seen in carried_out if seen.operation == "execute"]
    assert len(executed) <= 1, "executed twice"
    if isinstance(outcome, DPAError):
        keeps_its_secrets(outcome)
        if isinstance(outcome, TransportError) and not outcome.request_sent:
            wrong = [seen for seen in carried_out if seen.operation == operation]
            assert not wrong, f"{outcome} and it was carried out"
        if operation == "execute":
            _check_execute(outcome, executed)
    elif not isinstance(outcome, asyncio.CancelledError):
        assert INTERFACES[operation].is_true(ask, outcome), f"not true: {outcome}"
    for seen in read:
        if seen.operation in {"authorize", "token", "execute"}:
            assert not seen.position, "over a connection that was used before"
            assert [s.connection for s in read].count(seen.connection) == 1


def verdict_on(outcome):
    """What an exchange ended as, in the words of the catalogue."""
    if not isinstance(outcome, TransportError):
        return ANSWERED
    return MAYBE if outcome.request_sent else NOT_SENT


def started(outcome):
    """Whether an execute started a run, as far as the library knows."""
    if not isinstance(outcome, DPAError):
        return ONE
    told = {Verdict.STARTED: ONE, Verdict.UNCERTAIN: UNCERTAIN}
    return told.get(verdict(outcome, {999}), NONE)


def _check_execute(error, executed):
    judged = verdict(error, {999})
    if judged is Verdict.STARTED:
        assert len(executed) == 1
    elif judged is not Verdict.UNCERTAIN:
        assert not executed, f"{judged} and it ran"


def chain(error):
    """An exception and all that hangs on it."""
    found, ahead = [], [error]
    while ahead:
        one = ahead.pop()
        if one is not None and one not in found:
            found.append(one)
            ahead += [one.__cause__, one.__context__, *getattr(one, "exceptions", ())]
    return found


def keeps_its_secrets(error, *, harmless=()):
    """See that nothing of an exception shows a secret, in any way it can be shown.

    Args:
        error: What a call raised.
        harmless: Foreign exceptions that may hang on it, since they hold nothing.
    """
    texts = ["".join(traceback.format_exception(error))]
    for one in chain(error):
        notes = getattr(one, "__notes__", ())
        texts += [str(one), repr(one), repr(one.args), *notes, repr(vars(one))]
    if isinstance(error, DPAError):
        texts.append(pickle.dumps(error).decode("latin-1"))
        ours = (DPAError, *harmless)
        foreign = [type(one) for one in chain(error) if not isinstance(one, ours)]
        assert not foreign, f"hangs on: {foreign}"
    for text in texts:
        assert MARK not in text, text
