"""Rows that feed other queries: whose they are, which belong to a target, and what is looked up in them."""

from __future__ import annotations

from exporter.model.samples import Json
from exporter.plan.operation import FeedingRow
from exporter.plan.plan import LookupPlan, Target
from exporter.series.rows import Rows

NAMES = LookupPlan("names", "apis", "id", {"title": "name"}, {})


def row(**exports: str) -> dict[str, str]:
    return dict(exports)


def test_an_owner_has_the_rows_that_it_put_last() -> None:
    """Rows of all owners stand together, in the order in which these came."""
    rows = Rows()
    rows.put("apis", "acme", "one", [row(id="a")], {})
    rows.put("apis", "acme", "two", [row(id="b")], {"env.id": "e"})
    rows.put("apis", "beta", "one", [row(id="z")], {})
    assert rows.of("apis", "acme") == (FeedingRow({"id": "a"}, {}), FeedingRow({"id": "b"}, {"env.id": "e"}))
    rows.put("apis", "acme", "one", [row(id="c"), row(id="d")], {})
    assert [found.exports["id"] for found in rows.of("apis", "acme")] == ["c", "d", "b"]
    rows.put("apis", "acme", "one", [], {})
    assert [found.exports["id"] for found in rows.of("apis", "acme")] == ["b"]


def test_a_query_without_rows_has_none() -> None:
    """As long as it was not polled, and once all of its rows are gone."""
    rows = Rows()
    assert rows.of("apis", "acme") == ()
    rows.put("apis", "acme", "one", [row(id="a")], {})
    rows.put("apis", "acme", "one", [], {})
    assert rows.of("apis", "acme") == ()


def test_the_same_rows_again_are_nothing_new() -> None:
    """What is made of rows is made again only where they differ: in a field, in their order, in their target."""
    rows = Rows()
    assert rows.put("apis", "acme", "one", [], {}) is False
    assert rows.put("apis", "acme", "one", [row(id="a"), row(id="b")], {})
    before = rows.of("apis", "acme")
    assert not rows.put("apis", "acme", "one", [row(id="a"), row(id="b")], {})
    assert rows.of("apis", "acme") is before
    assert rows.put("apis", "acme", "one", [row(id="b"), row(id="a")], {})
    assert rows.put("apis", "acme", "one", [row(id="b"), row(id="a")], {"env.id": "e"})
    assert rows.put("apis", "acme", "one", [], {"env.id": "e"})
    assert rows.of("apis", "acme") is not before


def test_a_lookup_gives_fields_by_key() -> None:
    """As text, by the names that the lookup has for them; of the source that is asked about."""
    rows = Rows()
    rows.put("apis", "acme", "one", [{"id": 7, "name": "Orders"}, {"id": "b", "name": None}], {})
    assert rows.names(NAMES, "acme") == {"7": {"title": "Orders"}, "b": {"title": ""}}
    assert rows.names(NAMES, "beta") == {}


def test_a_lookup_follows_its_rows() -> None:
    """It is made once for the same rows, and again after a change."""
    rows = Rows()
    rows.put("apis", "acme", "one", [row(id="a", name="Orders")], {})
    before = rows.names(NAMES, "acme")
    assert rows.names(NAMES, "acme") is before
    rows.put("apis", "acme", "one", [row(id="a", name="Orders 2")], {})
    assert rows.names(NAMES, "acme") == {"a": {"title": "Orders 2"}}


def test_two_lookups_of_one_query_are_two() -> None:
    """Which fields they name decides, not which query they read."""
    rows = Rows()
    rows.put("apis", "acme", "one", [row(id="a", name="Orders", kind="REST")], {})
    other = LookupPlan("kinds", "apis", "name", {"kind": "kind"}, {})
    assert rows.names(NAMES, "acme") == {"a": {"title": "Orders"}}
    assert rows.names(other, "acme") == {"Orders": {"kind": "REST"}}


def test_a_row_that_lacks_a_field_is_not_looked_up() -> None:
    """A row of another configuration may have other fields."""
    rows = Rows()
    rows.put("apis", "acme", "one", [row(id="a"), row(name="x"), row(id="b", name="Bills")], {})
    assert rows.names(NAMES, "acme") == {"b": {"title": "Bills"}}


def test_a_table_of_the_file_needs_no_rows() -> None:
    """It is the lookup itself."""
    table = {"a": {"title": "Orders"}}
    assert Rows().names(LookupPlan("names", None, "id", {}, table), "acme") is table


def test_the_rows_of_a_target_are_those_that_agree_with_it() -> None:
    """They come from a target with the same values for what both refer to; what only one has decides nothing."""
    rows = Rows()
    rows.put("apis", "acme", "one", [row(id="a")], {"env.id": "e1", "env.kind": "prod"})
    rows.put("apis", "acme", "two", [row(id="b")], {"env.id": "e2", "env.kind": "prod"})
    assert rows.beside("apis", "acme", Target({"env.id": "e1"})) == ({"id": "a"},)
    assert rows.beside("apis", "acme", Target({"env.id": "e2", "region": "eu"})) == ({"id": "b"},)
    assert rows.beside("apis", "acme", Target({"env.kind": "prod"})) == ({"id": "a"}, {"id": "b"})
    assert rows.beside("apis", "acme", Target({"env.id": "e3"})) == ()
    assert rows.beside("apis", "acme", Target({})) == ({"id": "a"}, {"id": "b"})


def test_rows_without_a_target_belong_to_every_target() -> None:
    """A query that runs once has its rows for all that others ask for."""
    rows = Rows()
    rows.put("apis", "acme", "one", [row(id="a"), row(id="b")], {})
    assert rows.beside("apis", "acme", Target({"env.id": "e1"})) == ({"id": "a"}, {"id": "b"})
    assert rows.beside("apis", "beta", Target({"env.id": "e1"})) == ()


def test_values_that_read_alike_are_different_targets() -> None:
    """The number 1 is not the text "1"."""
    rows = Rows()
    rows.put("apis", "acme", "one", [row(id="a")], {"env.id": 1})
    rows.put("apis", "acme", "two", [row(id="b")], {"env.id": "1"})
    assert rows.beside("apis", "acme", Target({"env.id": 1})) == ({"id": "a"},)
    assert rows.beside("apis", "acme", Target({"env.id": "1"})) == ({"id": "b"},)


def test_the_rows_of_a_target_follow_a_change() -> None:
    """After the next answer nothing of the one before is left."""
    rows = Rows()
    rows.put("apis", "acme", "one", [row(id="a")], {"env.id": "e1"})
    assert rows.beside("apis", "acme", Target({"env.id": "e1"})) == ({"id": "a"},)
    rows.put("apis", "acme", "one", [row(id="b")], {"env.id": "e1"})
    assert rows.beside("apis", "acme", Target({"env.id": "e1"})) == ({"id": "b"},)


def test_an_odd_row_is_not_looked_up() -> None:
    """A list or an object where a key or a text belongs is a name that is not known, and spoils no other."""
    odd: list[dict[str, Json]] = [{"id": "a", "name": ["x"]}, {"id": {}, "name": "x"}, {"id": "b", "name": "Bills"}]
    rows = Rows()
    rows.put("apis", "acme", "one", odd, {})
    assert rows.names(NAMES, "acme") == {"b": {"title": "Bills"}}
