"""The command `listen`: a receiver of callbacks that prints them."""

import asyncio
from typing import Annotated

from cyclopts import Parameter

from dpa_async.callbacks import CallbackReceiver
from dpa_async.cli.exits import Exit
from dpa_async.cli.options import NO_OPTIONS, Options
from dpa_async.cli.printing import Printer, tell
from dpa_async.cli.words import Count
from dpa_async.cli.working import work
from dpa_async.wire.callback import Callback


def listen(
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    public_url: str | None = None,
    reply: str = "SUCCESS",
    count: Annotated[Count | None, Parameter(alias="-n")] = None,
    options: Options = NO_OPTIONS,
) -> int:
    """Receive callbacks and print them, until interrupted.

    It says on standard error which callbackUrl to give to an execute. Whoever knows
    that URL can call it: what is printed is what somebody said, and no verdict.

    $ dpa listen
    $ dpa listen --host 0.0.0.0 --port 8090 --public-url https://me.example.com
    $ dpa listen -n 1 --quiet | jq -r .run_id

    Args:
        host: The address to listen on.
        port: The port to listen on; 0 takes a free one.
        public_url: How the platform reaches it, where that is not host and port.
        reply: What a callback is answered.
        count: How many callbacks to wait for; else it ends when interrupted.
        options: Of every command.
    """

    async def task(printer: Printer) -> int:
        came: asyncio.Queue[Callback] = asyncio.Queue()
        async with CallbackReceiver(host, port, public_url) as receiver:
            expectation = receiver.expect(came.put_nowait, reply=reply)
            tell(f"callbackUrl: {expectation.url}")
            printed = 0
            while count is None or printed < count:
                callback = await came.get()
                printer.line(
                    {
                        "workflow_id": callback.workflow_id,
                        "run_id": callback.run_id,
                        "status": callback.status,
                    }
                )
                printed += 1
            expectation.close()
        return Exit.SUCCEEDED

    return work(options, task)
