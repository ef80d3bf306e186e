"""What the status page tells people to do."""

from __future__ import annotations

from exporter.model.errors import Reason
from exporter.web.remedies import REMEDIES


def test_every_reason_has_a_remedy() -> None:
    """Whatever fails, the page says what to do, in one line of whole sentences."""
    assert REMEDIES.keys() == set(Reason)
    assert [text for text in REMEDIES.values() if not text.endswith(".") or len(text) > 120] == []
