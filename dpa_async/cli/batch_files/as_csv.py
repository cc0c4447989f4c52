"""CSV: a row of names, then a row for each request; what is no field is a parameter."""

import csv
import math
from collections.abc import Iterator

from dpa_async.cli.batch_files.lines import Lines
from dpa_async.cli.batch_files.records import BadLine, Records, read_record

_OWN = ("workflow_id", "key", "timeout")
_NOT_CLOSED = "a quote is not closed"
_NOT_COMMAS = ";\t|"


def read_csv(lines: Lines) -> Records:
    """Read a row at a time; an empty cell says nothing, nor does a blank line.

    A column that is none of `workflow_id`, `key` and `timeout` is a parameter, its
    values are texts. A quoted cell may hold line ends: a row can be several lines.
    """
    rows = _rows(lines)
    header = next(rows, None)
    if header is None:
        return
    line, names = header
    wrong = names if isinstance(names, str) else _wrong_header(names)
    if wrong or isinstance(names, str):
        yield BadLine(line, wrong)
        return
    for line, cells in rows:
        if isinstance(cells, str):
            yield BadLine(line, cells)
        elif len(cells) != len(names):
            words = f"has {len(cells)} cells, and there are {len(names)} columns"
            yield BadLine(line, words)
        else:
            yield read_record(line, _fields(names, cells))


def _rows(lines: Lines) -> Iterator[tuple[int, list[str] | str]]:
    """Give each row with the line that it begins on, or what is wrong with it."""
    rows = csv.reader(lines, strict=True)
    while True:
        began = lines.number + 1
        try:
            cells = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            yield began, _words(str(error))
        except ValueError as error:  # of one line; with others, if it is within quotes
            here = lines.number
            yield began, str(error) if here == began else f"line {here} {error}"
        else:
            if cells:
                yield began, cells


def _words(problem: str) -> str:
    if "end of data" in problem:
        problem = _NOT_CLOSED
    elif "field larger" in problem:
        problem = f"a cell is larger than 128 KiB, or {_NOT_CLOSED}"
    return f"is not CSV: {problem}"


def _wrong_header(names: list[str]) -> str:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        return f"has a column twice: {', '.join(map(repr, twice))}"
    if "workflow_id" not in names:
        words = f"has no column workflow_id; it has {', '.join(map(repr, names))}"
        if len(names) == 1 and any(mark in names[0] for mark in _NOT_COMMAS):
            words += ": separate columns by commas"
        return words
    return "has a column without a name" if "" in names else ""


def _fields(names: list[str], cells: list[str]) -> dict[str, object]:
    said = {name: cell for name, cell in zip(names, cells, strict=True) if cell}
    fields: dict[str, object] = {name: said.pop(name, None) for name in _OWN}
    if fields["timeout"] is not None:
        fields["timeout"] = _number(str(fields["timeout"]))
    fields["params"] = said or None
    return fields


def _number(cell: str) -> float | str:
    """Give what a cell counts; where that is nothing, the cell, to be told."""
    try:
        number = float(cell)
    except ValueError:
        return cell
    return number if math.isfinite(number) else cell
