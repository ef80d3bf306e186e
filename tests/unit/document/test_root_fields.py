"""The root fields of a document, each as a document of its own."""

from __future__ import annotations

import pytest
from graphql import build_schema, parse, validate

from exporter.document.root_fields import root_fields

SCHEMA = build_schema("""
    directive @shown(if: Boolean!) on QUERY
    type Query { calls(org: ID, limit: Int): [Call]  apis(org: ID): [API]  n: Int }
    type Call { api: API  count: Int }
    type API { id: ID!  name(upper: Boolean): String }
""")
DOCUMENT = """
query Both($org: ID!, $limit: Int = 5, $upper: Boolean, $show: Boolean!) @shown(if: $show) {
  now: calls(org: $org, limit: $limit) { api { ...Names } count }
  apis(org: $org) { id }
}
fragment Names on API { id ...Title }
fragment Title on API { name(upper: $upper) }
"""


def test_each_root_field_is_a_document_of_its_own() -> None:
    """It has the key of the answer, the operation of the API, and only the variables and fragments that it needs."""
    now, apis = root_fields(DOCUMENT)
    assert (now.key, now.operation) == ("now", "calls")
    assert (apis.key, apis.operation) == ("apis", "apis")
    assert now.variables == {"org", "limit", "upper", "show"}
    assert apis.variables == {"org", "show"}
    assert "fragment Names" in now.document
    assert "fragment Title" in now.document
    assert "fragment" not in apis.document
    assert "$limit: Int = 5" in now.document
    assert "$limit" not in apis.document


@pytest.mark.parametrize(
    "text",
    [
        DOCUMENT,
        "{ n }",
        "query ($a: Boolean!) { n @include(if: $a) calls { count } }",
        "query ($u: Boolean) { calls { api { ... on API { name(upper: $u) } } } n }",
        "query ($u: Boolean) { calls { ...A ...A } apis { ...B } } fragment A on Call { api { ...B } }"
        " fragment B on API { name(upper: $u) }",
    ],
)
def test_what_was_valid_is_valid_alone(text: str) -> None:
    """A field that an API refuses is refused for its own sake, not for how it was cut out."""
    assert validate(SCHEMA, parse(text)) == []
    for field in root_fields(text):
        node = parse(field.document)
        assert validate(SCHEMA, node) == []
        (alone,) = root_fields(field.document)
        assert alone == field


def test_the_order_is_that_of_the_document() -> None:
    """Fields of fragments at the root stay in the whole document, and are none of their own."""
    text = "{ n ...Rest x: n } fragment Rest on Query { apis { id } }"
    assert [field.key for field in root_fields(text)] == ["n", "x"]
    assert root_fields("{ ...Rest } fragment Rest on Query { n }") == ()
    assert [field.key for field in root_fields("fragment A on API { id } query { apis { ...A } }")] == ["apis"]


def test_a_mutation_stays_a_mutation() -> None:
    """What an operation does is not changed by asking it alone."""
    (field,) = root_fields("mutation { reset(id: 1) { ok } }")
    assert field.document.startswith("mutation")
