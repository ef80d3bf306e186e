"""Ticks of any interval at any time."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from exporter.polling.ticks import next_tick_at, ticks_between


@given(
    began=st.floats(0, 1e6),
    share=st.floats(0, 0.999),
    interval=st.sampled_from([0.1, 0.3, 1.0, 10.0, 60.0, 300.0, 3600.0]),
    late=st.floats(0.002, 0.99),
    missed=st.integers(0, 5),
)
@example(began=33_333.3, share=0.7, interval=0.1, late=0.5, missed=0)
def test_ticks_that_passed_are_counted_whatever_the_rounding(
    began: float, share: float, interval: float, late: float, missed: int
) -> None:
    """A poll that began at a tick and ended so many intervals later has missed that many ticks."""
    phase = share * interval
    tick_at = next_tick_at(began, interval, phase)
    next_at = next_tick_at(tick_at + (missed + late) * interval, interval, phase)
    assert ticks_between(tick_at, next_at, interval) == missed
