"""Log lines: one for each event, logfmt or JSON, without tracebacks, and without secrets."""

from __future__ import annotations

import logging
import select
import sys
from collections.abc import Iterable, MutableMapping
from contextlib import suppress
from typing import Any, Final, TextIO, cast

import structlog

from exporter.model.secret import SHOWN

LEVELS: Final = {"debug": logging.DEBUG, "info": logging.INFO, "warn": logging.WARNING, "error": logging.ERROR}
FORMATS: Final = ("logfmt", "json")


def configure_logging(level: str, style: str, hidden: tuple[str, ...] = (), stream: TextIO | None = None) -> None:
    """Sets up structlog. `hidden` are texts that are replaced wherever they would be printed, as a last defence."""
    hide(hidden)
    renderer: Any = (
        structlog.processors.JSONRenderer(sort_keys=False)
        if style == "json"
        else structlog.processors.LogfmtRenderer(key_order=["ts", "level", "msg"], drop_missing=True)
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
            structlog.processors.EventRenamer("msg"),
            _hidden,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(cast("TextIO", _Patient(stream or sys.stderr))),
        cache_logger_on_first_use=False,
    )
    logging.disable(logging.CRITICAL)  # the libraries' own lines would be a second, unhidden log


def censored(text: str) -> str:
    """The text as the log would have it: with what is hidden replaced."""
    return _hidden.replaced(text)


def hide(texts: Iterable[str]) -> None:
    """Has these texts replaced in every later line too, as a last defence."""
    _hidden.texts.update(text for text in texts if len(text) >= 4)


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


class _Hiding:
    """Replaces the hidden texts in every field."""

    def __init__(self) -> None:
        self.texts: set[str] = set()

    def __call__(self, _logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        for key, value in event.items():
            if isinstance(value, str):
                event[key] = self.replaced(value)
        return event

    def replaced(self, value: str) -> str:
        for text in sorted(self.texts, key=len, reverse=True):  # one may be a piece of another
            value = value.replace(text, SHOWN)
        return value


_hidden = _Hiding()
