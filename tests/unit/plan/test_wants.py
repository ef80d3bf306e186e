"""What queries want of each other's rows, wherever it is written."""

from __future__ import annotations

from exporter.plan.plan import QueryPlan
from tests.support.plans import SOURCE, planned

CHAIN = """
- {name: environments, document: "{ env { id kind } }", rows: env}
- {name: apis, for_each: {env: environments}, variables: {e: "{{ env.id }}"},
   document: "query($e: ID!) { api(env: $e) { id env { kind } } }", rows: api}
- {name: calls, for_each: {api: apis}, document: "query($a: ID!) { calls(api: $a) }", variables: {a: "{{ api.id }}"},
   metrics: [{name: calls, help: Calls., value: calls, labels: {kind: "{{ api.env.kind }}"}}]}
"""


def queries(text: str) -> dict[str, QueryPlan]:
    return {query.name: query for query in planned(text).queries}


def exports(query: QueryPlan) -> set[str]:
    assert query.rows is not None
    return set(query.rows.exports)


def test_a_reference_is_carried_from_the_query_that_has_it() -> None:
    """`{{ api.env.kind }}` is a field of the outer query's rows, and the targets between carry it, whatever fields the
    rows between have."""
    found = queries(CHAIN)
    assert found["calls"].needed == {"api.id", "api.env.kind"}
    assert found["apis"].needed == {"env.id", "env.kind"}
    assert exports(found["environments"]) == {"id", "kind"}
    assert exports(found["apis"]) == {"id"}


def test_lookups_and_where_read_rows_without_a_reference() -> None:
    """A query gives its rows' fields to the lookups that are made of it and to the `where` of those that it feeds."""
    lookup = "lookups: [{name: names, rows_of: apis, key: id, fields: {name: name}}]\n"
    found = planned(
        """
        - {name: apis, document: "{ api { id name kind owner } }", rows: api}
        - {name: calls, for_each: {api: {query: apis, where: {kind: [REST]}}}, document: "{ calls { api count } }",
           rows: calls, metrics: [{name: calls, help: Calls., value: count,
                                   labels: {name: {lookup: names, key: api, field: name}}}]}
        """,
        SOURCE + lookup,
    )
    assert exports(found.queries[0]) == {"id", "name", "kind"}


def test_the_items_of_a_list_are_not_sought_in_rows() -> None:
    """A query that is for each row and each item of a list takes of the rows what it refers to there alone."""
    found = queries("""
    - {name: apis, document: "{ api { id name } }", rows: api}
    - {name: calls, for_each: {api: apis, day: [{name: monday}]}, variables: {a: "{{ api.id }}", d: "{{ day.name }}"},
       document: "query($a: ID!, $d: String!) { calls(api: $a, day: $d) }",
       metrics: [{name: calls, help: Calls., value: calls, labels: {api: "{{ api.id }}", day: "{{ day.name }}"}}]}
    """)
    assert exports(found["apis"]) == {"id"}


def test_targets_carry_what_those_of_the_expected_rows_carry() -> None:
    """Rows that an answer did not name are matched by all that their targets are told apart by."""
    found = queries("""
    - {name: environments, document: "{ env { id kind } }", rows: env}
    - {name: apis, for_each: {env: environments}, document: "query($e: ID!) { api(env: $e) { id } }", rows: api,
       variables: {e: "{{ env.id }}"}}
    - {name: calls, for_each: {env: environments}, document: "{ calls { api count } }", rows: calls,
       metrics: [{name: calls, help: Calls., value: count, labels: {api: api},
                  missing: {rows_of: apis, labels: {api: id}}}]}
    """)
    assert found["calls"].needed == found["apis"].needed == {"env.id"}
    assert exports(found["apis"]) == {"id"}
