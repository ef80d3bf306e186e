"""The bucket of requests, on a clock of the test."""

from __future__ import annotations

from exporter.web.request_limit import RequestLimit


def test_a_bucket_fills_by_one_in_each_interval() -> None:
    """Three at once, then one every two seconds, and never more than three after a long silence."""
    now = [100.0]
    limit = RequestLimit(2.0, 3, lambda: now[0])
    assert [limit.allows() for _ in range(4)] == [True, True, True, False]
    now[0] += 1.9
    assert not limit.allows()
    now[0] += 0.1
    assert [limit.allows() for _ in range(2)] == [True, False]
    now[0] += 3600
    assert [limit.allows() for _ in range(4)] == [True, True, True, False]


def test_a_bucket_of_nothing_lets_nothing_through() -> None:
    """A burst of 0, or of less, is never enough for a request."""
    now = [0.0]
    for burst in (0, -5):
        limit = RequestLimit(1.0, burst, lambda: now[0])
        now[0] += 1000
        assert not limit.allows()
