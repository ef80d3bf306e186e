"""At most so many log lines of a source in a minute; the rest is counted in one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, MutableMapping
from typing import Any, Final

import structlog
from msgspec import Struct

LINES_A_MINUTE: Final = 10
_MINUTE_SECONDS: Final = 60.0
_LOOK_SECONDS: Final = 1.0
_log = structlog.get_logger()


class _Minute(Struct):
    """What became of a source's lines since a moment, monotonic."""

    began_at: float
    written: int = 0
    left_out: int = 0


class LogLimit:
    """A processor of structlog that drops the lines of a source beyond ten in a minute. Lines for debugging are not
    counted."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._minutes: dict[str, _Minute] = {}

    def begin(self) -> None:
        """Forgets what was written and left out."""
        self._minutes.clear()

    def __call__(self, _logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """The line, or `DropEvent`. The first line of a minute says how many the one before left out."""
        source = event.get("source")
        if method == "debug" or not isinstance(source, str):
            return event
        now = self._monotonic()
        minute = self._minutes.get(source)
        if minute is None or now - minute.began_at >= _MINUTE_SECONDS:
            if minute is not None and minute.left_out:
                event["lines_left_out"] = minute.left_out
            minute = self._minutes[source] = _Minute(now)
        if minute.written >= LINES_A_MINUTE:
            minute.left_out += 1
            raise structlog.DropEvent
        minute.written += 1
        return event

    def report(self) -> None:
        """Writes a line for each source whose minute is over and left lines out."""
        now = self._monotonic()
        for source, minute in list(self._minutes.items()):
            if now - minute.began_at >= _MINUTE_SECONDS:
                if minute.left_out:
                    _log.warning("further log lines were left out; see the metrics and the status page", source=source)
                else:
                    del self._minutes[source]

    async def keep_reporting(self) -> None:
        """Reports for ever."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            self.report()


LIMIT: Final = LogLimit()
