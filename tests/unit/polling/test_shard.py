"""How the work is split among shards."""

from __future__ import annotations

import re
from collections import Counter
from operator import ne

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.polling.shard import NOT_SPLIT, Shard, shard_of, shard_of_flags

PROMISED = [1, 0, 4, 3, 0, 1, 2, 2, 4, 4, 1, 0]


@given(st.text(), st.integers(1, 500))
def test_one_shard_owns_what_there_is(key: str, count: int) -> None:
    """Whatever a target is called, exactly one of the shards owns it."""
    assert [Shard(index, count).owns(key) for index in range(count)].count(True) == 1


@given(st.text(), st.integers(1, 500))
def test_what_moves_goes_to_the_new_shard(key: str, count: int) -> None:
    """With another shard a target stays where it is, or moves to the new one; never between the old ones."""
    assert shard_of(key, count + 1) in (shard_of(key, count), count)


@given(st.integers(0, 2**32), st.integers(1, 24))
def test_another_shard_takes_its_share(seed: int, count: int) -> None:
    """Of many targets about 1/(n + 1) move to the new shard, and all shards have about as many."""
    keys = [f"{seed} {number}" for number in range(3000)]
    share = len(keys) / (count + 1)
    margin = 6 * share**0.5  # six standard deviations
    before, after = ([shard_of(key, shards) for key in keys] for shards in (count, count + 1))
    assert abs(sum(map(ne, before, after)) - share) < margin
    sizes = Counter(after)
    assert all(abs(sizes[index] - share) < margin for index in range(count + 1))


def test_the_split_is_the_same_in_every_version() -> None:
    """The split is a promise: an upgrade moves nothing."""
    assert [shard_of(f"target {number}", 5) for number in range(12)] == PROMISED


def test_the_flags_say_which_shard_this_is() -> None:
    """A number, or the one at the end of the host's name; nothing where there is one exporter."""
    assert shard_of_flags(None, 1, "any") == NOT_SPLIT
    assert shard_of_flags("2", 4, "any") == Shard(2, 4)
    assert shard_of_flags("auto", 4, "insights-exporter-3") == Shard(3, 4)
    assert shard_of_flags("0", 1, "any") == NOT_SPLIT


@pytest.mark.parametrize(
    ("index", "count", "told"),
    [
        (None, 4, "--shard=0 to --shard=3"),
        ("4", 4, "shards are 0 to 3; this is 4"),
        ("auto", 4, "a host name that ends in a number, such as exporter-0; it is web"),
        ("-1", 4, "neither a number nor auto"),
        ("٣", 4, "neither a number nor auto"),
    ],
)
def test_flags_that_name_no_shard_are_refused(index: str | None, count: int, told: str) -> None:
    """What is missing or wrong is said with what would be right."""
    with pytest.raises(ValueError, match=re.escape(told)):
        shard_of_flags(index, count, "web")
