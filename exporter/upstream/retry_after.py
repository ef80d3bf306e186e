"""`Retry-After` and HTTP dates (RFC 9110 §10.2.3, §5.6.7): how long an upstream asks to be left alone."""

from __future__ import annotations

import re
import time
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

MAX_WAIT_SECONDS: Final = 3600.0


def retry_after_seconds(value: str | None, date: str | None = None) -> float | None:
    """Seconds to wait, an hour at most; None where there is none or it cannot be read. A date in the past is 0.

    An HTTP-date is compared with the answer's own `Date`, so that the clocks need not agree. Fractions are taken, as
    Shopify sends them, and of several numbers, as proxies may add theirs, the largest.
    """
    text = (value or "").strip()[:200]
    numbers = [part.strip() for part in text.split(",")]
    if all(re.fullmatch(r"[0-9]+(\.[0-9]*)?", part) for part in numbers):
        return min(max(float(part) for part in numbers), MAX_WAIT_SECONDS)
    until = http_date(text)
    if until is None:
        return None
    now = http_date(date)
    return min(max(0.0, until - (time.time() if now is None else now)), MAX_WAIT_SECONDS)


def http_date(text: str | None) -> float | None:
    """Seconds since the epoch of an HTTP-date in any of its three forms; None if it is not one."""
    if text is None or not re.match(r"[A-Z][a-z]{2,8},? ", text):
        return None
    try:
        moment = parsedate_to_datetime(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
