"""Law 5: secrets never leave the request, whatever a platform or a proxy echoes.

The answers here quote the whole request back, headers and body, in every spelling. Then
everything that can be seen of what is raised, and of what is logged, is searched.
"""

import asyncio
import base64
import gc
import html
import json
import logging
import pickle
import re
import traceback
from urllib.parse import quote, quote_plus

import pytest
from attrs import define, field

from dpa_async import (
    APIError,
    ConfigurationError,
    DPAClient,
    DPAError,
    JournalError,
    NotStartedError,
    OutputsUnavailableError,
    RunError,
    RunFailedError,
    Runner,
    RunRef,
    RunSuspendedError,
    RunTimeoutError,
    RunUnreachableError,
    SubmissionError,
    SubmissionUncertainError,
    TokenManager,
    TransportError,
    UnexpectedResponseError,
    WaitPolicy,
    WorkflowBusyError,
    run_and_wait,
)
from dpa_async.errors import API_ERRORS
from dpa_async.simulator import MemorySimulator, SimulatedWorkflow, Simulator
from dpa_async.simulator.virtual_time import run

SECRET = "very/Secret+Text/of==Nobody"
PROXY_PASSWORD = "hush-hush"
PROXY = f"http://user:{PROXY_PASSWORD}@127.0.0.1:9"
PROXY_SENT = base64.b64encode(f"user:{PROXY_PASSWORD}".encode()).decode()
ENVELOPES = [400, 403, 404, 500, 503, 997, 998, 999, 12345]
PAGES = [200, 302, 401, 403, 404, 429, 500, 502, 503]
INTERFACES = [
    "authorize",
    "token",
    "listVar",
    "execute",
    "getProcessRunStatus",
    "listAll",
    "getOutParamByModelId",
]


class Echo(MemorySimulator):
    """Answers one interface with all that it was sent, and remembers every secret."""

    def __init__(self, interface, make_answer, workflows=None):
        super().__init__(workflows)
        self.interface = interface
        self.make_answer = make_answer
        self.secrets = {SECRET, PROXY_PASSWORD, PROXY_SENT}

    async def exchange(self, method, url, headers, body, **options):
        status, names, answer = await super().exchange(
            method, url, headers, body, **options
        )
        data = json.loads(answer).get("data")
        if isinstance(data, dict):
            self.secrets |= {data[k] for k in ("code", "access_token") if k in data}
        if self.interface not in url:
            return status, names, answer
        shown = {**headers, "Proxy-Authorization": f"Basic {PROXY_SENT}"}
        sent = f"{url} {shown} {(body or b'').decode()} {PROXY}"
        spellings = (sent, quote(sent), quote_plus(sent), json.dumps(sent))
        return self.make_answer("\n".join([*spellings, answer.decode()]))


def page(status):
    def answer(text):
        shown = html.escape(text, quote=False)
        return status, {"content-type": "text/html"}, shown.encode()

    return answer


def envelope(code):
    def answer(text):
        return 200, {}, json.dumps({"code": code, "message": text}).encode()

    return answer


ANSWERS = [
    *(pytest.param(page(s), id=f"page {s}") for s in PAGES),
    *(pytest.param(envelope(c), id=f"code {c}") for c in ENVELOPES),
]


async def call_everything(client):
    """Call every interface; give what was raised."""
    ref = RunRef(client.settings.base_url, "wf", "r1")
    raised = []
    for call in (
        client.list_variables("wf"),
        client.execute("wf", {"n": 1}),
        client.get_run_status(ref),
        client.list_workflows(),
        client.get_outputs(ref),
    ):
        try:
            await call
        except DPAError as error:
            raised.append(error)
    return raised


def chain(error):
    """An exception and all that hangs on it, by either link."""
    found, ahead = [], [error]
    while ahead:
        each = ahead.pop()
        if each is not None and each not in found:
            found.append(each)
            ahead += [each.__cause__, each.__context__]
    return found


def everything_seen_of(error):
    for each in chain(error):
        yield f"{each!r} {each!s} {each.args!r} {getattr(each, '__notes__', '')!r}"
        yield repr(vars(each))
        yield "".join(traceback.format_exception(each))
    yield repr(pickle.loads(pickle.dumps(error)).__dict__)  # noqa: S301 - our own
    yield pickle.dumps(error).decode("latin-1")


def spellings(secret):
    encoded = json.dumps(secret)[1:-1]
    yield from (secret, quote(secret), quote(secret, safe=""), quote_plus(secret))
    yield from (encoded, encoded.replace("/", "\\/"), repr(secret)[1:-1])


def assert_clean(texts, secrets):
    for text in texts:
        for secret in secrets:
            for spelling in spellings(secret):
                assert spelling not in text, (spelling, text)
        assert not re.search(r"Bearer [^*]", text)


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("interface", INTERFACES)
def test_no_error_and_no_log_shows_a_secret(interface, answer, caplog):
    async def main():
        asyncio.get_running_loop().slow_callback_duration = 0  # all are logged
        platform = Echo(interface, answer)
        settings = platform.settings(client_secret=SECRET, proxy=PROXY)
        application = platform.platform.application
        application.client_secret = SECRET
        async with DPAClient(settings, backend=platform) as client:
            raised = await call_everything(client)
            shown = [repr(client), repr(settings), repr(client.tokens)]
        assert raised
        await platform.aclose()
        seen = [text for error in raised for text in everything_seen_of(error)]
        assert_clean([*seen, *shown, caplog.text], platform.secrets)

    with caplog.at_level(logging.DEBUG):
        run(main(), debug=True)


