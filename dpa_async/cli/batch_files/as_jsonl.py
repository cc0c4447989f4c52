"""JSONL: a JSON object on each line."""

import json
from typing import cast

from dpa_async.cli.batch_files.lines import Lines
from dpa_async.cli.batch_files.records import BadLine, Records, read_record


def read_jsonl(lines: Lines) -> Records:
    """Read a line at a time; blank lines say nothing."""
    while True:
        try:
            text = next(lines)
            fields = None if text.isspace() else _object(text)
        except StopIteration:
            return
        except ValueError as error:
            yield BadLine(lines.number, str(error))
        else:
            if fields is not None:
                yield read_record(lines.number, fields)


def _object(text: str) -> dict[str, object]:
    try:
        value: object = _DECODER.decode(text.rstrip())
    except json.JSONDecodeError as error:
        words = f"is not JSON: {error.msg} (column {error.colno})"
    except RecursionError:
        words = "is nested too deep"
    else:
        if isinstance(value, dict):
            return cast("dict[str, object]", value)
        words = 'is no JSON object: write {"workflow_id": …}'
    raise ValueError(words)


def _each_once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        msg = f"says {twice!r} twice"
        raise ValueError(msg)
    return fields


def _no_constant(name: str) -> object:
    msg = f"is not JSON: {name} is no number there"
    raise ValueError(msg)


_DECODER = json.JSONDecoder(object_pairs_hook=_each_once, parse_constant=_no_constant)
