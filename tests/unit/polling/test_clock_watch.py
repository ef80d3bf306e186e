"""Jumps of the wall clock are noticed, and make what is known older."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from exporter.model.clock import Clock
from exporter.polling.clock_watch import ClockWatch
from exporter.series.store import Store
from tests.support.polls import Recorder


@dataclass(slots=True)
class Hands:
    """What both clocks show."""

    monotonic: float = 100.0
    wall: float = 1_700_000_000.0
    recorder: Recorder = field(default_factory=Recorder)

    def watch(self) -> ClockWatch:
        return ClockWatch(Store(10), self.recorder, Clock(lambda: self.monotonic, lambda: self.wall))


@pytest.mark.parametrize("seconds", [10.0, 86_400.0 * 30, -86_400.0])
def test_a_jump_is_told_once(seconds: float) -> None:
    """Forward or back: one event with its length, however often one looks."""
    hands = Hands()
    watch = hands.watch()
    hands.monotonic, hands.wall = hands.monotonic + 5, hands.wall + 5 + seconds
    assert [watch.look(), watch.look()] == [1, 1]
    assert hands.recorder.named("clock_jump") == [(seconds,)]


def test_time_that_passes_is_no_jump() -> None:
    """Days that both clocks count, and small corrections, are nothing."""
    hands = Hands()
    watch = hands.watch()
    for correction in (0.0, 0.5, -0.5, 5.0):
        hands.monotonic, hands.wall = hands.monotonic + 86_400, hands.wall + 86_400 + correction
        assert watch.look() == 0
    assert hands.recorder.events == []
