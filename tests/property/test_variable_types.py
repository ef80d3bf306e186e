"""Values of variables against a schema: refused where a server refuses them."""

from __future__ import annotations

from typing import Any

from graphql import GraphQLInputType, type_from_ast
from graphql.language import parse_type
from graphql.utilities import validate_input_value
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.document.variable_types import value_faults
from exporter.model.template import parse_template
from tests.support.inputs import SCHEMA

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
