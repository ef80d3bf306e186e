"""Results of another configuration, by the families that they are in."""

from __future__ import annotations

from exporter.model.samples import Family, MetricType
from exporter.series.leftovers import Leftovers

ORDERS = Family("shop_orders", MetricType.GAUGE, "Orders.", ("city",))
TOTAL = Family("shop_orders_total", MetricType.COUNTER, "Orders.", ("city",))
OTHER_HELP = Family("shop_orders", MetricType.GAUGE, "All orders.", ("city",))
OTHER_LABELS = Family("shop_orders", MetricType.GAUGE, "Orders.", ("shop",))
OTHER_NAME = Family("shop_stock", MetricType.COUNTER, "Stock.", ())


def test_a_family_excludes_those_of_another_shape_under_its_name() -> None:
    """Another type, other labels, or `_total` behind the name; another help or another name does not matter."""
    left = Leftovers[str]()
    left.add("orders", [ORDERS, OTHER_NAME])
    found = [[*left.of_other_shape(one)] for one in (TOTAL, OTHER_LABELS, ORDERS, OTHER_HELP, OTHER_NAME)]
    assert found == [["orders"], ["orders"], [], [], []]


def test_what_is_not_on_the_page_excludes_nothing() -> None:
    """An owner stays known until it is polled; its families do not, once they have made way."""
    left = Leftovers[str]()
    left.add("orders", [ORDERS])
    left.add("stock", [OTHER_NAME])
    left.clear("orders")
    left.clear("nobody")
    assert ("orders" in left, [*left.on_page()], [*left.of_other_shape(TOTAL)]) == (True, ["stock"], [])
    left.discard("orders")
    left.discard("stock")
    assert (bool(left), "orders" in left) == (False, False)


def test_an_owner_that_is_left_over_twice_has_its_last_families() -> None:
    """Two reloads may come before a poll."""
    left = Leftovers[str]()
    left.add("orders", [ORDERS])
    left.add("orders", [OTHER_LABELS])
    assert ([*left.of_other_shape(ORDERS)], [*left.of_other_shape(OTHER_LABELS)]) == (["orders"], [])
