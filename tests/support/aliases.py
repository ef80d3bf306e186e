"""Documents with all that GraphQL has, and a server that answers them."""

from __future__ import annotations

from functools import cache
from typing import Any

from graphql import DocumentNode, build_schema, execute_sync, parse, validate

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
