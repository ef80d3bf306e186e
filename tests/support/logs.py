"""What the program prints, in the process of the test."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from exporter.daemon.logs import configure_logging


@contextmanager
def kept_logging() -> Iterator[None]:
    """Leaves logging as it was, whatever is set up meanwhile."""
    disabled = logging.root.manager.disable
    try:
        yield
    finally:
        logging.disable(disabled)
        structlog.reset_defaults()


@contextmanager
def printed() -> Iterator[io.StringIO]:
    """All lines of the program at its lowest level, as JSON."""
    stream = io.StringIO()
    with kept_logging():
        configure_logging("debug", "json", stream=stream)
        yield stream
