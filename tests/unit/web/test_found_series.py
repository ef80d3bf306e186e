"""The series that the filter of the status page finds."""

from __future__ import annotations

from exporter.web.found_series import MAX_SERIES, UNASKED_SERIES, families_found
from tests.support.effort import least_seconds

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


def test_a_line_ends_where_the_format_ends_it() -> None:
    """A label's value may have a carriage return, which is no end: what follows it makes no family."""
    forged = b'shop_orders{n="\r# HELP forged Text.\r# TYPE forged gauge\rforged 1"} 2\n'
    (orders,) = families_found([b"# HELP shop_orders Orders.\n# TYPE shop_orders gauge\n" + forged], "")
    assert (orders.name, orders.found) == ("shop_orders", 1)
    assert orders.series[0][1] == "2"


def test_many_words_cost_as_much_as_one() -> None:
    """A search that says one word a hundred times takes no longer than one that says it once."""
    series = b"".join(b'shop_orders{n="%d"} %d\n' % (n, n) for n in range(5000))
    page = [b"# HELP shop_orders Orders.\n# TYPE shop_orders gauge\n" + series]

    many, one = ("n " * 100, "n")
    assert least_seconds(lambda: families_found(page, many)) < 4 * least_seconds(lambda: families_found(page, one))
