"""How any targets are split among any number of shards."""

from __future__ import annotations

from collections import Counter
from operator import ne

from hypothesis import given
from hypothesis import strategies as st

from exporter.polling.shard import Shard, shard_of


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
