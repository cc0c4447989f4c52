"""A soak of random faults: 500 cases here, as many as `SOAK_CASES` says elsewhere.

    SOAK_CASES=10000 SOAK_SEED=7 pytest tests/transport/test_soak.py

`nox -s soak` plays 10,000 with a seed of its own, which it shows.
"""

import os
import sys

from soak import soak
from watching import play

CASES = int(os.environ.get("SOAK_CASES", "500"))
SEED = os.environ.get("SOAK_SEED", "dpa")


def test_whatever_happens_the_verdicts_are_right(certificates, capsys):
    tally = play(soak(CASES, SEED, certificates))
    with capsys.disabled():
        if "SOAK_CASES" in os.environ:
            sys.stdout.write(f"\nseed {SEED}\n{tally.text}\n")
    assert not tally.wrong, f"{len(tally.wrong)} wrong\n" + "\n".join(tally.wrong[:20])
    assert sum(tally.outcomes.values()) == CASES
