"""`Retry-After` (RFC 9110 §10.2.3): how long an upstream asks to be left alone."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

MAX_WAIT_SECONDS: Final = 3600.0


def retry_after_seconds(value: str | None, date: str | None = None) -> float | None:
    """Seconds to wait, an hour at most; None where there is none or it cannot be read. A date in the past is 0.

    An HTTP-date is compared with the answer's own `Date`, so that the clocks need not agree.
    """
    if value is None:
        return None
    text = value.strip()
    if text.isdecimal() and text.isascii():
        return min(float(text[:20]), MAX_WAIT_SECONDS)
    until = _moment(text)
    if until is None:
        return None
    now = (_moment(date) if date else None) or datetime.now(UTC)
    return min(max(0.0, (until - now).total_seconds()), MAX_WAIT_SECONDS)


def _moment(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError, IndexError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
