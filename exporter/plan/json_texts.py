"""Texts that are declared to hold JSON: paths go on into them, as into a scalar of the API's own."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from exporter.config.nodes import KeyPath
from exporter.config.query import Query
from exporter.document.document import Document, FieldType, Selection
from exporter.document.json_texts import Way
from exporter.model.response_path import Mark, ResponsePath
from exporter.plan.findings import Findings
from exporter.plan.plan import Hops
from exporter.plan.response_paths import PathProblem, Scopes

_NO_TEXT = frozenset({"Int", "Float", "Boolean"})


def open_json_texts(
    query: Query, place: KeyPath, document: Document, findings: Findings
) -> tuple[Document, tuple[Way, ...]]:
    """The document in which the texts of `json_texts` may be gone into, and the ways to them."""
    ways: list[Way] = []
    for index, path in sorted(enumerate(query.json_texts), key=lambda entry: len(entry[1].steps)):
        key: KeyPath = (*place, "json_texts", index)
        try:
            way = _way(path, Scopes((document.selection,)))
        except PathProblem as problem:
            findings.add(key, problem.wrong, problem.remedy)
            continue
        if not any(hop.inside for hop in way):
            document = replace(document, selection=_as_json(document.selection, [hop.name for hop in way]))
        findings.leave_open(key, f"{path} holds JSON, as the configuration says")
        ways.append(tuple(Mark.EVERY if hop.mark else hop.name for hop in way))
    return document, tuple(ways)


def _way(path: ResponsePath, top: Scopes) -> Hops:
    """The hops to a text. Raises `PathProblem` where there is none."""
    found = top.below(path)
    kind = found.innermost.type
    if any(hop.indexes or (hop.mark and not hop.inside) for hop in found.hops):
        raise PathProblem(f"{path} picks items of a list", "name the list, of which each item is read")
    if not found.hops or found.innermost.children:
        raise PathProblem(f"{path} is an object, and no text that holds JSON", "name a field that is text")
    if kind is not None and (kind.enum_values or kind.name in _NO_TEXT):
        raise PathProblem(f"{path} is {kind.name}, and no text that holds JSON", "name a field that is text")
    return found.hops


def _as_json(selection: Selection, names: Sequence[str]) -> Selection:
    """The selection in which the field of that way is JSON."""
    if not names:
        lists = 0 if selection.type is None else selection.type.lists
        return replace(selection, type=FieldType("JSON in a text", leaf=True, lists=lists))
    child = _as_json(selection.children[names[0]], names[1:])
    return replace(selection, children={**selection.children, names[0]: child})
