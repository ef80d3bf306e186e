"""A query's variables, its pages and its `where`, against the types of a schema."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.plans import plan_problems

SDL = """
type Query {
  envs(kind: Kind): [Env]
  n(i: Int, f: Float, s: String, b: Boolean, id: ID, ids: [ID!], ints: [Int], kind: Kind, by: By, odd: Odd): Int
  calls(limit: Int!, offset: Int, after: String, by: By, page: Page): Calls
}
type Env { id: ID  n: Int  kind: Kind  odd: Odd  apis: [Env] }
type Calls { rows: [Env]  total: Int  info: Info }
type Info { hasNextPage: Boolean  endCursor: String }
input By { id: ID!  at: Int  kind: Kind }
input Page { limit: Int!  offset: Int!  after: String  sort: Kind! }
enum Kind { PROD TEST }
scalar Odd
"""
ENVS = '- {name: envs, document: "{ envs { id n kind odd } }", rows: envs}\n'
METRIC = "metrics: [{name: n, help: N., value: n}]"
INNER = """\
- {name: inner, for_each: {env: envs}, document: "{ envs { id } }", rows: envs}
"""
VALUES = "values: {org: o-1, n: 5, list: [1, 2], by: {id: a}}, secret_values: {key: {env: KEY}}"


@pytest.fixture
def source(tmp_path: Path) -> str:
    """A source with a schema, values and a secret."""
    (tmp_path / "s").write_text(SDL)
    return f'sources: [{{name: acme, url: "https://a.example/", schema: {tmp_path}/s, {VALUES}}}]\n'


def problems(source: str, type_: str, value: str, more: str = "", before: str = ENVS) -> list[str]:
    """What is wrong with a variable of that type, with its place below `variables`."""
    name = {"Int": "i", "Float": "f", "String": "s", "Boolean": "b", "ID": "id", "[ID!]": "ids", "[Int]": "ints",
            "Kind": "kind", "By": "by", "Odd": "odd"}[type_.removesuffix("!")]  # fmt: skip
    document = f"query ($v: {type_}) {{ n({name}: $v) }}"
    query = f'- {{name: q, document: "{document}", variables: {{v: {value}}}{more}, {METRIC}}}'
    key = f"queries[{before.count('- {')}].variables.v"
    return [problem.removeprefix(key) for problem in plan_problems(before + query, source)]


@pytest.mark.parametrize(
    ("type_", "value", "more", "said"),
    [
        ("Int", "5", "", None),
        ("Int", "x", "", ": is text, and Int is wanted; write a whole number"),
        ("Int", '"{{ source.n }}"', "", None),
        ("Int", '"{{ source.org }}"', "", ": {{ source.org }} is text, and Int is wanted; write a whole number"),
        ("[Int]", '"{{ source.list }}"', "", None),
        ("String", '"{{ source.key }}"', "", None),
        ("Int", '"{{ source.key }}"', "",
         ": {{ source.key }} is String, and Int is wanted; refer to what is of that type"),
        ("By", '"{{ source.by }}"', "", None),
        ("By", "{id: a, kind: DEV}", "", ".kind: DEV is no word of Kind; write one of: PROD, TEST"),
        ("String", '"{{ window.start }}"', ", window: {length: 5m}", None),
        ("Int", '"{{ window.end }}"', ", window: {length: 5m}",
         ": {{ window.end }} is String, and Int is wanted; refer to what is of that type"),
        ("Int", '"{{ window.end_unix }}"', ", window: {length: 5m}", None),
        ("Int", '"{{ period.start_unix }}"', ", window: {length: 5m}, period: day", None),
        ("String", '"{{ period.start_unix }}"', ", window: {length: 5m}, period: day",
         ": {{ period.start_unix }} is Int, and String is wanted; refer to what is of that type"),
        ("Int", '"{{ x }}"', ", for_each: {x: [1, 2]}", None),
        ("Int", '"{{ x }}"', ", for_each: {x: [1, a]}", ": {{ x }} is text, and Int is wanted; write a whole number"),
        ("Int", '"{{ x.n }}"', ", for_each: {x: [{n: 1}, {n: a}]}",
         ": {{ x.n }} is text, and Int is wanted; write a whole number"),
        ("[Int]", '"{{ x }}"', ", for_each: {x: [1, 2]}, batch: 2", None),
        ("[Int]", '"{{ x }}"', ", for_each: {x: [1, a]}, batch: 2",
         ": {{ x }}[1] is text, and Int is wanted; write a whole number"),
        ("Int", '"{{ x }}"', ", for_each: {x: [1, 2]}, batch: 2",
         ": {{ x }} is a list, and Int is wanted; write a whole number"),
        ("ID", '"{{ env.id }}"', ", for_each: {env: envs}", None),
        ("Int", '"{{ env.n }}"', ", for_each: {env: envs}", None),
        ("Int", '"{{ env.id }}"', ", for_each: {env: envs}",
         ": {{ env.id }} is ID, and Int is wanted; refer to what is of that type"),
        ("Kind", '"{{ env.kind }}"', ", for_each: {env: envs}", None),
        ("Int", '"{{ env.odd }}"', ", for_each: {env: envs}", None),
        ("[ID!]", '"{{ env.id }}"', ", for_each: {env: envs}, batch: 5", None),
        ("ID", '"{{ env.id }}"', ", for_each: {env: envs}, batch: 5",
         ": {{ env.id }} is a list, because of batch, and ID is not; put it where a list is wanted, or drop batch"),
    ],
)  # fmt: skip
def test_a_variable_is_judged_by_what_it_can_be(
    source: str, type_: str, value: str, more: str, said: str | None
) -> None:
    """Values of the source and of lists by themselves, fields of rows by the schema, times as text or numbers."""
    assert problems(source, type_, value, more) == ([] if said is None else [said])


def test_a_field_further_out_has_the_type_of_its_own_document(source: str) -> None:
    """In a batch it is no list, as all of its rows share it."""
    more = ", for_each: {inner: inner}, batch: 5"
    assert problems(source, "Int", '"{{ inner.env.n }}"', more, ENVS + INNER) == []
    assert problems(source, "Int", '"{{ inner.env.id }}"', more, ENVS + INNER) == [
        ": {{ inner.env.id }} is ID, and Int is wanted; refer to what is of that type"
    ]


def test_what_is_wrong_with_a_reference_itself_is_said_once(source: str) -> None:
    """Its type is not judged where it refers to nothing."""
    for reference in ("sorce.n", "source.m", "env.nn", "env.id.x"):
        found = problems(source, "Int", f'"{{{{ {reference} }}}}"', ", for_each: {env: envs}")
        assert len(found) == 1
        assert "is wanted" not in found[0]


def test_without_a_schema_nothing_is_wrong() -> None:
    """What an API takes is not known then."""
    bare = f'sources: [{{name: acme, url: "https://a.example/", {VALUES}}}]\n'
    assert problems(bare, "Int", "x") == []
    assert problems(bare, "Int", '"{{ env.id }}"', ", for_each: {env: {query: envs, where: {n: x}}}") == []


def paged(
    source: str, pages: str, variables: str = "{}", declared: str = "$limit: Int!, $by: By, $page: Page"
) -> list[str]:
    """What is wrong with a query in pages."""
    fields = "rows { n } total info { hasNextPage endCursor }"
    document = f"query ({declared}) {{ calls(limit: $limit, by: $by, page: $page) {{ {fields} }} }}"
    query = (
        f'- {{name: q, document: "{document}", rows: calls.rows, pages: {{size: 5, {pages}}}, variables: {variables},'
        " metrics: [{name: n, help: N., value: n, aggregate: sum}]}"
    )
    return plan_problems(query, source)


def test_pages_set_values_of_the_right_type(source: str) -> None:
    """Size and offset are whole numbers, a cursor is text; a place that the type does not have is refused."""
    assert paged(source, "limit: limit, offset: by.at, total: calls.total", "{by: {id: a}}") == []
    assert paged(source, "limit: limit, offset: by.kind, total: calls.total", "{by: {id: a}}") == [
        "queries[0].pages.offset: a number is no word of Kind; write one of: PROD, TEST"
    ]
    assert paged(source, "limit: by.limt, offset: by.at, total: calls.total", "{limit: 5, by: {id: a}}") == [
        "queries[0].pages.limit: By has no field limt; write one of: id, at, kind"
    ]
    assert paged(source, "limit: limit, cursor: by.at, info: calls.info", "{by: {id: a}}") == [
        "queries[0].pages.cursor: is text, and Int is wanted; write a whole number"
    ]
    assert (
        paged(source, "limit: limit, cursor: page.after, info: calls.info", "{page: {limit: 1, offset: 2, sort: TEST}}")
        == []
    )


def test_what_pages_set_is_not_missing_and_the_rest_is(source: str) -> None:
    """The variable is judged as it is with the page's values in it, even where nothing else of it is written."""
    by_page = "limit: page.limit, offset: page.offset, total: calls.total"
    assert paged(source, by_page, "{limit: 5, page: {sort: PROD}}") == []
    missing = ["queries[0].variables.page: Page needs sort; add sort: (it is Kind!)"]
    assert paged(source, by_page, "{limit: 5, page: {}}") == missing
    assert paged(source, by_page, "{limit: 5}") == missing


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("{n: [1, 2]}", []),
        ("{kind: PROD}", []),
        ("{id: a}", []),
        ("{odd: 1}", []),
        ("{n: one}", ["n: one is never equal to n, which is Int; write a whole number"]),
        ("{kind: [PROD, DEV]}", ["kind: DEV is never equal to kind, which is Kind; write one of: PROD, TEST"]),
        ("{id: 5}", ["id: 5 is never equal to id, which is ID; write text, in quotes where it looks like a number"]),
    ],
)
def test_where_compares_with_what_a_field_can_be(source: str, where: str, said: list[str]) -> None:
    """A value that no row can have is seen before the first poll."""
    more = f", for_each: {{env: {{query: envs, where: {where}}}}}"
    assert problems(source, "Int", "5", more) == [f"queries[1].for_each.env.where.{one}" for one in said]


