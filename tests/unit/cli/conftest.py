"""What the tests of commands have in common."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
import structlog


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    """Leaves logging, which commands set up, as it was before each test."""
    disabled = logging.root.manager.disable
    yield
    logging.disable(disabled)
    structlog.reset_defaults()
