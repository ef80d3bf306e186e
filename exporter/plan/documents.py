"""Each query by itself: the sources that it asks, its document against their schemas, and the walk to its rows."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from msgspec.structs import replace

from exporter.config.labels import LabelSpec, PathLabel, parts_of
from exporter.config.load import Loaded
from exporter.config.metric import Each
from exporter.config.nodes import KeyPath
from exporter.config.query import Query
from exporter.config.source import Source
from exporter.document.answer_shape import EXTENSIONS
from exporter.document.document import Document, DocumentError, parse_document, with_extensions
from exporter.document.json_texts import Way
from exporter.document.schema import Schema, SchemaName, load_schema
from exporter.model.background import give_way
from exporter.model.response_path import ResponsePath
from exporter.model.suggestion import suggestion
from exporter.model.template import REFERENCE
from exporter.plan.findings import Findings
from exporter.plan.json_texts import open_json_texts
from exporter.plan.response_paths import ANYTHING, ParsedQuery, PathProblem, Scopes, with_unknown_leaves


def check_source_labels(loaded: Loaded, findings: Findings) -> None:
    """Sources have the same label names with different values, or their series could not be told apart."""
    first: Source | None = None
    seen: dict[tuple[tuple[str, str], ...], str] = {}
    for place, source in zip(loaded.places_of("sources"), loaded.config.sources, strict=True):
        if loaded.lacks(place, "labels", "name"):
            continue
        first = first or source
        values = tuple(sorted(source.labels.items()))
        if set(source.labels) != set(first.labels):
            names = ", ".join(first.labels) or "none"
            wrong = f"other label names than {first.name} has"
            findings.add((*place, "labels"), wrong, f"use the same on each: {names}")
        elif values in seen:
            findings.add((*place, "labels"), f"the same labels as {seen[values]}", "give each source its own values")
        seen.setdefault(values, source.name)


def parse_queries(loaded: Loaded, findings: Findings) -> dict[str, ParsedQuery]:
    """The queries, by name. Of one whose document or rows have a fault anything may be selected."""
    parsed: dict[str, ParsedQuery] = {}
    schemas: dict[SchemaName | None, Schema | None] = {None: None}
    source_places = {
        source.name: place for place, source in zip(loaded.places_of("sources"), loaded.config.sources, strict=True)
    }
    for place, query in zip(loaded.places_of("queries"), loaded.config.queries, strict=True):
        give_way()
        sources = _sources(query, place, loaded, findings)
        names = tuple(dict.fromkeys(source.schema_ for source in sources)) or (None,)
        for name in names:
            if name is not None and name not in schemas:
                schemas[name] = _schema(name, loaded, findings)
        is_known = not loaded.lacks(place, "document", "operation")
        document = _document(query, place, (schemas[name] for name in names), findings) if is_known else None
        has_schemas = all(name is None or schemas[name] is not None for name in names)
        has_schemas = has_schemas and not any(loaded.lacks(source_places[one.name], "schema") for one in sources)
        if document is not None and not has_schemas:
            document = replace(document, selection=with_unknown_leaves(document.selection))
        if document is not None and (at := _place_of_extensions(query, document)) is not None:
            if query.pack is not None:
                wrong = "the extensions of a pack are those of all its targets"
                findings.add((*place, *at), wrong, "leave out pack, or the path")
            document = with_extensions(document)
        texts: tuple[Way, ...] = ()
        if document is not None:
            if not loaded.lacks(place, "variables", "pages"):
                _check_variables(query, place, document, findings)
            document, texts = open_json_texts(query, place, document, findings)
        if document is None or loaded.lacks(place, "json_texts"):
            document = Document(query.document, ANYTHING, {})
        rows = Scopes((ANYTHING,)) if loaded.lacks(place, "rows") else _rows(query, place, document, findings)
        metric_places = loaded.metric_places(place)
        parsed[query.name] = ParsedQuery(
            query, place, metric_places, sources, document, rows, loaded.unknown, source_places, texts
        )
    return parsed


def _place_of_extensions(query: Query, document: Document) -> KeyPath | None:
    """The first place of a query that reads the extensions of an answer, unless its document has a field so called."""
    if EXTENSIONS in document.selection.children:
        return None
    paths: list[tuple[KeyPath, object]] = [(("labels", name), spec) for name, spec in query.labels.items()]
    for number, metric in enumerate(query.metrics):
        value = metric.value.path if isinstance(metric.value, Each) else metric.value
        paths.append((("metrics", number, "value"), value))
        paths += [(("metrics", number, "labels", name), spec) for name, spec in metric.labels.items()]
    for place, found in paths:
        parts = (found,) if not isinstance(found, LabelSpec) else parts_of(found)
        for part in parts:
            path = part.path if isinstance(part, PathLabel) else part
            if isinstance(path, ResponsePath) and path.steps[:1] == (EXTENSIONS,):
                return place
    return None


def _sources(query: Query, place: KeyPath, loaded: Loaded, findings: Findings) -> tuple[Source, ...]:
    by_name = {source.name: source for source in loaded.config.sources}
    if query.sources is None:
        return tuple(by_name.values())
    for name in query.sources:
        if name not in by_name and not loaded.may_have("sources", name):
            names = loaded.names("sources")
            remedy = suggestion(name, names) or f"write one of: {', '.join(names)}"
            findings.add((*place, "sources"), f"there is no source {name}", remedy)
    return tuple(by_name[name] for name in query.sources if name in by_name)


def _schema(name: SchemaName, loaded: Loaded, findings: Findings) -> Schema | None:
    try:
        return load_schema(name)
    except (OSError, ValueError) as error:
        wrong = f"cannot be read: {error.strerror}" if isinstance(error, OSError) else str(error)
        for place, source in zip(loaded.places_of("sources"), loaded.config.sources, strict=True):
            if source.schema_ == name and not loaded.is_unmet((*place, "schema")):
                meant = suggestion(Path(name).name, ["choreo"]) if isinstance(name, str) else ""
                key = (*place, "schema")
                findings.add(key, wrong, meant if meant else "write choreo, or a file in SDL or JSON")
        return None


def _document(query: Query, place: KeyPath, schemas: Iterable[Schema | None], findings: Findings) -> Document | None:
    """The document as the last of the schemas types it that has all its fields."""
    if found := list(REFERENCE.finditer(query.document)):
        for reference in found:
            line = query.document.count("\n", 0, reference.start()) + 1
            wrong = f"{reference[0]} in a document, where it is not replaced"
            remedy = "declare a variable of GraphQL there, and write the reference in variables"
            findings.add_in_text((*place, "document"), line, wrong, remedy)
        return None
    document = None
    for schema in schemas:
        try:
            document = parse_document(query.document, schema, query.operation)
        except DocumentError as error:
            for fault in error.faults:
                findings.add_in_text((*place, "document"), fault.line, fault.wrong, fault.remedy)
    return document


def _rows(query: Query, place: KeyPath, document: Document, findings: Findings) -> Scopes:
    top = Scopes((document.selection,))
    try:
        rows = top if query.rows is None else top.below(query.rows)
        findings.leave_unproved((*place, "rows"), query.rows, rows.hops)
        return replace(rows, json_rows=len(rows.hops)) if rows.is_in_json else rows
    except PathProblem as problem:
        findings.add((*place, "rows"), problem.wrong, problem.remedy)
        return Scopes((ANYTHING,))


def _check_variables(query: Query, place: KeyPath, document: Document, findings: Findings) -> None:
    pages = query.pages
    paged = {str(pages.limit), str(pages.offset or pages.page)} if pages is not None else set()
    cursor = {str(pages.cursor)} if pages is not None else set()
    misspelt = (query.variables.keys() | paged | cursor) - document.variables.keys()
    for name, variable in document.variables.items():
        if not variable.required or name in query.variables.keys() | paged or suggestion(name, misspelt):
            continue
        if pages is not None and str(pages.cursor) == name:
            wrong = f"${name} has no value at the first page, which has no cursor"
            findings.add((*place, "variables"), wrong, f"declare it as {variable.type.removesuffix('!')}, without !")
        else:
            findings.add((*place, "variables"), f"${name} has no value", f"add {name}: (it is {variable.type})")
    for name in query.variables:
        if name not in document.variables:
            declared = ", ".join(document.variables) or "none"
            wrong = "the document declares no such variable"
            remedy = suggestion(name, document.variables) or f"it has: {declared}"
            findings.add((*place, "variables", name), wrong, remedy)
