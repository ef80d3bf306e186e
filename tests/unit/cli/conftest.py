"""What the tests of commands have in common."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.logs import kept_logging


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    """Leaves logging, which commands set up, as it was before each test."""
    with kept_logging():
        yield
