"""How the work is split among shards."""

from __future__ import annotations

import re

import pytest

from exporter.polling.shard import NOT_SPLIT, Shard, shard_of, shard_of_flags

PROMISED = [1, 0, 4, 3, 0, 1, 2, 2, 4, 4, 1, 0]


@pytest.mark.parametrize("count", [1, 2, 5, 24])
def test_one_shard_owns_each_target(count: int) -> None:
    """With one shard more, a target stays where it is or moves to the new one."""
    for number in range(100):
        key = f"target {number}"
        assert [Shard(index, count).owns(key) for index in range(count)].count(True) == 1
        assert shard_of(key, count + 1) in (shard_of(key, count), count)


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
