"""`include` and `overrides`: shipped queries, with other values for some of their keys, before anything is checked."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from typing import Final

from exporter.config.nodes import KeyPath, Nodes
from exporter.config.problems import Places, nearest
from exporter.config.yaml_reader import parse_nodes
from exporter.model.errors import Problem
from exporter.model.samples import Json

SECTION = "overrides"


def with_overrides(nodes: Nodes) -> Nodes:
    """The nodes with each override in the query that it names, and without their section."""
    root = nodes.value
    assert isinstance(root, dict)  # a file that is none is refused before
    if SECTION not in root:
        return nodes
    overrides, queries = root[SECTION], root.get("queries")
    rest = {key: value for key, value in root.items() if key != SECTION}
    if not isinstance(overrides, dict):
        remedy = "write the names of included queries, and below each the keys to change"
        refused = Places(nodes).problem((SECTION,), "must be a mapping", remedy)
        return nodes.with_value(rest, {}).with_faults([((SECTION,), refused)])
    places = {
        str(entry["name"]): ("queries", index)
        for index, entry in enumerate(queries if isinstance(queries, list) else ())
        if isinstance(entry, dict) and isinstance(entry.get("name"), str)
    }
    moved: dict[KeyPath, KeyPath] = {}
    faults: list[tuple[KeyPath, Problem]] = []
    entries = list(queries) if isinstance(queries, list) else []
    for name, keys in overrides.items():
        if (problem := _problem(nodes, name, keys, places)) is not None:
            faults.append(((SECTION, name), problem))
        elif name in places:
            place = places[name]
            entries[place[1]] = _merge(entries[place[1]], keys, place, (SECTION, name), moved)
            moved[place] = (SECTION, name)
    with_queries = {**rest, "queries": entries} if moved else rest
    return nodes.with_value(with_queries, moved).with_faults(faults)


def _problem(nodes: Nodes, name: str, keys: Json, places: Mapping[str, tuple[str, int]]) -> Problem | None:
    """What is wrong with an override, whatever its keys say."""
    included = {query: place for query, place in places.items() if place in nodes.files}
    path: KeyPath = (SECTION, name)
    if name in places and name not in included:
        return Places(nodes).problem(path, f"the query {name} is written in this file", "change it there")
    if name not in included and "queries" in nodes.incomplete:
        return None
    if name not in included:
        remedy = nearest(name, included) if included else "add the group that has it to include"
        return Places(nodes).problem(path, f"there is no included query {name}", remedy)
    if not isinstance(keys, dict):
        return Places(nodes).problem(path, "must be a mapping", "write keys with values below it")
    if "name" in keys:
        return Places(nodes).problem((*path, "name"), "cannot be overridden", "leave it out")
    return None


def _merge(old: Json, new: Json, place: KeyPath, written: KeyPath, moved: dict[KeyPath, KeyPath]) -> Json:
    """Mappings key by key, everything else as a whole; `moved` takes in where each comes from."""
    if not (isinstance(old, dict) and isinstance(new, dict)):
        moved[place] = written
        return new
    within = {key: _merge(old.get(key), value, (*place, key), (*written, key), moved) for key, value in new.items()}
    return {**old, **within}


_SECTIONS: Final = ("queries", "lookups")
_NOT_INCLUDED: Final = frozenset({"on_demand"})


def catalogue_names() -> tuple[str, ...]:
    """What `include` can name: the ready-made queries that are shipped."""
    folder = files("exporter.choreo").joinpath("catalogue")
    names = sorted(item.name.removesuffix(".yaml") for item in folder.iterdir() if item.name.endswith(".yaml"))
    return tuple(f"choreo/{name}" for name in names if name not in _NOT_INCLUDED)


def with_included(nodes: Nodes) -> Nodes:
    """The nodes with those that `include` names, and that these include; each once."""
    taken: dict[str, Nodes] = {}
    waiting, faults = _include_names(nodes)
    while waiting:
        name = waiting.pop(0)
        if name in taken:
            continue
        text = files("exporter.choreo").joinpath("catalogue", f"{name.removeprefix('choreo/')}.yaml").read_text("utf-8")
        taken[name] = parse_nodes(text, f"{name}.yaml")
        waiting.extend(_include_names(taken[name])[0])
    whole = nodes.with_entries(taken.values(), _SECTIONS)
    return whole.with_faults(faults, _SECTIONS) if faults else whole


def _group_remedy(name: str, known: tuple[str, ...]) -> str:
    return "name a file in query_files" if name.endswith((".yaml", ".yml")) else nearest(name, known)


def _include_names(nodes: Nodes) -> tuple[list[str], list[tuple[KeyPath, Problem]]]:
    """The names that are shipped, and what is wrong with the others."""
    assert isinstance(nodes.value, dict)  # a file that is none is refused before
    if "include" not in nodes.value:
        return [], []
    names, known = nodes.value["include"], catalogue_names()
    if not isinstance(names, list):
        return [], [(("include",), Places(nodes).problem(("include",), "must be a list", f"write [{known[0]}]"))]
    wrong = "no shipped group has that name"
    faults: list[tuple[KeyPath, Problem]] = [
        (("include", index), Places(nodes).problem(("include", index), wrong, _group_remedy(str(name), known)))
        for index, name in enumerate(names)
        if name not in known
    ]
    return [str(name) for name in names if name in known], faults
