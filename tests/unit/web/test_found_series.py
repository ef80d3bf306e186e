"""The series that the filter of the status page finds."""

from __future__ import annotations

from exporter.web.found_series import MAX_SERIES, UNASKED_SERIES, families_found

PAGE = (
    b"# HELP shop_orders Orders.\n# TYPE shop_orders gauge\n"
    + b"".join(b'shop_orders{n="%d"} %d\n' % (n, n) for n in range(9)),
    b'# HELP shop_sales Sales.\n# TYPE shop_sales counter\nshop_sales{city="Bern"} 2.5\n',
)


def test_without_words_the_first_series_of_each_family_are_there() -> None:
    """One sees what there is, and how much more."""
    orders, sales = families_found(PAGE, " ")
    assert (orders.name, orders.type, orders.help, orders.found) == ("shop_orders", "gauge", "Orders.", 9)
    assert len(orders.series) == UNASKED_SERIES
    assert sales.series == (('shop_sales{city="Bern"}', "2.5"),)


def test_all_words_have_to_be_in_the_line() -> None:
    """In any order, in upper or lower case, and in any part of all series, not only in those that were shown."""
    assert [family.series for family in families_found(PAGE, "bern SALES")] == [(('shop_sales{city="Bern"}', "2.5"),)]
    (orders,) = families_found(PAGE, '"8"')
    assert orders.series == (('shop_orders{n="8"}', "8"),)
    assert families_found(PAGE, "orders sales") == ()


def test_the_page_has_an_end() -> None:
    """So many series are shown; the rest is counted."""
    lines = b"".join(b'many{n="%d"} 1\n' % n for n in range(MAX_SERIES + 7))
    (many,) = families_found([b"# HELP many Many.\n# TYPE many gauge\n" + lines], "many")
    assert (len(many.series), many.found) == (MAX_SERIES, MAX_SERIES + 7)
