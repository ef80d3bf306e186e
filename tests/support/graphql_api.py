"""A real GraphQL API for tests: a schema, plain data, and one Authorization header that opens it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from typing import Any

from graphql import GraphQLError, GraphQLResolveInfo, GraphQLSchema, build_schema, execute_sync, parse, validate

from tests.support.json_server import json_server


@dataclass
class Api:
    """A running API. `data` is the root value: dictionaries, lists, scalars, and functions of a field's arguments.

    An object of a union or an interface says its type as `__typename`.
    """

    schema: GraphQLSchema
    data: Mapping[str, Any]
    authorization: str
    url: str = ""
    extensions: Mapping[str, Any] = field(default_factory=dict)
    requests: list[Mapping[str, Any]] = field(default_factory=list)

    def answer(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """The answer to an operation, as GraphQL over HTTP has it."""
        self.requests.append(body)
        try:
            document = parse(body["query"])
        except GraphQLError as error:
            return {"errors": [error.formatted]}
        if errors := validate(self.schema, document):
            return {"errors": [error.formatted for error in errors]}
        answer = execute_sync(self.schema, document, self.data, variable_values=body["variables"]).formatted
        return {**answer, "extensions": self.extensions} if self.extensions else answer


@contextmanager
def graphql_api(sdl: str, data: Mapping[str, Any], authorization: str) -> Iterator[Api]:
    """Serves that data on a free port of the loopback address; 401 without the right Authorization header."""
    api = Api(build_schema(sdl, assume_valid=True), data, authorization)

    def answer(_: str, headers: Message, body: Mapping[str, Any]) -> Mapping[str, Any] | None:
        return api.answer(body) if headers["authorization"] == api.authorization else None

    with json_server(answer) as url:
        api.url = f"{url}/graphql"
        yield api


def connection(nodes: Sequence[Any]) -> Callable[..., Mapping[str, Any]]:
    """A field that gives these nodes in pages, as Relay's cursor connections have it."""

    def page(_: GraphQLResolveInfo[Any], first: int, after: str | None = None, **__: Any) -> Mapping[str, Any]:
        start = int(after or 0)
        end = min(start + first, len(nodes))
        return {
            "edges": [{"node": node} for node in nodes[start:end]],
            "pageInfo": {"hasNextPage": end < len(nodes), "endCursor": str(end)},
        }

    return page
