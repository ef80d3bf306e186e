"""Which query feeds which, and the order that follows from it."""

from __future__ import annotations

from exporter.plan.for_each import find_feeders, in_order
from tests.support.plans import SOURCE, problem_texts, read_documents

ROWS = '- {{name: {}, document: "{{ a {{ id }} }}", rows: a{}}}\n'


def rows(name: str, feeder: str = "", more: str = "") -> str:
    """A query with rows, fed by another one."""
    return ROWS.format(name, (f", for_each: {{x: {feeder}}}" if feeder else "") + more)


def fed(queries: str, source: str = SOURCE) -> tuple[dict[str, str], list[str], list[str]]:
    """Who feeds whom, the order, and what is wrong."""
    loaded, parsed, findings = read_documents(queries, source)
    feeders = find_feeders(loaded, parsed, findings)
    order = [found.query.name for found in in_order(parsed, feeders, findings)]
    return {name: feeder.query.name for name, feeder in feeders.items()}, order, problem_texts(findings)


def test_a_query_is_fed_by_the_rows_of_another() -> None:
    """A list of the file feeds without a query."""
    feeders, _, problems = fed(
        rows("a") + rows("b", "a") + rows("c", "[1, 2]") + rows("d", "{query: a, where: {id: 1}}")
    )
    assert feeders == {"b": "a", "d": "a"}
    assert problems == []


def test_each_query_stands_after_the_one_that_feeds_it() -> None:
    """Otherwise the order is that of the file."""
    _, order, problems = fed(rows("d", "c") + rows("x") + rows("c", "b") + rows("b") + rows("e", "c"))
    assert order == ["b", "c", "d", "x", "e"]
    assert problems == []


def test_a_circle_is_said_once_and_every_query_stays_in_the_order() -> None:
    """What is beside the circle is planned, so that its faults are found too."""
    _, order, problems = fed(rows("a", "b") + rows("b", "c") + rows("c", "a") + rows("d", "a"))
    assert sorted(order) == ["a", "b", "c", "d"]
    assert problems == ["queries[0].for_each: the queries need each other's rows in a circle; break the circle"]
    _, order, problems = fed(rows("a", "a"))
    assert (order, len(problems)) == (["a"], 1)


def test_a_query_that_is_not_there_is_named_with_those_that_are() -> None:
    """A typing error is seen at once."""
    feeders, _, problems = fed(rows("a") + rows("b", "aa"))
    assert feeders == {}
    assert problems == ["queries[1].for_each.x: there is no query aa; did you mean a?"]


def test_a_query_that_is_faulty_itself_is_not_said_to_be_missing() -> None:
    """It is told once what is wrong with it; who names it is right."""
    for broken in ('- {name: a, document: "{ a {", rows: a}\n', "- {name: a, rows: a}\n"):
        feeders, order, problems = fed(broken + rows("b", "a"))
        assert feeders == {"b": "a"}
        assert order == ["a", "b"]
        assert not any("there is no query" in problem for problem in problems)


def test_a_query_without_rows_feeds_nobody() -> None:
    """The remedy is at the other query."""
    feeders, _, problems = fed(
        '- {name: a, document: "{ n }", metrics: [{name: n, help: N., value: n}]}\n' + rows("b", "a")
    )
    assert feeders == {}
    assert problems == ["queries[1].for_each.x: the query a has no rows; add rows: to a"]


def test_a_query_is_fed_on_each_of_its_sources() -> None:
    """The feeding query may run on more, not on fewer."""
    two = """\
sources:
  - {name: one, url: "https://one.example/", labels: {s: "1"}}
  - {name: two, url: "https://two.example/", labels: {s: "2"}}
"""
    feeders, _, problems = fed(rows("a", more=", sources: [one]") + rows("b", "a"), two)
    assert feeders == {}
    assert problems == [
        "queries[1].for_each.x: the query a does not run on all sources of this one; give both the same"
    ]
    feeders, _, problems = fed(rows("a") + rows("b", "a", ", sources: [two]"), two)
    assert (feeders, problems) == ({"b": "a"}, [])
