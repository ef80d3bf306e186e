"""Patterns of RE2, as Prometheus' own: no text makes them slow."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

from msgspec import Struct

LONGEST_TEXT: Final = 10_000  # characters: longer texts are not searched
_MEMORY: Final = 1 << 20  # bytes of a compiled pattern


class Pattern(Struct, frozen=True):
    """A pattern with one group, which is the part of a text that is taken."""

    text: str

    def part(self, text: str) -> str | None:
        """What the group is at the first place where the pattern fits; None where it fits nowhere."""
        found = _compiled(self.text).search(text) if len(text) <= LONGEST_TEXT else None
        return None if found is None else found[1]


def parse_pattern(text: str) -> Pattern:
    """The pattern that is written so. Raises `ValueError` with the remedy."""
    import re2

    try:
        groups = _compiled(text).groups
    except re2.error:  # whose text may be in bytes, and quotes the pattern
        raise ValueError("not a pattern of RE2; see its syntax, which Prometheus has, too") from None
    if groups != 1:
        raise ValueError("a pattern has one group, the part that is taken; write (…) once, and (?:…) for others")
    return Pattern(text)


@lru_cache(1000)
def _compiled(text: str) -> Any:
    import re2  # here, as few configurations have a pattern

    options = re2.Options()
    options.log_errors = False
    options.max_mem = _MEMORY
    return re2.compile(text, options)
