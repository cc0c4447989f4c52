"""How an outcome file is written and read again: JSONL, or CSV for spreadsheets."""

import codecs
import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import cast

from attrs import frozen

from dpa_async.cli.outcomes import COLUMNS
from dpa_async.cli.safe_text import json_text
from dpa_async.cli.working import UsageError

Fields = Mapping[str, object]

# What a spreadsheet takes for the beginning of a formula, also in full width, and what
# it strips before it looks. The quote itself is among them, so that reading is exact.
_FORMULA = frozenset("=+-@\t\r\n'\uff1d\uff0b\uff0d\uff20")
_TEXT_MARK = "'"
_LARGEST_CELL = 2**31 - 1
_CUT_SHORT = "unexpected end of data"  # within quotes: a row of several lines


@frozen
class OutcomeFormat:
    """A way to write outcomes.

    Attributes:
        head: What the file begins with.
        write: Gives the bytes of a record, which end with a line end.
        read: Gives each record of a file's lines, all of which have their ends; raises
            `ValueError` where there is something else.
    """

    head: bytes
    write: Callable[[Fields], bytes]
    read: Callable[[Iterable[bytes]], Iterator[Fields]]


def format_of(path: Path) -> OutcomeFormat:
    """Give the format that a file's name says.

    Raises:
        UsageError: It says none.
    """
    found = _FORMATS.get(path.suffix.lower())
    if found is None:
        msg = f"--out: {path} is in which format? Give a name that ends in {_KNOWN}"
        raise UsageError(msg)
    return found


def _write_json(record: Fields) -> bytes:
    return json_text(record, ascii_only=False).encode() + b"\n"


def _read_json(lines: Iterable[bytes]) -> Iterator[Fields]:
    for line in lines:
        try:
            record: object = json.loads(line)
        except RecursionError:
            record = None
        if not isinstance(record, dict):
            msg = "is no JSON object"
            raise ValueError(msg)  # noqa: TRY004 - of the text, as json's own
        yield cast("dict[str, object]", record)


def _write_csv(record: Fields) -> bytes:
    return _row(_cell(record.get(name)) for name in COLUMNS)


def _cell(value: object) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else json_text(value, ascii_only=False)
    return _TEXT_MARK + text if text[:1] in _FORMULA else text


def _row(cells: Iterable[str]) -> bytes:
    text = io.StringIO()
    # All in quotes: a carriage return alone would not be, and could not be read again.
    csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL).writerow(cells)
    return text.getvalue().encode(errors="backslashreplace")


def _read_csv(lines: Iterable[bytes]) -> Iterator[Fields]:
    usual = csv.field_size_limit(_LARGEST_CELL)  # outputs can be large
    rows = csv.reader((line.decode("utf-8-sig") for line in lines), strict=True)
    try:
        if tuple(next(rows, COLUMNS)) != COLUMNS:
            msg = "has other columns"
            raise ValueError(msg)
        for row in rows:
            cells = zip(COLUMNS, row, strict=True)
            yield {name: cell.removeprefix(_TEXT_MARK) for name, cell in cells}
    except csv.Error as error:
        if _CUT_SHORT not in str(error):
            raise ValueError(str(error)) from None
    finally:
        csv.field_size_limit(usual)


# Without the mark of UTF-8 the best-known spreadsheet takes it for something older.
_HEAD = codecs.BOM_UTF8 + _row(COLUMNS)
_JSONL = OutcomeFormat(b"", _write_json, _read_json)
_CSV = OutcomeFormat(_HEAD, _write_csv, _read_csv)
_FORMATS = {".jsonl": _JSONL, ".ndjson": _JSONL, ".csv": _CSV}
_KNOWN = ", ".join(_FORMATS)
