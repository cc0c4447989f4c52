"""Writes `docs/faults.md`: the catalogue of faults, as the tests hold it to be true.

python tests/transport/fault_table.py
"""

from pathlib import Path

from fault_catalogue import CHAPTERS

PAGE = Path(__file__).parents[2] / "docs" / "faults.md"

HEAD = """\
# What can break, and what you get

Every row is a test: `tests/transport` breaks a real socket that way, plain and over
TLS, on a fresh connection and on one that was used before, at all seven interfaces. The
platform of these tests knows which requests it read to their end and carried out, so
that no verdict is taken on trust.

An exchange ends in one of three ways. What tells them apart is whether the request's
head had left, and never the class of an exception: a reset before the platform read the
request and one after it carried it out look the same.

- **answered**: something came back, though maybe not what the platform says;
- **not sent**, for certain: it is sent again, whatever it is;
- **maybe carried out**: it left, and no answer came. A read is sent again, an execute
  never is.

How to read a row:

- *execute* is what `DPAClient.execute` gives, and *a run?* whether one was started, as
  far as that can be known. Where it is *maybe*, `run_and_wait` and `Runner.start` raise
  `SubmissionUncertainError`; where it is *no*, they raise what is named, or wait for
  their turn where the workflow is busy (code 999).
- *a read, for good*: what the other interfaces give when it goes on like that, after a
  few tries.
- *a read, once*: what they give when it happens once. A code and a token are asked for
  over connections of their own, and a code serves once: where a token's answer is lost,
  the token manager begins again with another code.

Time-outs end what stalls: `connect_timeout` is for all up to the end of the TLS
handshake, `request_timeout` for the whole exchange. Bodies are read up to
`max_body_bytes` (outputs: `max_outputs_bytes`), and never decompressed; of a list there
may be 100,000 rows.

What comes on an idle connection closes it, and the next read takes another. An answer
to an earlier request that comes when the next one has left already cannot be told from
its own by anything but ids: a status is checked by them, and an execute, a code and a
token have connections of their own; outputs and parameters have no ids in them.

A platform that floods a client with interim answers or one-byte chunks, as fast as it
can, holds up its event loop for a tenth of a second at a time, until the time-out: they
are parsed below this library, 256 KiB at once.

This page is written by `python tests/transport/fault_table.py`, from the catalogue that
the tests play; a test fails where the two differ.
"""

COLUMNS = ("", "verdict", "execute", "a run?", "a read, for good", "a read, once")


def _row(*cells):
    return f"| {' | '.join(cells)} |"


def render():
    """Give the page as it should be."""
    lines = [HEAD]
    for chapter, faults in CHAPTERS.items():
        lines += [f"## {chapter}", "", _row(*COLUMNS), _row(*["---"] * len(COLUMNS))]
        lines += [
            _row(name, f.verdict, f.execute, f.started, f.read, f.once)
            for name, f in faults.items()
        ]
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(render(), encoding="utf-8")
