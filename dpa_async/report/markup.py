"""HTML and JSON that hold any text: what is not `Html` is escaped on its way in."""

import base64
import hashlib
import html
import json
import re
import unicodedata
from typing import NewType

Html = NewType("Html", str)
"""Text that is HTML already; only this module makes it."""

_VOID = frozenset({"br", "input", "meta"})
# What could end the script, what is not seen, and what is but half a character.
_UNSAFE = re.compile(
    "[<>&\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]"
)


def shown(text: str, *, keep: str = "") -> str:
    r"""Make what is not seen visible: `\x1b` and `\u202e` cannot drive or mislead.

    Args:
        text: Whatever it is, half characters too.
        keep: Control characters that stay as they are.
    """
    if text.isprintable():
        return text
    return "".join([c if _is_seen(c) or c in keep else _escape(c) for c in text])


def _is_seen(character: str) -> bool:
    return character.isprintable() or unicodedata.category(character) == "Zs"


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def text(*parts: object, keep: str = "") -> Html:
    """Make HTML of plain text, for content and attributes alike."""
    return Html(html.escape(shown("".join(map(str, parts)), keep=keep)))


def element(name: str, /, *children: Html, **attributes: object) -> Html:
    """Make an element of HTML or SVG.

    Args:
        name: Of the element.
        children: What is in it.
        attributes: `_` stands for `-`, and one at the end for nothing; None and False
            are left out, True has no value.
    """
    words = "".join(
        f" {key.rstrip('_').replace('_', '-')}"
        + ("" if value is True else f'="{text(_plain(value))}"')
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    if name in _VOID:
        return Html(f"<{name}{words}>")
    return Html(f"<{name}{words}>{''.join(children)}</{name}>")


def join(*children: Html) -> Html:
    """Put HTML behind HTML."""
    return Html("".join(children))


def verbatim(name: str, content: str) -> tuple[Html, str]:
    """Make an element of CSS or JavaScript of our own, and its hash for the policy.

    Args:
        name: `script` or `style`.
        content: As it stands; it must not hold the element's end.
    """
    digest = hashlib.sha256(content.encode()).digest()
    source = f"'sha256-{base64.b64encode(digest).decode('ascii')}'"
    return Html(f"<{name}>{content}</{name}>"), source


def data(name: str, value: object) -> Html:
    """Make an element that holds JSON for a script."""
    words = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    safe = _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", words)
    return Html(f'<script type="application/json" id="{text(name)}">{safe}</script>')


def number(value: float, places: int = 2) -> str:
    """Write a number as short as it goes."""
    words = f"{value:.{places}f}"
    return (words.rstrip("0").rstrip(".") if "." in words else words) or "0"


def percent(share: float) -> str:
    """Write a share of the width, for SVG's coordinates."""
    return f"{number(100 * share)}%"


def _plain(value: object) -> object:
    return number(value) if isinstance(value, float) else value
