"""What time it is: the clock of the machine, or one that a test sets."""

from __future__ import annotations

import time

import pytest

from exporter.model.clock import CLOCK, Clock


def test_the_clock_is_that_of_the_machine() -> None:
    """One time never jumps and one is Unix time; both are seconds."""
    before = time.monotonic(), time.time()
    monotonic, wall = CLOCK.monotonic(), CLOCK.wall()
    assert before[0] <= monotonic <= time.monotonic()
    assert before[1] <= wall <= time.time()


def test_another_clock_can_be_given_and_nobody_can_set_it() -> None:
    """A part of the program that gets a clock lives by it, and leaves it as it is."""
    clock = Clock(monotonic=lambda: 5.0, wall=lambda: 7.0)
    assert (clock.monotonic(), clock.wall()) == (5.0, 7.0)
    with pytest.raises(AttributeError, match="immutable"):
        clock.wall = time.time  # type: ignore[misc]