def test_where_compares_a_row_that_is_a_scalar(source: str) -> None:
    """`.` is the row itself; a field further out has its own document's type."""
    rows = '- {name: ns, document: "{ envs { n } }", rows: envs.n}\n'
    more = ", for_each: {x: {query: ns, where: {.: one}}}"
    assert problems(source, "Int", "5", more, rows) == [
        "queries[1].for_each.x.where..: one is never equal to ., which is Int; write a whole number"
    ]
    outer = ", for_each: {inner: {query: inner, where: {env.kind: DEV}}}"
    assert problems(source, "Int", "5", outer, ENVS + INNER) == [
        "queries[2].for_each.inner.where.env.kind: DEV is never equal to env.kind, which is Kind;"
        " write one of: PROD, TEST"
    ]


JSON_ENVS = '- {name: envs, document: "{ envs { odd } }", rows: "envs.odd.*"}\n'


@pytest.mark.parametrize("field", ["env.@key", "env.id"])
def test_a_batch_of_what_is_in_json_is_known_to_be_a_list(source: str, field: str) -> None:
    """Of what items are nothing is known, so that any list takes them; a single value cannot be a batch."""
    more, value = ", for_each: {env: envs}, batch: 5", f'"{{{{ {field} }}}}"'
    wrong = f": {{{{ {field} }}}} is a list, because of batch, and String is not"
    assert problems(source, "String!", value, more, JSON_ENVS) == [
        f"{wrong}; put it where a list is wanted, or drop batch"
    ]
    assert problems(source, "[ID!]", value, more, JSON_ENVS) == []
    assert problems(source, "[Int]", value, more, JSON_ENVS) == []
    assert problems(source, "By", value, more, JSON_ENVS) != []
    for type_ in ("String!", "Kind", "By"):
        assert problems(source, type_, value, ", for_each: {env: envs}", JSON_ENVS) == []
