"""What `dpa --help` costs: CPU, as a ratio to `python -c pass`, interleaved.

    python benchmarks/help.py [rounds]

Both are measured in turn, so that what else the machine does meets both alike; the
medians are compared, and two halves of `pass` with each other as a control.
"""

import os
import statistics
import subprocess
import sys

ROUNDS = 40
LIMIT = 0.35
PASS = [sys.executable, "-c", "pass"]
HELP = [sys.executable, "-m", "dpa_async", "--help"]


def cpu(command: list[str]) -> float:
    """Seconds of CPU, user and system, that a process took."""
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL)  # noqa: S603 - our own
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    assert child.returncode == 0
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    cpu(HELP)  # the bytecode is there afterwards
    passes, again, helps = [], [], []
    for _ in range(rounds):
        passes.append(cpu(PASS))
        helps.append(cpu(HELP))
        again.append(cpu(PASS))
    nothing = statistics.median(passes + again)
    asked = statistics.median(helps)
    control = statistics.median(passes) / statistics.median(again)
    print("median CPU of a process, ms")
    print(f"  python -c pass   {nothing * 1e3:6.1f}  (A/A {control:.2f})")
    print(f"  dpa --help       {asked * 1e3:6.1f}  {asked / nothing:.1f} times as much")
    print(f"  the least        {min(helps) * 1e3:6.1f}")
    assert min(helps) <= LIMIT, f"more than {LIMIT * 1e3:.0f} ms"


if __name__ == "__main__":
    main()
