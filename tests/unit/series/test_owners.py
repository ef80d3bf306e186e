"""Who publishes which series: each has one owner."""

from __future__ import annotations

import random

from exporter.model.samples import Family, LabelValues, MetricType, Samples
from exporter.series.owners import NONE, Claims, Keys

FAMILY = Family("load", MetricType.GAUGE, "Load.", ("api",))


def keys(*names: str) -> Keys:
    return Keys.of(Samples.of(FAMILY, dict.fromkeys(((name,) for name in names), 1)))


def test_keys_are_those_of_the_series_and_show_the_first() -> None:
    """Labels are kept as hashes; a hundred stay readable, for messages."""
    few, many = keys("a", "b"), keys(*map(str, range(150)))
    assert list(few.hashes) == [hash(("a",)), hash(("b",))]
    assert few.some == (("a",), ("b",))
    assert (len(few), len(many), len(many.some)) == (2, 150, 100)
    assert many.some[-1] == ("99",)


def test_keys_are_disjoint_from_what_they_do_not_have() -> None:
    """One series in common is enough."""
    assert keys("a", "b").isdisjoint(keys("c").hashes)
    assert not keys("a", "b").isdisjoint(keys("c", "b").hashes)
    assert NONE.isdisjoint(keys("a").hashes)
    assert not NONE


def test_a_series_that_another_owner_has_is_found() -> None:
    """With one other owner, with several, and not for who has it."""
    claims: Claims[str] = Claims()
    assert claims.other("one", "load", keys("a")) is None
    claims.put("one", "load", keys("a", "b"))
    assert claims.other("two", "load", keys("x", "b")) == "one"
    assert claims.other("two", "load", keys("x")) is None
    assert claims.other("two", "another family", keys("a")) is None
    assert claims.other("one", "load", keys("a")) is None
    claims.put("two", "load", keys("c"))
    assert claims.other("three", "load", keys("c")) == "two"
    assert claims.other("three", "load", keys("x", "a")) == "one"
    assert claims.other("three", "load", keys("x")) is None
    assert claims.other("two", "load", keys("c", "d")) is None


def test_what_an_owner_gives_up_is_free() -> None:
    """It has exactly what it put last, among several owners and alone."""
    claims: Claims[str] = Claims()
    for owner, names in (("one", "a"), ("two", "b"), ("three", "c")):
        claims.put(owner, "load", keys(names))
    claims.put("two", "load", keys("d"))
    assert claims.other("new", "load", keys("b")) is None
    assert claims.other("new", "load", keys("d")) == "two"
    claims.put("three", "load", keys())
    assert claims.other("new", "load", keys("c")) is None
    claims.put("two", "load", keys())
    assert claims.other("new", "load", keys("d")) is None
    assert claims.other("new", "load", keys("a")) == "one"
    claims.put("one", "load", keys())
    assert claims.other("new", "load", keys("a")) is None
    assert claims.count("load") == 0


def test_series_are_counted_and_shown_by_family() -> None:
    """A message about too many series names some of each owner."""
    claims: Claims[str] = Claims()
    assert (claims.count("load"), list(claims.some("load"))) == (0, [])
    claims.put("one", "load", keys("a", "b"))
    claims.put("two", "load", keys("c"))
    claims.put("two", "other", keys("x"))
    assert (claims.count("load"), claims.count("other")) == (3, 1)
    assert list(claims.some("load")) == [("a",), ("b",), ("c",)]


def test_whoever_comes_and_goes_each_series_has_its_owner() -> None:
    """After any history the owner of a series is who put it last and still has it."""
    source, claims = random.Random(5), Claims[int]()
    owned: dict[int, set[str]] = {}
    for _ in range(400):
        owner = source.randrange(4)
        taken = set().union(*(names for other, names in owned.items() if other != owner))
        names = {name for name in "abcdefgh" if source.random() < 0.3} - taken
        claims.put(owner, "load", keys(*sorted(names)))
        owned[owner] = names
        holder_of = {name: holder for holder, held in owned.items() for name in held}
        assert {name: claims.other(-1, "load", keys(name)) for name in "abcdefgh"} == {
            name: holder_of.get(name) for name in "abcdefgh"
        }
        assert all(claims.other(holder, "load", keys(*held)) is None for holder, held in owned.items())
        assert claims.count("load") == len(holder_of)


def test_labels_that_join_alike_are_different_series() -> None:
    """("a", "bc") and ("ab", "c") are two series of two owners."""
    family = Family("load", MetricType.GAUGE, "Load.", ("one", "two"))

    def one(values: LabelValues) -> Keys:
        return Keys.of(Samples.of(family, {values: 1}))

    claims: Claims[str] = Claims()
    claims.put("first", "load", one(("a", "bc")))
    assert claims.other("second", "load", one(("ab", "c"))) is None
