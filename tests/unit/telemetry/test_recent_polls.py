"""The last polls of a query."""

from __future__ import annotations

import sys

import pytest

from exporter.telemetry.recent_polls import MAX_RECENT_POLLS, RecentPoll, RecentPolls


def test_the_last_polls_are_kept_in_their_order() -> None:
    """However many there were, the last thirty are known: how long each took, and whether it failed."""
    recent = RecentPolls()
    assert list(recent) == []
    polls = [RecentPoll(float(number), failed=number % 3 == 0) for number in range(4 * MAX_RECENT_POLLS + 7)]
    for count, poll in enumerate(polls, start=1):
        recent.add(poll)
        assert list(recent) == polls[:count][-MAX_RECENT_POLLS:]
        assert len(recent) == min(count, MAX_RECENT_POLLS)


def test_a_poll_that_failed_at_once_is_a_failed_one() -> None:
    """A duration of 0 does not hide the failure."""
    recent = RecentPolls()
    recent.add(RecentPoll(0.0, failed=True))
    recent.add(RecentPoll(0.0, failed=False))
    assert [poll.failed for poll in recent] == [True, False]


def test_a_copy_stays_as_it_is() -> None:
    """What a page shows does not change while it is made."""
    recent = RecentPolls()
    recent.add(RecentPoll(0.5, failed=False))
    copy = recent.copy()
    recent.add(RecentPoll(0.25, failed=True))
    assert list(copy) == [RecentPoll(0.5, failed=False)]


def test_they_need_little_memory() -> None:
    """Ten thousand queries that were polled for days keep less than five megabytes of it."""
    recent = RecentPolls()
    for number in range(1000):
        recent.add(RecentPoll(0.1 * number, failed=False))
    assert sys.getsizeof(recent) + sys.getsizeof(recent._signed) < 500
    assert next(iter(recent)).duration_seconds == pytest.approx(97.0)
