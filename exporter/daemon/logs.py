"""Log lines: one for each event, logfmt or JSON, without tracebacks, and without secrets."""

from __future__ import annotations

import logging
import select
import sys
from collections.abc import MutableMapping
from contextlib import suppress
from typing import Any, Final, TextIO, cast

import structlog

from exporter.daemon.log_limit import LIMIT
from exporter.model.censor import EVERYTHING

LEVELS: Final = {"debug": logging.DEBUG, "info": logging.INFO, "warn": logging.WARNING, "error": logging.ERROR}
FORMATS: Final = ("logfmt", "json")


def configure_logging(level: str, style: str, stream: TextIO | None = None) -> None:
    """Sets up structlog. Credentials are replaced wherever they would be printed, as a last defence."""
    LIMIT.begin()
    renderer: Any = (
        structlog.processors.JSONRenderer(sort_keys=False)
        if style == "json"
        else structlog.processors.LogfmtRenderer(key_order=["ts", "level", "msg"], drop_missing=True)
    )
    structlog.configure(
        processors=[
            LIMIT,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
            structlog.processors.EventRenamer("msg"),
            _clean_fields,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(cast("TextIO", _Patient(stream or sys.stderr))),
        cache_logger_on_first_use=False,
    )
    logging.disable(logging.CRITICAL)  # the libraries' own lines would be a second, unhidden log


class _Patient:
    """A stream whose end may be gone, or a pipe that nobody empties: losing log lines must not end the polling."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Writes a whole line, or drops it where the write would wait."""
        with suppress(OSError, ValueError):
            if not self._is_full():
                self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            self._stream.flush()

    def _is_full(self) -> bool:
        try:
            number = self._stream.fileno()
        except (OSError, ValueError):  # a text in memory
            return False
        room = select.poll()
        room.register(number, select.POLLOUT)
        return not room.poll(0)


def _clean_fields(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Takes the credentials out of every field."""
    return {key: EVERYTHING.clean(value) if isinstance(value, str) else value for key, value in event.items()}
