"""Commands about one run: `run` and `wait`."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, nullcontext
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from cyclopts import Parameter

from dpa_async.cli import records
from dpa_async.cli.deployment import settings_of
from dpa_async.cli.exits import Exit
from dpa_async.cli.options import NO_OPTIONS, Options
from dpa_async.cli.printing import Printer, tell
from dpa_async.cli.words import Pairs, Ref, Timeout
from dpa_async.cli.working import UsageError, read_stdin, work
from dpa_async.client import DPAClient
from dpa_async.draining import draining
from dpa_async.errors import DPAError, SubmissionUncertainError
from dpa_async.models import RunResult, RunStatus
from dpa_async.runner import Runner


def run(
    workflow: str,
    /,
    *,
    param: Pairs = (),
    params: Annotated[str | None, Parameter(allow_leading_hyphen=True)] = None,
    timeout: Timeout = None,
    outputs: Annotated[bool, Parameter(negative="--no-outputs")] = True,
    validate: Annotated[bool, Parameter(negative="")] = False,
    wait: Annotated[bool, Parameter(negative="--no-wait")] = True,
    if_busy: Literal["queue", "fail"] = "queue",
    options: Options = NO_OPTIONS,
) -> int:
    """Run a workflow, wait for its end and print its outputs.

    The run is executed once. Ctrl-C leaves it running, and prints its reference:
    `dpa wait` goes on with it.

    $ dpa run mddaebe8b163 -p DPA_MODEL_WORKDIR=/opt -p day=2024-05-01
    $ dpa run mddaebe8b163 --params params.json --timeout 600
    $ echo '{"n": 1}' | dpa run mddaebe8b163 --params - -o json

    Args:
        workflow: The workflow's id.
        param: A parameter as NAME=VALUE, its value as text; can be given many times.
        params: A file with a JSON object of parameters, or - for standard input.
        timeout: Seconds for queueing, submission and waiting together.
        outputs: Whether the outputs are read when it ends.
        validate: Whether the parameters' names are checked before it is executed.
        wait: Whether to wait for its end; else its reference is printed at once.
        if_busy: Whether a workflow that is running already is waited for.
        options: Of every command.
    """

    def task(printer: Printer) -> Coroutine[Any, Any, int]:
        given = {**_parameters_of(params), **dict(map(_pair, param))}

        async def act(runner: Runner) -> int:
            clock = asyncio.get_running_loop().time
            began = clock()
            started = await runner.start(
                workflow,
                given or None,
                timeout=timeout,
                validate=validate,
                outputs=outputs,
                if_busy=if_busy,
            )
            if not wait:
                printer.record(records.of_run(started.ref))
                return Exit.SUCCEEDED
            printer.talk(f"started {started.ref}")
            left = None if timeout is None else max(0.0, timeout - (clock() - began))
            return _ended(printer, await started.result(timeout=left, check=False))

        return _on_platform(options, printer, act)

    return work(options, task)


def wait(ref: Ref, /, *, timeout: Timeout = None, options: Options = NO_OPTIONS) -> int:
    """Wait for the end of a run that was started before, and print its outputs.

    $ dpa wait dpa-run:1:mddaebe8b163:in1@https://dpa.example.com
    $ dpa wait "$REF" --timeout 600 -o json

    Args:
        ref: The run's reference, as `dpa run` prints it.
        timeout: Seconds to wait at the most.
        options: Of every command.
    """

    def task(printer: Printer) -> Coroutine[Any, Any, int]:
        async def act(runner: Runner) -> int:
            attached = runner.attach(ref)
            return _ended(printer, await attached.result(timeout=timeout, check=False))

        return _on_platform(options, printer, act)

    return work(options, task)


async def _on_platform(
    options: Options, printer: Printer, act: Callable[[Runner], Awaitable[int]]
) -> int:
    """Act with a runner that Ctrl-C drains: what exists is finished, and told."""
    async with (
        DPAClient(settings_of(options)) as client,
        Runner(client) as runner,
        _drained(runner) as told,
    ):
        telling = asyncio.create_task(_tell_when(told))
        try:
            return await act(runner)
        except DPAError as error:
            if not told.is_set():
                raise
            _interrupted(printer, error)
            return Exit.INTERRUPTED
        except asyncio.CancelledError:
            tell(
                "dpa: left at once: a run may have been started; see the workflow on "
                "the platform"
            )
            raise
        finally:
            telling.cancel()


def _drained(runner: Runner) -> AbstractAsyncContextManager[asyncio.Event]:
    """Have Ctrl-C close the runner, where an event loop takes signals."""
    if sys.platform == "win32":
        return nullcontext(asyncio.Event())
    return draining(runner)


async def _tell_when(told: asyncio.Event) -> None:
    await told.wait()
    tell("dpa: interrupted; what is out is finished first (Ctrl-C again: at once)")


def _interrupted(printer: Printer, error: DPAError) -> None:
    if error.ref is not None:
        tell(f"dpa: the run goes on: dpa wait {error.ref}")
        printer.record({**records.of_run(error.ref), "status": None})
    elif isinstance(error, SubmissionUncertainError):
        printer.problem(error)
    else:
        tell("dpa: nothing was started")


def _ended(printer: Printer, result: RunResult) -> int:
    printer.record(records.of_result(result))
    if result.status is RunStatus.SUCCEEDED:
        return Exit.SUCCEEDED
    tell(f"dpa: run {result.ref} ended in {result.status.name}")
    return Exit.FAILED


def _pair(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name, value


def _parameters_of(file: str | None) -> dict[str, object]:
    """Read parameters from a file, or standard input.

    Raises:
        UsageError: It cannot be read, or is no JSON object.
    """
    if file is None:
        return {}
    where = "standard input" if file == "-" else file
    try:
        text = read_stdin() if file == "-" else Path(file).read_text("utf-8-sig")
        given = json.loads(text)
    except OSError as error:
        problem = f"cannot be read: {error.strerror}"
    except (ValueError, RecursionError) as error:
        problem = f"is not JSON: {error}"
    else:
        if isinstance(given, dict):
            return cast("dict[str, object]", given)
        problem = "is no JSON object of names and values"
    msg = f"--params: {where} {problem}"
    raise UsageError(msg)
