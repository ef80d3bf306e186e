"""How many requests are answered in a time: a bucket that fills at a steady rate, as the exporter-toolkit has it."""

from __future__ import annotations

import time
from collections.abc import Callable


class RequestLimit:
    """Lets `burst` requests through at once, and one more for each interval that passes.

    Source: https://pkg.go.dev/golang.org/x/time/rate#Limiter, whose bucket is full at the start.
    """

    def __init__(self, interval_seconds: float, burst: int, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.interval_seconds = interval_seconds
        self._burst = burst
        self._monotonic = monotonic
        self._left = float(burst)
        self._counted_at = monotonic()

    def allows(self) -> bool:
        """Whether one more request is answered now; if so, it is taken from the bucket."""
        now = self._monotonic()
        self._left = min(self._burst, self._left + (now - self._counted_at) / self.interval_seconds)
        self._counted_at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
