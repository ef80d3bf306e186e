"""Real servers for the examples: each answers the operations of a configuration with the answers beside it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import Any

import yaml
from graphql import GraphQLResolveInfo, GraphQLSchema, build_schema, execute_sync, parse, validate

from tests.support.json_server import json_server


@dataclass(frozen=True)
class Recorded:
    """One API: `answers` has for each document the answers that it gives, each with the variables that it is for."""

    schema: GraphQLSchema
    answers: Mapping[str, list[Mapping[str, Any]]]
    header: tuple[str, str]

    @classmethod
    def of(cls, folder: Path, header: tuple[str, str]) -> Recorded:
        """The API of an example, which only opens to that header."""
        queries = yaml.safe_load((folder / "config.yaml").read_text("utf-8"))["queries"]
        answers = json.loads((folder / "answers.json").read_text("utf-8"))
        documents: dict[str, list[Mapping[str, Any]]] = {}
        for query in queries:
            documents.setdefault(query["document"], []).extend(answers[query["name"]])
        return cls(build_schema((folder / "schema.graphql").read_text("utf-8")), documents, header)

    def answer(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """The answer that is recorded for an operation, if the schema allows the operation, its variables and it."""
        document, variables = parse(body["query"]), body.get("variables") or {}
        if errors := validate(self.schema, document):
            return {"errors": [error.formatted for error in errors]}
        for one in self.answers[body["query"]]:
            if _has(variables, one["variables"]):
                answer = execute_sync(
                    self.schema, document, one["data"], variable_values=variables, field_resolver=_recorded
                ).formatted
                return {**answer, "extensions": one.get("extensions", {})}
        return {"errors": [{"message": f"no answer is recorded for {variables}"}]}


def _recorded(source: Mapping[str, Any], info: GraphQLResolveInfo[Any], **_: Any) -> Any:
    return source[str(info.path.key)]


def _has(given: Any, wanted: Any) -> bool:
    """Whether variables have what an answer is for, and perhaps more."""
    if isinstance(wanted, Mapping) and isinstance(given, Mapping):
        return all(key in given and _has(given[key], value) for key, value in wanted.items())
    return bool(given == wanted)


@contextmanager
def recorded_apis(apis: Mapping[str, Recorded]) -> Iterator[str]:
    """Serves these on one free port of the loopback address, each below its name; yields the URL of all."""

    def answer(path: str, headers: Message, body: Mapping[str, Any]) -> Mapping[str, Any] | None:
        api = apis[path.removeprefix("/")]
        name, value = api.header
        return api.answer(body) if headers[name] == value else None

    with json_server(answer) as url:
        yield url
