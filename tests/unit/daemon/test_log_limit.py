"""How many log lines a source may have."""

from __future__ import annotations

import pytest
import structlog

from exporter.daemon.log_limit import LINES_A_MINUTE, LogLimit


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def written(
    limit: LogLimit, count: int, source: str | None = "acme", method: str = "warning"
) -> list[dict[str, object]]:
    """The lines that come through, of so many."""
    found = []
    for _ in range(count):
        event: dict[str, object] = {"event": "x"} if source is None else {"event": "x", "source": source}
        try:
            found.append(dict(limit(None, method, event)))
        except structlog.DropEvent:
            continue
    return found


def test_a_source_has_ten_lines_a_minute() -> None:
    """Beyond that, lines are dropped, of this source alone; lines for debugging and of no source are not counted."""
    limit = LogLimit(Clock())
    assert len(written(limit, 300)) == LINES_A_MINUTE
    assert len(written(limit, 300, "other")) == LINES_A_MINUTE
    assert len(written(limit, 300, None)) == 300
    assert len(written(limit, 300, method="debug")) == 300


def test_what_was_left_out_is_counted() -> None:
    """The first line of the next minute has the count."""
    clock = Clock()
    limit = LogLimit(clock)
    written(limit, 300)
    clock.now = 59.9
    assert not written(limit, 1)
    clock.now = 60.0
    first, second = written(limit, 2)
    assert first["lines_left_out"] == 291
    assert "lines_left_out" not in second


def test_the_count_comes_by_itself() -> None:
    """Where nothing else is to be said in the next minute, a line says how many there were, once."""
    clock = Clock()
    limit = LogLimit(clock)
    written(limit, 12)
    with structlog.testing.capture_logs(processors=[limit]) as lines:
        clock.now = 59.0
        limit.report()
        assert not lines
        clock.now = 60.0
        limit.report()
        limit.report()
    assert [(line["source"], line["lines_left_out"]) for line in lines] == [("acme", 2)]


@pytest.mark.parametrize("lines", [0, 10])
def test_nothing_is_said_where_nothing_was_left_out(lines: int) -> None:
    """Ten lines are ten lines."""
    clock = Clock()
    limit = LogLimit(clock)
    written(limit, lines)
    clock.now = 100.0
    with structlog.testing.capture_logs(processors=[limit]) as found:
        limit.report()
    assert not found
