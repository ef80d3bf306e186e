"""A schema for documents: the shipped one, SDL or the JSON of an introspection."""

from __future__ import annotations

import json
from collections.abc import Container, Sequence
from functools import cache, lru_cache
from importlib.resources import files
from pathlib import Path
from typing import TypeAlias

from graphql import (
    DocumentNode,
    GraphQLError,
    GraphQLSchema,
    NamedTypeNode,
    Source,
    TypeDefinitionNode,
    Visitor,
    build_ast_schema,
    build_client_schema,
    build_schema,
    concat_ast,
    parse,
    specified_scalar_types,
    visit,
)

from exporter.config.named_files import files_of, only_name
from exporter.config.source import SHIPPED_SCHEMAS
from exporter.model.file_read import MAX_SCHEMA_BYTES, read_file

Schema: TypeAlias = GraphQLSchema
SchemaName: TypeAlias = str | tuple[str, ...]


@cache
def no_schema() -> GraphQLSchema:
    """A schema for the rules that need none."""
    return build_schema("type Query { any: Int }")


def load_schema(name: SchemaName) -> GraphQLSchema:
    """The schema of that name that is shipped, or in that file as it is now, or in those files together: SDL, or an
    introspection query's JSON.

    Its own faults are the API's business and are passed over: published schemas have them (GitHub's defines fields
    twice). Raises `ValueError` where documents cannot be checked against it, or `OSError`.
    """
    if name in SHIPPED_SCHEMAS:
        text = files("exporter.choreo").joinpath(SHIPPED_SCHEMAS[str(name)]).read_text(encoding="utf-8")
        return _schema(((str(name), text),))
    found = _schema_files(name)
    if not found:
        raise ValueError("no file has a name like that")
    return _schema(tuple((str(file), read_file(file, MAX_SCHEMA_BYTES).decode("utf-8-sig")) for file in found))


def _schema_files(name: SchemaName) -> tuple[Path, ...]:
    """The files that a schema is in now. A pattern may fit none."""
    found: dict[Path, None] = {}
    for pattern in schema_patterns(name):
        one = only_name(pattern)
        found |= dict.fromkeys(files_of(pattern) if one is None else (one,))
    return tuple(found)


def schema_patterns(name: SchemaName) -> tuple[Path, ...]:
    """The names and patterns of the files that a schema is in; none for one that is shipped."""
    if name in SHIPPED_SCHEMAS:
        return ()
    return tuple(map(Path, name if isinstance(name, tuple) else (name,)))


@lru_cache(maxsize=4)
def _schema(texts: tuple[tuple[str, str], ...]) -> GraphQLSchema:
    """The schema that the texts of these files are together."""
    text = texts[0][1]
    try:
        if len(texts) == 1 and text.lstrip().startswith("{"):
            answer = json.loads(text)
            schema = build_client_schema(answer.get("data", answer), assume_valid=True)
        else:
            documents = [parse(Source(text, file)) for file, text in texts]
            _check_types(documents)
            schema = build_ast_schema(concat_ast(documents), assume_valid=True)
    except (GraphQLError, TypeError, ValueError) as error:
        first = str(error).splitlines()[0]
        raise ValueError(
            f"{_place(error, texts)}neither a schema in SDL nor an introspection answer: {first}"
        ) from None
    if schema.query_type is None:
        raise ValueError("it has no type Query")
    return schema


def _place(error: Exception, texts: tuple[tuple[str, str], ...]) -> str:
    """Where an error is, of a schema in several files."""
    if len(texts) == 1 or not isinstance(error, GraphQLError) or error.source is None:
        return ""
    line = f", line {error.locations[0].line}" if error.locations else ""
    return f"{error.source.name}{line}: "


def _check_types(documents: Sequence[DocumentNode]) -> None:
    """Raises `GraphQLError` for a type that two files define, of which one would replace the other, and for one that
    none of several files defines."""
    first: dict[str, tuple[int, TypeDefinitionNode]] = {}
    for number, document in enumerate(documents):
        for node in document.definitions:
            if not isinstance(node, TypeDefinitionNode):
                continue
            at, known = first.setdefault(node.name.value, (number, node))
            if at != number and known.loc is not None:
                where = f"{known.loc.source.name}, line {known.loc.start_token.line}"
                raise GraphQLError(f"type {node.name.value} is defined in {where}, too; write extend in one", node)
    for document in documents if len(documents) > 1 else ():
        _check_references(document, first.keys() | specified_scalar_types.keys())


def _check_references(document: DocumentNode, known: Container[str]) -> None:
    class References(Visitor):
        def enter_named_type(self, node: NamedTypeNode, *_: object) -> None:
            if node.name.value not in known:
                raise GraphQLError(f"Unknown type: '{node.name.value}'.", node)

    visit(document, References())
