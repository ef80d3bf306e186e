"""Targets in packs, however they come and go."""

from __future__ import annotations

from math import ceil

from hypothesis import given
from hypothesis import strategies as st

from exporter.polling.due import into_packs

SETS = st.lists(st.integers(0, 40), unique=True)


@given(st.lists(SETS, max_size=6), st.integers(1, 7), st.integers(1, 7))
def test_each_target_is_in_one_group_and_there_are_no_more_groups_than_needed(
    rounds: list[list[int]], first_size: int, later_size: int
) -> None:
    """However targets come and go and packs shrink, none is lost or polled twice, and no call is made without need."""
    groups: list[list[int]] = []
    for number, wanted in enumerate(rounds):
        size = later_size if number else first_size
        before, groups = groups, into_packs(groups, wanted, size)
        assert sorted(item for group in groups for item in group) == sorted(wanted)
        assert all(len(group) <= size for group in groups)
        assert sum(map(bool, groups)) == ceil(len(wanted) / size)
        assert len(groups) >= len(before)
