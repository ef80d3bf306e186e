"""Values of variables against a schema, before anything is sent."""

from __future__ import annotations

from typing import Any

import pytest
from graphql import GraphQLInputType, build_schema, type_from_ast
from graphql.language import parse_type
from graphql.utilities import validate_input_value
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.document.document import FieldType
from exporter.document.variable_types import Known, Literal, place_faults, value_faults
from exporter.model.template import Reference, parse_template

SCHEMA = build_schema("""
    scalar Date
    enum Kind { UP DOWN }
    enum Other { UP LEFT }
    input Page { limit: Int!  offset: Int = 0  sort: String }
    input Filter {
        id: ID!  page: Page  kinds: [Kind!]  limits: [[Int]]  ratio: Float  on: Boolean  at: Date  not: Filter
    }
    type Query { n(f: Filter): Int }
""")
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**33), 2**33),
    st.floats(allow_nan=False, allow_infinity=False, width=16),
    st.sampled_from(["UP", "up", "DOWN", "x", ""]),
)
ANYTHING = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.just("id"), inner), max_leaves=4
)
PAGES = st.fixed_dictionaries({"limit": LEAVES}, optional={"offset": LEAVES, "sort": LEAVES, "other": LEAVES})
FILTERS = st.fixed_dictionaries(
    {},
    optional={
        "id": LEAVES,
        "page": PAGES | ANYTHING,
        "kinds": st.lists(LEAVES) | ANYTHING,
        "limits": st.lists(st.lists(LEAVES)) | ANYTHING,
        "ratio": LEAVES,
        "on": LEAVES,
        "at": ANYTHING,
        "not": st.fixed_dictionaries({"id": LEAVES}, optional={"page": PAGES}),
        "other": LEAVES,
    },
)
VALUES = ANYTHING | PAGES | FILTERS | st.lists(FILTERS, max_size=2)
NAMES = "Filter Filter! [Filter!] Page [[Int]] Kind [Kind!]! ID Date Float Int String Boolean!"
TYPES = st.sampled_from(NAMES.split())


def kind(text: str) -> GraphQLInputType:
    found: Any = type_from_ast(SCHEMA, parse_type(text))
    return found  # type: ignore[no-any-return]


def refused_places(text: str, value: Any) -> set[tuple[str | int, ...]]:
    """Where graphql-core finds fault with a value; at the object, where a field is unknown."""
    places: set[tuple[str | int, ...]] = set()
    validate_input_value(value, kind(text), lambda _error, path: places.add(tuple(path)))
    return places


@settings(max_examples=1000)
@given(TYPES, VALUES)
def test_a_literal_is_refused_where_a_server_refuses_it(text: str, value: Any) -> None:
    """The check has the same faults as the reference implementation, neither more nor fewer."""
    faults = list(value_faults(kind(text), parse_template(value), lambda _: ()))
    places = {fault.at[:-1] if "has no field" in fault.wrong else fault.at for fault in faults}
    assert places == refused_places(text, value)


@pytest.mark.parametrize(
    ("text", "value", "known", "fault"),
    [
        ("String", "{{ a }}", FieldType("Int", True), "{{ a }} is Int, and String is wanted"),
        ("Int", "{{ a }}", FieldType("Int", True), None),
        ("Float", "{{ a }}", FieldType("Int", True), None),
        ("ID!", "{{ a }}", FieldType("String", True), None),
        ("Int", "{{ a }}", FieldType("String", True), "{{ a }} is String, and Int is wanted"),
        ("Boolean", "{{ a }}", FieldType("ID", True), "{{ a }} is ID, and Boolean is wanted"),
        ("Date", "{{ a }}", FieldType("Int", True), None),
        ("Int", "{{ a }}", FieldType("Timestamp", True), None),
        ("Kind", "{{ a }}", FieldType("Kind", True, ("UP", "DOWN")), None),
        ("Kind", "{{ a }}", FieldType("Other", True, ("UP", "LEFT")), "{{ a }} is Other, and Kind is wanted"),
        ("Kind", "{{ a }}", FieldType("String", True), None),
        ("String", "{{ a }}", FieldType("Kind", True, ("UP", "DOWN")), None),
        ("Int", "{{ a }}", FieldType("Kind", True, ("UP", "DOWN")), "{{ a }} is Kind, and Int is wanted"),
        ("[ID!]", "{{ a }}", FieldType("ID", True, (), 1), None),
        ("[ID!]", "{{ a }}", FieldType("ID", True), None),
        ("ID", "{{ a }}", FieldType("ID", True, (), 1), "{{ a }} is a list, because of batch, and ID is not"),
        ("Page", "{{ a }}", FieldType("ID", True), "{{ a }} is ID, and Page is an object"),
        ("Int", "{{ a }}", Literal(5), None),
        ("Int", "{{ a }}", Literal("5"), "{{ a }} is text, and Int is wanted"),
        ("Int", "{{ a }}", Literal("${NOT_SET}"), None),
        ("[Page]", "{{ a }}", Literal([{"limit": 1}, {"limt": 1}]), "{{ a }}[1].limt Page has no field limt"),
        ("Int", "{{ a }}", None, None),
        ("Int", "x{{ a }}", FieldType("Int", True), "text is String, and Int is wanted"),
        ("[[ID]]", "x{{ a }}", None, None),
        ("Int", "${NOT_SET}", None, None),
    ],
)
def test_a_reference_is_judged_by_what_is_known_of_it(text: str, value: str, known: Known, fault: str | None) -> None:
    """A row's field by its type in the schema, a source's value by itself, times as text; what is not known passes."""
    asked: list[str] = []

    def what(reference: Reference) -> list[Known]:
        asked.append(reference.name)
        return [known]

    found = list(value_faults(kind(text), parse_template(value), what))
    assert [one.wrong for one in found][:1] == ([fault] if fault is not None else [])


def test_what_pages_fill_in_is_not_missing() -> None:
    """`pages.limit` sets what the type needs; anything else that is needed is still missing."""
    filter_ = kind("Filter!")
    assert not list(value_faults(filter_, {"id": "a", "page": {}}, lambda _: (), [("page", "limit")]))
    assert not list(value_faults(filter_, {"id": "a"}, lambda _: (), [("page", "limit")]))
    (fault,) = value_faults(filter_, {"page": {}}, lambda _: (), [("page", "limit")])
    assert (fault.wrong, fault.remedy) == ("Filter needs id", "add id: (it is ID!)")


def test_places_of_pages_must_be_there_and_of_their_type() -> None:
    """A page's size goes where a whole number is wanted, a cursor where text is."""
    assert not list(place_faults(kind("Filter!"), ("page", "limit"), 50))
    (typo,) = place_faults(kind("Filter!"), ("page", "limt"), 50)
    assert (typo.wrong, typo.remedy) == ("Page has no field limt", "did you mean limit?")
    (wrong,) = place_faults(kind("Filter!"), ("page", "sort"), 50)
    assert wrong.wrong == "is a number, and String is wanted"
