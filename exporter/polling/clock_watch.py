"""Whether the wall clock was set, or the machine slept: the wall's time and the monotonic one then part ways."""

from __future__ import annotations

from typing import Final

from exporter.model.clock import CLOCK, Clock
from exporter.polling.observer import Observer
from exporter.series.store import Store

JUMP_SECONDS: Final = 10.0  # clocks are put right by less all the time


class ClockWatch:
    """Notices jumps of the wall clock. What is known becomes older by a jump forward, as by any time that passes."""

    def __init__(self, store: Store, observer: Observer, clock: Clock = CLOCK) -> None:
        self._store = store
        self._observer = observer
        self._clock = clock
        self._offset = self._present_offset()
        self.jumps = 0

    def look(self) -> int:
        """Takes in a jump since the last look. How many there were so far."""
        offset = self._present_offset()
        seconds, self._offset = offset - self._offset, offset
        if abs(seconds) >= JUMP_SECONDS:
            self.jumps += 1
            if seconds > 0:
                self._store.age(seconds)
            self._observer.on_clock_jump(seconds)
        return self.jumps

    def _present_offset(self) -> float:
        return self._clock.wall() - self._clock.monotonic()
