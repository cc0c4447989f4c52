"""The command line: a demo, and the simulator as a process of its own."""

import argparse
from collections.abc import Sequence

from dpa_async.cli import demo
from dpa_async.simulator import process


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and give the process's exit code.

    Args:
        arguments: The command line's words; None: those of this process.

    Raises:
        SystemExit: The words cannot be right, or help was asked for.
    """
    chosen = _parser().parse_args(arguments)
    if chosen.command == "demo":
        return demo.main(runs=chosen.runs, workflows=chosen.workflows)
    return process.main(
        chosen.host,
        chosen.port,
        duration=(chosen.shortest, chosen.longest),
        seed=chosen.seed,
        exit_with_stdin=chosen.exit_with_stdin,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m dpa_async",
        description="An asyncio client for the DPA workflow platform.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    show = commands.add_parser(
        "demo", help="run a few hundred workflows on a simulated platform"
    )
    show.add_argument("--runs", type=_count, default=300, help="how many runs")
    show.add_argument("--workflows", type=_count, default=100, help="of how many")
    serve = commands.add_parser(
        "simulate", help="serve a simulated platform until interrupted"
    )
    serve.add_argument("--host", default="127.0.0.1")
    serve.add_argument("--port", type=int, default=8000, help="0 takes a free one")
    serve.add_argument("--seed", type=int, default=0, help="of every random choice")
    serve.add_argument(
        "--shortest", type=float, default=0.5, help="seconds the shortest run takes"
    )
    serve.add_argument(
        "--longest", type=float, default=2.0, help="seconds the longest run takes"
    )
    serve.add_argument(
        "--exit-with-stdin",
        action="store_true",
        help="stop when standard input ends, too",
    )
    return parser


def _count(text: str) -> int:
    count = int(text)
    if count < 1:
        msg = f"{count} is not 1 or more"
        raise argparse.ArgumentTypeError(msg)
    return count
