"""Which delay follows from what was seen."""

from __future__ import annotations

import pytest

from exporter.cli.verify.freshness import Freshness


@pytest.mark.parametrize(
    ("before", "seen", "delay"),
    [
        (0.0, 0.0, 0),  # nothing changed: all was there at once
        (3.9, 4.4, 5),
        (4.6, 5.7, 5),
        (108.0, 119.0, 120),
        (112.0, 123.0, 120),
        (3700.0, 3710.0, 7200),
    ],
)
def test_the_delay_is_a_round_figure_that_fits_what_was_seen(before: float, seen: float, delay: float) -> None:
    """The last change came between two looks: a round figure between them, or else the next above."""
    assert Freshness(before, seen, still_changing=False, late=(), counted=1).delay_seconds == delay


def test_no_delay_is_named_while_the_past_still_changes() -> None:
    """A watch that ended too early names no figure that would be wrong."""
    assert Freshness(3, 4, still_changing=True, late=(), counted=1).delay_seconds is None


@pytest.mark.parametrize(
    ("seen", "watched", "named"), [(0.0, 10, False), (0.0, 300, True), (5.0, 6, False), (5.0, 15, True)]
)
def test_no_delay_is_named_that_the_watch_cannot_support(seen: float, watched: float, named: bool) -> None:
    """Where nothing changed in some seconds, counts may come later than that; where the last change came just before
    the end, more may follow."""
    found = Freshness(max(0.0, seen - 1), seen, still_changing=False, late=(), counted=1, watched_seconds=watched)
    assert (found.delay_seconds is not None) is named
