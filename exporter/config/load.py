"""A configuration file to a `Loaded` configuration, or all its problems at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from exporter.config.braces import doubtful, unfilled
from exporter.config.confidential import confidential_texts
from exporter.config.environment import Variables
from exporter.config.further_files import with_further_files
from exporter.config.include import with_included, with_overrides
from exporter.config.nodes import KeyPath, parse_nodes
from exporter.config.problems import Places, describe, file_text
from exporter.config.query import Query
from exporter.config.scalars import Strict
from exporter.config.schema import Config, Lookup
from exporter.config.source import Source
from exporter.model.errors import ConfigError, Problem
from exporter.model.response_path import parse_path
from exporter.model.secret import remember_variable

_NO_FILE: Final = "name a file with --config.file, or let insights-exporter init write one"
# Without these an entry means something else, so that further checks of it would mislead.
_NEEDED_KEYS: Final = frozenset(
    {
        "name",
        "url",
        "values",
        "secret_values",
        "document",
        "variables",
        "for_each",
        "labels",
        "rows",
        "window",
        "period",
    }
)
_SECTIONS: Final[Mapping[str, type[Strict]]] = {"sources": Source, "queries": Query, "lookups": Lookup}


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a file says. `config` is usable only if `problems` is empty; else it has what could be understood,
    so that later checks can speak of that too, and `broken` names the sections' entries that could not.

    `indexes` and `metric_indexes` say where in the file the entries and their metrics stand.

    `tree` is what was read, with what it includes, the overrides and the variables put in.

    `unmet` are needs of the environment: unset variables. A check warns about them, a start refuses. `warnings` are
    what can run, but is hardly meant. `file_patterns` name the further files.
    """

    config: Config
    tree: Mapping[str, Any]
    places: Places
    indexes: Mapping[str, tuple[int, ...]]
    metric_indexes: Mapping[KeyPath, tuple[int, ...]]
    broken: frozenset[str]
    problems: tuple[Problem, ...]
    unmet: tuple[Problem, ...]
    warnings: tuple[Problem, ...] = ()
    file_patterns: tuple[Path, ...] = ()

    def places_of(self, section: str) -> tuple[KeyPath, ...]:
        """Where the entries of a section stand, in their order in `config`."""
        return tuple((section, index) for index in self.indexes.get(section, ()))

    def is_unmet(self, place: KeyPath) -> bool:
        """Whether the text at `place` needs a variable that is unset, so that nothing can be said of it."""
        problem = self.places.problem(place, "")
        return any((one.file, one.key) == (problem.file, problem.key) for one in self.unmet)

    def metric_places(self, place: KeyPath, query: Query) -> tuple[KeyPath, ...]:
        """Where the metrics of the query at `place` stand."""
        indexes = self.metric_indexes.get(place) or range(len(query.metrics))
        return tuple((*place, "metrics", index) for index in indexes)


def load(file: Path, environ: Mapping[str, str]) -> Loaded:
    """The configuration in `file`. Raises `ConfigError` where the file cannot be read as YAML at all."""
    nodes = parse_nodes(file_text(file, _NO_FILE), str(file))
    if not isinstance(nodes.value, dict):
        problem = Places(nodes).problem((), "is empty or not a mapping", "write the sections sources and queries")
        raise ConfigError((problem,))
    nodes = nodes.without(key for key in nodes.value if key.startswith("x-"))
    missing: tuple[Problem, ...] = ()
    patterns: tuple[Path, ...] = ()
    try:
        nodes, patterns = with_further_files(nodes, file.parent)
        nodes = with_overrides(with_included(nodes))
    except ConfigError as error:
        missing = error.problems
    places = Places(nodes)
    variables = Variables(environ, places)
    tree = variables.expand(nodes.value, ())
    for text in confidential_texts(tree):
        remember_variable(text)
    loaded = _Reading(places, tree, variables, file.parent).result()
    loaded = replace(
        loaded,
        problems=tuple(sorted((*loaded.problems, *unfilled(nodes.value, places)), key=_line)),
        warnings=tuple(doubtful(nodes.value, places)),
        file_patterns=patterns,
    )
    if missing:  # what refers to it would look wrong as well, so only what entries say by themselves is told beside
        keys = {(problem.line, problem.key) for problem in missing}  # of these enough is said
        others = (problem for problem in loaded.problems if (problem.line, problem.key) not in keys)
        raise ConfigError(tuple(sorted((*missing, *others), key=_line)))
    return loaded


def _line(problem: Problem) -> int:
    return problem.line or 0


