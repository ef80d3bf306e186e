"""Misspelt words."""

from __future__ import annotations

from exporter.model.suggestion import suggestion


def test_a_misspelt_word_is_answered_with_the_nearest() -> None:
    """Whoever mistypes a name reads the one that is likely meant, as it is written; nothing where none is near."""
    known = ["interval", "timeout", "orgId"]
    assert suggestion("intervall", known) == "did you mean interval?"
    assert suggestion("ORGID", known) == "did you mean orgId?"
    assert suggestion("document", known) == ""
