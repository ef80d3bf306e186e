"""What a misspelt word was meant to be, perhaps."""

from __future__ import annotations

from collections.abc import Iterable


def suggestion(word: str, known: Iterable[str]) -> str:
    """`did you mean X?`; an empty text where no known word is near."""
    near = nearest_word(word, known)
    return f"did you mean {near}?" if near else ""


def nearest_word(word: str, known: Iterable[str]) -> str:
    """The known word that is nearest, whatever the case of the letters; an empty text where none is near."""
    import difflib  # here, as a configuration without a fault needs none

    by_lower = {name.lower(): name for name in sorted(known)}
    near = difflib.get_close_matches(word.lower(), by_lower, n=1)
    return by_lower[near[0]] if near else ""
