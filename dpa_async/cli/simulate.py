"""The command `simulate`: a simulated platform as a process of its own."""

from typing import Annotated

from cyclopts import Parameter

from dpa_async.cli.options import NO_OPTIONS, Options
from dpa_async.simulator import process


def simulate(
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    seed: int = 0,
    shortest: float = 0.5,
    longest: float = 2.0,
    exit_with_stdin: Annotated[bool, Parameter(negative="")] = False,
    options: Options = NO_OPTIONS,
) -> int:
    """Serve a simulated platform until interrupted.

    It executes any workflow, and says on standard output where it listens: that is
    the base URL. Its one application is made up:

    DPA_CLIENT_ID='sim+App/0001=='
    DPA_CLIENT_SECRET='made/Up+Secret/of+Nobody=='
    DPA_EXECUTE_URL='/api/dpa/process/execute/{workflow_id}'

    $ dpa simulate
    $ dpa simulate --port 0 --shortest 10 --longest 60 --seed 7

    Args:
        host: The address to listen on.
        port: The port to listen on; 0 takes a free one.
        seed: Of every random choice.
        shortest: Seconds that the shortest run takes.
        longest: Seconds that the longest run takes.
        exit_with_stdin: Whether to stop when standard input ends, too.
        options: Of every command.
    """
    del options  # what it says is one line, in every format
    return process.main(
        host,
        port,
        duration=(shortest, longest),
        seed=seed,
        exit_with_stdin=exit_with_stdin,
    )