class _Reading:
    """One pass from plain values to frozen types, collecting problems."""

    def __init__(self, places: Places, root: dict[str, Any], variables: Variables, folder: Path) -> None:
        self._places = places
        self._root = root
        self._variables = variables
        self._context = {"folder": folder}
        self._problems = list(variables.faulty.values())
        self._indexes: dict[str, tuple[int, ...]] = {}
        self._metric_indexes: dict[KeyPath, tuple[int, ...]] = {}
        self._broken: set[str] = set()

    def result(self) -> Loaded:
        scalars = {key: value for key, value in self._root.items() if key not in _SECTIONS}
        sections: dict[str, Any] = {name: tuple(self._section(name, model)) for name, model in _SECTIONS.items()}
        try:
            Config.model_validate(scalars | {"sources": _ANY_SOURCE, "queries": _ANY_QUERY}, context=self._context)
        except ValidationError as error:
            self._collect(error, (), Config)
            scalars = {}
        known: dict[str, Any] = {key: value for key, value in scalars.items() if key in Config.model_fields}
        config = Config.model_construct(**known, **sections)
        self._problems.extend(self._duplicate_names())
        return Loaded(
            config,
            self._root,
            self._places,
            self._indexes,
            self._metric_indexes,
            frozenset(self._broken),
            tuple(sorted(self._problems, key=_line)),
            tuple(self._variables.unset.values()),
        )

    def _section(self, name: str, model: type[Strict]) -> list[Any]:
        if name not in self._root and (self._root.get("include") or not Config.model_fields[name].is_required()):
            return []
        if name not in self._root:
            remedy = f"add {name}:, or include: with queries that are ready" if name == "queries" else f"add {name}:"
            self._problems.append(self._places.problem((), f"the section {name} is missing", remedy))
            return []
        entries = self._root[name]
        if not isinstance(entries, list) or not entries:
            self._problems.append(
                self._places.problem((name,), "must be a list that is not empty", "begin each entry with -")
            )
            return []
        read: list[Any] = []
        indexes = []
        for index, entry in enumerate(entries):
            value = self._entry((name, index), entry, model)
            if value is not None:
                read.append(value)
                indexes.append(index)
            elif isinstance(entry, dict) and isinstance(entry.get("name"), str):
                self._broken.add(entry["name"])
        self._indexes[name] = tuple(indexes)
        return read

    def _entry(self, path: KeyPath, entry: Any, model: type[Strict]) -> Any | None:
        context = {"folder": Path(self._places.nodes.file_of(path)).parent}  # where its own files are looked for
        try:
            return model.model_validate(entry, context=context)
        except ValidationError as error:
            self._collect(error, path, model)
            rest, self._metric_indexes[path] = _without_faults(entry, error)
        try:  # what is left can still be checked against the document, so that all faults are said at once
            return model.model_validate(rest, context=context)
        except ValidationError:
            return None

    def _collect(self, error: ValidationError, path: KeyPath, model: type[BaseModel]) -> None:
        for details in error.errors(include_url=False):
            where = (*path, *(part for part in details["loc"] if part not in _NO_KEYS))
            if any(where[: len(known)] == known for known in (*self._variables.unset, *self._variables.faulty)):
                continue  # its text is not known yet, so nothing can be said of it
            wrong, remedy = describe(details, model)
            self._problems.append(self._places.problem(where, wrong, remedy))

    def _duplicate_names(self) -> Iterator[Problem]:
        for section in _SECTIONS:
            seen: set[str] = set()
            entries = self._root.get(section)
            for index, entry in enumerate(entries if isinstance(entries, list) else ()):
                name = entry.get("name") if isinstance(entry, dict) else None
                if not isinstance(name, str):
                    continue
                if name in seen:
                    wrong = f"{name} is the name of another entry of {section}"
                    yield self._places.problem((section, index, "name"), wrong, "give each its own name")
                seen.add(name)


_NO_KEYS: Final = ("[key]", "[text]", "[values]")  # parts of pydantic's paths, the latter two of a header's forms
_ANY_SOURCE: Final = (Source(name="any", url="https://localhost"),)
_ANY_QUERY: Final = (Query(name="any", document="{ any }", rows=parse_path("any")),)


def _without_faults(entry: Any, error: ValidationError) -> tuple[Any, tuple[int, ...]]:
    """The entry without what is wrong and can be spared, and the indexes of the metrics that are left."""
    if not isinstance(entry, dict):
        return entry, ()
    rest = dict(entry)
    wrong_metrics = set()
    for details in error.errors(include_url=False, include_input=False):
        match details["loc"]:
            case ("metrics", int(index), *_):
                wrong_metrics.add(index)
            case (str(key), *_) if key not in _NEEDED_KEYS:
                rest.pop(key, None)
    if not isinstance(metrics := entry.get("metrics"), list):
        return rest, ()
    left = tuple(index for index in range(len(metrics)) if index not in wrong_metrics)
    rest["metrics"] = [metrics[index] for index in left]
    return rest, left
