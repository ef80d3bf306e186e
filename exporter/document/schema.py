"""A schema for documents: the shipped one, SDL or the JSON of an introspection."""

from __future__ import annotations

import json
from functools import cache, lru_cache
from importlib.resources import files
from pathlib import Path
from typing import TypeAlias

from graphql import (
    GraphQLError,
    GraphQLSchema,
    build_client_schema,
    build_schema,
)

from exporter.config.source import SHIPPED_SCHEMAS
from exporter.model.file_read import MAX_SCHEMA_BYTES, read_file

Schema: TypeAlias = GraphQLSchema


@cache
def no_schema() -> GraphQLSchema:
    """A schema for the rules that need none."""
    return build_schema("type Query { any: Int }")


def load_schema(name: str) -> GraphQLSchema:
    """The schema of that name that is shipped, or in that file as it is now: SDL, or an introspection query's JSON.

    Its own faults are the API's business and are passed over: published schemas have them (GitHub's defines fields
    twice). Raises `ValueError` where documents cannot be checked against it, or `OSError`.
    """
    if name in SHIPPED_SCHEMAS:
        return _schema(files("exporter.choreo").joinpath(SHIPPED_SCHEMAS[name]).read_text(encoding="utf-8"))
    return _schema(read_file(Path(name), MAX_SCHEMA_BYTES).decode("utf-8-sig"))


@lru_cache(maxsize=4)
def _schema(text: str) -> GraphQLSchema:
    try:
        if text.lstrip().startswith("{"):
            answer = json.loads(text)
            schema = build_client_schema(answer.get("data", answer), assume_valid=True)
        else:
            schema = build_schema(text, assume_valid=True)
    except (GraphQLError, TypeError, ValueError) as error:
        first = str(error).splitlines()[0]
        raise ValueError(f"neither a schema in SDL nor an introspection answer: {first}") from None
    if schema.query_type is None:
        raise ValueError("it has no type Query")
    return schema
