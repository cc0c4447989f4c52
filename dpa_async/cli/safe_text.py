"""Text from elsewhere, made fit for a terminal: it is shown, and never obeyed.

What is not printable (control characters, and with them every ANSI sequence; bidi
overrides; what has no width) is written as its escape.
"""

import json
import re
import unicodedata

_NOT_ASCII_PRINTABLE = re.compile(r"[^ -~]")
_FAR = 0xFFFF
_NEAR = 0xFF


def shown(text: str) -> str:
    r"""Give one line: what is not printable as `\x1b`, `\u202e` and the like."""
    if text.isprintable():
        return text
    return _NOT_ASCII_PRINTABLE.sub(lambda found: _escaped(found[0]), text)


def shown_lines(text: str) -> list[str]:
    """Give the lines of a text of several, each as `shown` gives it."""
    return [shown(line) for line in text.replace("\r\n", "\n").split("\n")]


def json_text(value: object, *, indent: int | None = None, ascii_only: bool) -> str:
    """Give JSON whose text is printable, and the same value as ever when decoded."""
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    if text.isprintable():
        return text
    # Whatever is not printable stands inside a string, but for the lines' ends.
    return _NOT_ASCII_PRINTABLE.sub(lambda found: _json_escaped(found[0]), text)


def _escaped(char: str) -> str:
    if char.isprintable() or unicodedata.category(char) == "Zs":
        return char
    code = ord(char)
    if code > _FAR:
        return f"\\U{code:08x}"
    return f"\\u{code:04x}" if code > _NEAR else f"\\x{code:02x}"


def _json_escaped(char: str) -> str:
    return char if char.isprintable() or char == "\n" else json.dumps(char)[1:-1]
