"""Packs: one operation asks what several would, and its answer is taken apart into theirs."""

from __future__ import annotations

import pytest
from graphql import build_schema, parse, validate

from exporter.document.aliases import pack_operations, unpack_response
from exporter.model.outcome import GraphQLError, Operation, Response
from tests.support.aliases import DOCUMENTS, answer


@pytest.mark.parametrize("document", DOCUMENTS, ids=["plain", "aliases", "fragments"])
def test_a_pack_is_answered_as_its_calls_are(document: str) -> None:
    """Values, nulls and errors with their paths are those of single calls, with aliases, fragments and directives."""
    calls = [Operation(document, {"org": "o", "data": {"tenant": tenant}}) for tenant in ("x", "bad", "")]
    together = unpack_response(answer(pack_operations(calls, frozenset({"org"}))), len(calls))
    for one, alone in zip(together, map(answer, calls), strict=True):
        assert one.data == alone.data
        assert set(one.errors) == set(alone.errors)


def test_variables_that_all_targets_share_are_sent_once() -> None:
    """A pack is no longer than it needs to be."""
    calls = [Operation(DOCUMENTS[0], {"org": "o", "data": {"tenant": tenant}}) for tenant in "ab"]
    packed = pack_operations(calls, frozenset({"org"}))
    assert packed.variables == {"all_org": "o", "t0_data": {"tenant": "a"}, "t1_data": {"tenant": "b"}}
    assert packed.document.count("$all_org: String!") == 1


def test_a_directive_of_the_operation_keeps_its_variable() -> None:
    """There is one for all calls, with a variable that all of them share."""
    schema = build_schema("directive @cost(most: Int) on QUERY type Query { n(id: ID): Int }")
    text = "query ($most: Int = 5, $id: ID) @cost(most: $most) { n(id: $id) }"
    packed = pack_operations([Operation(text, {"id": one}) for one in "ab"], frozenset({"most"}))
    assert not validate(schema, parse(packed.document))
    assert "@cost(most: $all_most)" in packed.document


def test_an_error_of_no_alias_is_every_calls_error() -> None:
    """What cannot be said of one target is said of all: better no value than a wrong one."""
    errors = (GraphQLError("late"), GraphQLError("odd", ("t9_x",)), GraphQLError("own", ("t1_x", "a", 0)))
    first, second = unpack_response(Response({"t0_x": 1, "t1_x": 2}, errors), 2)
    assert first == Response({"x": 1}, errors[:2])
    assert second == Response({"x": 2}, (*errors[:2], GraphQLError("own", ("x", "a", 0))))
