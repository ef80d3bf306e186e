"""Durations are Prometheus' durations."""

from __future__ import annotations

import pytest

from exporter.model.duration import duration_seconds, duration_text, seconds_text


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 30.0),
        ("5m", 300.0),
        ("1h30m", 5400.0),
        ("1d", 86400.0),
        ("1w2d", 777600.0),
        ("1y", 31536000.0),
        ("500ms", 0.5),
        ("1m500ms", 60.5),
        ("0", 0.0),
        ("0s", 0.0),
        ("90m", 5400.0),
    ],
)
def test_a_duration_is_read_as_prometheus_reads_it(text: str, seconds: float) -> None:
    """What may stand in `prometheus.yml` may stand here."""
    assert duration_seconds(text) == seconds


@pytest.mark.parametrize(
    "text",
    ["", "5", "5 m", " 5m", "5m ", "-5m", "1.5h", "5M", "m", "30m1h", "1h1h", "5min", "٣s", "5m\n", "9" * 5000 + "s"],
)
def test_what_is_not_a_duration_is_refused_with_the_remedy(text: str) -> None:
    """A number without a unit, or with a wrong one, is a load error that shows good ones."""
    with pytest.raises(ValueError, match=r"not a duration; write a number with a unit, such as 500ms"):
        duration_seconds(text)


@pytest.mark.parametrize("text", ["101y", "9" * 98 + "ms", "9" * 98 + "y"])
def test_a_duration_longer_than_a_life_is_refused(text: str) -> None:
    """Absurd durations are refused instead of overflowing later."""
    with pytest.raises(ValueError, match="longer than 100 years"):
        duration_seconds(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (30, "30s"),
        (60, "1m"),
        (5400, "1h30m"),
        (86400, "1d"),
        (0.5, "500ms"),
        (60.25, "1m250ms"),
        (90000, "1d1h"),
    ],
)
def test_a_duration_is_shown_as_short_as_it_can_be(seconds: float, text: str) -> None:
    """HELP texts say `5m`, not `300s`."""
    assert duration_text(seconds) == text
    assert duration_seconds(text) == seconds


@pytest.mark.parametrize(
    ("seconds", "text"), [(10.0, "10 s"), (9.98765, "10 s"), (0.2, "0.2 s"), (12.34, "12.3 s"), (0.0123, "0.012 s")]
)
def test_seconds_in_messages_are_rounded(seconds: float, text: str) -> None:
    """A deadline of which a part is over is no figure of five digits."""
    assert seconds_text(seconds) == text
