"""A query on a source: what it is called, and whose series its targets yield."""

from __future__ import annotations

from exporter.plan.plan import Target
from exporter.polling.course import Course, courses
from tests.support.plans import planned

TWO = """\
sources:
  - {name: one, url: "https://one.example/", labels: {s: "1"}}
  - {name: two, url: "https://two.example/", labels: {s: "2"}}
"""
PLAN = planned(
    """
    - {name: fed, for_each: {x: rows}, document: "{ n }", metrics: [{name: n, help: N., value: n}]}
    - {name: rows, document: "{ a { id } }", rows: a}
    - {name: one_alone, sources: [one], document: "{ m }", metrics: [{name: m, help: M., value: m}]}
    """,
    TWO,
)


def test_each_query_runs_on_each_of_its_sources() -> None:
    """Who feeds others stands before them."""
    assert [course.key for course in courses(PLAN)] == [
        ("rows", "one"),
        ("rows", "two"),
        ("fed", "one"),
        ("fed", "two"),
        ("one_alone", "one"),
    ]


def test_a_course_has_the_query_and_the_source_of_the_plan() -> None:
    """Two of the same are one."""
    first = next(courses(PLAN))
    assert (first.query, first.source) == (PLAN.queries[0], PLAN.sources[0])
    assert first == Course(PLAN.queries[0], PLAN.sources[0])


def test_a_target_has_its_series_by_query_source_and_key() -> None:
    """The same target of another query or source owns other series."""
    owners = {course.owner(target) for course in courses(PLAN) for target in (Target({}), Target({"a": 1}, "k"))}
    assert len(owners) == 10
    course = next(courses(PLAN))
    assert course.owner(Target({"a": 1}, "k")) == ("rows", "one", "k")


def test_the_sources_of_one_time_zone_share_the_plan_of_a_query() -> None:
    """A thousand sources in another zone than the first take the memory of one plan more."""
    zones = ["UTC", "Asia/Colombo", "Asia/Colombo", "UTC"]
    sources = "".join(
        f'  - {{name: s{at}, url: "https://s{at}.example/", timezone: {zone}, labels: {{s: "{at}"}}}}\n'
        for at, zone in enumerate(zones)
    )
    plan = planned('- {name: q, document: "{ n }", metrics: [{name: n, help: N., value: n}]}', f"sources:\n{sources}")
    found = list(courses(plan))
    assert [str(course.query.zone) for course in found] == zones
    assert found[0].query is found[3].query
    assert found[1].query is found[2].query
    again = [query for query, _ in plan.identities.values()]
    assert again[1] is again[2]
