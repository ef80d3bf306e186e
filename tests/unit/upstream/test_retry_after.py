"""How long an upstream asks to be left alone."""

from __future__ import annotations

import time
from email.utils import formatdate

import pytest

from exporter.upstream.retry_after import http_date, retry_after_seconds

DATE = "Tue, 24 Nov 2026 00:00:00 GMT"
DATE_TIME = 1795478400


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("5", 5),
        (" 5 ", 5),
        ("0", 0),
        ("3600", 3600),
        (str(10**12), 3600),
        ("9" * 5000, 3600),
        ("-1", None),
        ("1.5", 1.5),
        ("5, 7", 7),
        ("5, x", None),
        ("٣", None),
        ("abc", None),
        ("", None),
        (None, None),
        ("Tue, 24 Nov 2026 00:00:30 GMT", 30),
        ("Tue, 24 Nov 2026 01:00:30 GMT", 3600),
        ("Mon, 23 Nov 2026 00:00:30 GMT", 0),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str | None, seconds: float | None) -> None:
    """`Retry-After` is a number of seconds or a date, an hour at most; what cannot be read is no wish."""
    assert retry_after_seconds(value, DATE) == seconds


@pytest.mark.parametrize("date", [None, "", "yesterday"])
def test_without_a_date_of_the_answer_ours_counts(date: str | None) -> None:
    """A server that sends no `Date`, or none that can be read, is taken to have our clock."""
    found = retry_after_seconds(formatdate(time.time() + 100, usegmt=True), date)
    assert found is not None
    assert 90 < found <= 100


@pytest.mark.parametrize(
    ("text", "at"),
    [
        (DATE, DATE_TIME),
        ("Tuesday, 24-Nov-26 00:00:00 GMT", DATE_TIME),
        ("Tue Nov 24 00:00:00 2026", DATE_TIME),
        ("Tue, 24 Nov 2026 01:00:00 +0100", DATE_TIME),
        ("Tue, 32 Nov 2026 00:00:00 GMT", None),
        ("Tue, 24 Nov 99999999 00:00:00 GMT", None),
        ("Tue, ", None),
        ("2026-11-24T00:00:00Z", None),
        ("24 Nov 2026 00:00:00 GMT", None),
        ("", None),
        (None, None),
    ],
)
def test_a_date_has_three_forms(text: str | None, at: float | None) -> None:
    """The form of today and the two that are obsolete (RFC 9110 §5.6.7), in UTC; everything else is no date."""
    assert http_date(text) == at
