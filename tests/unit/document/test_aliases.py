"""Packs: one operation asks what several would, and its answer is taken apart into theirs."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
from graphql import DocumentNode, build_schema, execute_sync, parse, validate
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.document.aliases import pack_operations, unpack_response
from exporter.model.outcome import GraphQLError, Operation, Response

SCHEMA = build_schema("""
    type Query { traffic(org: String!, data: Data!): Int  api(id: String): API  now: Int }
    input Data { tenant: String!  ids: [ID!]  limit: Int = 5 }
    type API { id: ID  calls(data: Data): Int  next: API  query: Query }
""")
DOCUMENTS = (
    "query ($org: String!, $data: Data!) { traffic(org: $org, data: $data) }",
    "query Named($org: String!, $data: Data!, $x: Boolean = true) { a: traffic(org: $org, data: $data)"
    " b: traffic(org: $org, data: {tenant: $org}) now @include(if: $x) __typename }",
    'query ($org: String!, $data: Data = {tenant: "t"}) { ...R api(id: $org) { ...A } ... @skip(if: false) { now } }'
    " fragment R on Query { api(id: $org) { id ...A } t0_x: now }"
    " fragment A on API { calls(data: $data) next { id ...B } query { now ...R2 } }"
    " fragment B on API { x: calls(data: $data) } fragment R2 on Query { later: now }",
)


class Root:
    """Answers from its arguments; a tenant named `bad` is an error."""

    now = 7

    def traffic(self, _: Any, org: str, data: dict[str, Any]) -> int:
        if data["tenant"] == "bad":
            raise ValueError("no such tenant")
        return hash((org, data["tenant"], data["limit"])) % 1000

    def api(self, _: Any, id: str | None = None) -> dict[str, Any]:  # noqa: A002 - the argument's name
        def calls(_: Any, data: dict[str, Any] | None = None) -> int:
            return self.traffic(None, id or "", data) if data is not None else 0

        return {"id": id, "calls": calls, "next": {"id": f"{id}+", "calls": calls}, "query": self}


@cache
def valid_document(text: str) -> DocumentNode:
    """Parsed and checked once, as many examples make the same pack."""
    document = parse(text)
    assert not validate(SCHEMA, document)
    return document


def answer(operation: Operation) -> Response:
    """What a server answers."""
    document = valid_document(operation.document)
    result = execute_sync(SCHEMA, document, Root(), variable_values=dict(operation.variables))
    errors = tuple(GraphQLError(error.message, tuple(error.path or ())) for error in result.errors or ())
    return Response(result.data, errors)


@pytest.mark.parametrize("document", DOCUMENTS)
@settings(max_examples=25)
@given(
    org=st.text("abc_", max_size=5),
    tenants=st.lists(st.sampled_from(["x", "y", "t1_x", "bad", ""]), min_size=1, max_size=12),
)
def test_a_pack_is_answered_as_its_calls_are(document: str, org: str, tenants: list[str]) -> None:
    """Values, nulls and errors with their paths are those of single calls, with aliases, fragments and directives."""
    calls = [Operation(document, {"org": org, "data": {"tenant": tenant}}) for tenant in tenants]
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


def test_an_error_of_no_alias_is_every_calls_error() -> None:
    """What cannot be said of one target is said of all: better no value than a wrong one."""
    errors = (GraphQLError("late"), GraphQLError("odd", ("t9_x",)), GraphQLError("own", ("t1_x", "a", 0)))
    first, second = unpack_response(Response({"t0_x": 1, "t1_x": 2}, errors), 2)
    assert first == Response({"x": 1}, errors[:2])
    assert second == Response({"x": 2}, (*errors[:2], GraphQLError("own", ("x", "a", 0))))
