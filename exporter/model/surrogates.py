"""Halves of surrogate pairs in JSON, which no text in UTF-8 can have."""

from __future__ import annotations

import re
from io import StringIO
from typing import Final

_ESCAPE: Final = re.compile(
    r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(?P<lone>u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)


def without_lone_surrogates(text: str) -> str:
    """The JSON with U+FFFD for each half of a surrogate pair, which no page could carry, and which would make two
    series of what looks the same on it."""
    if "\\ud" not in text and "\\uD" not in text:
        return text
    found, at = StringIO(), 0  # `sub` would keep each of a million escapes as an object
    for escape in _ESCAPE.finditer(text):
        if escape["lone"]:
            found.write(text[at : escape.start()])
            found.write("\\ufffd")
            at = escape.end()
    found.write(text[at:])
    return found.getvalue() if at else text