def test_over_sockets_debug_logs_and_errors_are_clean_too(caplog):
    async def main():
        asyncio.get_running_loop().slow_callback_duration = 0
        async with Simulator() as platform:
            platform.platform.application.client_secret = SECRET
            settings = platform.settings(
                client_secret=SECRET,
                request_timeout=0.5,
                proxy=PROXY,
            )
            secrets = {SECRET, PROXY_PASSWORD}
            async with DPAClient(settings) as client:
                raised = await call_everything(client)
                assert raised
            async with TokenManager(platform.settings(client_secret=SECRET)) as tokens:
                token = await tokens.get()
                secrets.add(token.value)
                shown = [repr(token), repr(tokens), repr(settings), str(settings)]
            seen = [text for error in raised for text in everything_seen_of(error)]
            assert_clean([*seen, *shown, caplog.text], secrets)

    with caplog.at_level(logging.DEBUG):
        asyncio.run(main(), debug=True)
    gc.collect()
    assert PROXY_PASSWORD not in caplog.text


class Careless:
    """A token provider that tells its secret in what it raises."""

    async def get(self):
        msg = f"I was refused with {SECRET}"
        raise RuntimeError(msg)

    async def renew(self, *, rejected):  # noqa: ARG002
        raise AssertionError


@define
class Scene:
    """How an error comes about, on a platform of which one interface is an echo."""

    act: object
    interface: str = "none"
    answer: object = None
    workflow: SimulatedWorkflow = field(factory=lambda: SimulatedWorkflow("wf"))
    policy: WaitPolicy = field(factory=WaitPolicy)
    tokens: object = None


def listing(answer, **options):
    return Scene(
        lambda client, _: client.list_workflows(), "listAll", answer, **options
    )


def running(*broken, timeout=None, **options):
    return Scene(
        lambda _, runner: run_and_wait(runner, "wf", timeout=timeout),
        *broken,
        **options,
    )


async def starting_twice(_, runner):
    await runner.start("wf")
    await runner.start("wf", if_busy="fail")


async def closing_while_it_runs(_, runner):
    waiting = asyncio.create_task(run_and_wait(runner, "wf"))
    await asyncio.sleep(30)
    await runner.aclose()
    await waiting


def lost(_):
    raise OSError("the answer is lost")


FOR_LONG = SimulatedWorkflow("wf", duration=10_000.0)
FAILING = SimulatedWorkflow("wf", fails=True)
SUSPENDED = SimulatedWorkflow("wf", duration=90.0, suspended=[(1.0, 80.0)])
NO_STATUS = ("getProcessRunStatus", page(500))
NO_OUTPUTS = ("getOutParamByModelId", page(500))
SCENES = {
    ConfigurationError: listing(None, tokens=Careless()),
    TransportError: listing(lost),
    UnexpectedResponseError: listing(page(500)),
    APIError: listing(envelope(12345)),
    **{kind: listing(envelope(code)) for code, kind in API_ERRORS.items()},
    WorkflowBusyError: Scene(starting_twice, workflow=FOR_LONG),
    NotStartedError: running("authorize", page(429), timeout=5),
    SubmissionUncertainError: running("execute", page(502)),
    RunError: Scene(closing_while_it_runs, *NO_STATUS),
    RunFailedError: running(*NO_OUTPUTS, workflow=FAILING),
    RunTimeoutError: running(*NO_STATUS, timeout=9),
    RunUnreachableError: running(*NO_STATUS, policy=WaitPolicy(max_silence=9)),
    RunSuspendedError: running(
        workflow=SUSPENDED, policy=WaitPolicy(on_suspended="raise")
    ),
    OutputsUnavailableError: running(*NO_OUTPUTS),
}


def subclasses(kind):
    """Give those of the package: other tests can have some of their own."""
    return [
        sub for sub in kind.__subclasses__() if sub.__module__.startswith("dpa_async.")
    ]


def every_class(kind=DPAError):
    return {kind, *(each for sub in subclasses(kind) for each in every_class(sub))}


def test_every_class_that_is_raised_has_its_scene():
    assert every_class() - SCENES.keys() == {DPAError, SubmissionError, JournalError}


@pytest.mark.parametrize("kind", SCENES, ids=lambda kind: kind.__name__)
def test_no_error_of_any_class_shows_a_secret(kind, caplog):
    scene = SCENES[kind]

    async def main():
        asyncio.get_running_loop().slow_callback_duration = 0
        platform = Echo(scene.interface, scene.answer, [scene.workflow])
        platform.platform.application.client_secret = SECRET
        settings = platform.settings(client_secret=SECRET, proxy=PROXY)
        async with (
            DPAClient(settings, backend=platform, tokens=scene.tokens) as client,
            Runner(client, wait=scene.policy) as runner,
        ):
            try:
                await scene.act(client, runner)
            except DPAError as error:
                raised = error
        await platform.aclose()
        assert type(raised) is kind, repr(raised)
        assert scene.tokens or len(platform.secrets) > len(Echo("", None).secrets)
        assert_clean([*everything_seen_of(raised), caplog.text], platform.secrets)

    with caplog.at_level(logging.DEBUG):
        run(main(), debug=True)
        gc.collect()
    assert_clean([caplog.text], {SECRET, PROXY_PASSWORD})
