"""A configuration file to a `Loaded` configuration, or all its problems at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from copy import copy
from pathlib import Path
from typing import Any, Final, TypeVar

from msgspec import Struct
from msgspec.structs import replace
from pydantic import BaseModel, create_model
from pydantic_core import ErrorDetails

from exporter.config.braces import doubtful, unfilled
from exporter.config.confidential import confidential_texts
from exporter.config.document_files import with_document_files
from exporter.config.environment import Variables
from exporter.config.further_files import idle_patterns, with_further_files
from exporter.config.include import with_included, with_overrides
from exporter.config.named_files import named_files, read_named_files
from exporter.config.nodes import KeyPath
from exporter.config.parts import Part, PartFault, read_part
from exporter.config.problems import Places, describe
from exporter.config.query import Query
from exporter.config.scalars import Strict
from exporter.config.schema import Config, Lookup
from exporter.config.source import Source
from exporter.config.targets import with_targets
from exporter.model.background import give_way
from exporter.model.config_files import ConfigFiles
from exporter.model.errors import Problem, in_file_order
from exporter.model.secret import remember_unused

_Model = TypeVar("_Model", bound=Strict)
_SECTIONS: Final[Mapping[str, type[Strict]]] = {"sources": Source, "queries": Query, "lookups": Lookup}
# What stands for a required key that is missing or wrong, so that all else of its entry can be checked.
_STAND_INS: Final[Mapping[str, object]] = {
    "url": "https://localhost/",
    "document": "{ unknown }",
    "rows": "unknown",
    "value": "unknown",
    "help": "unknown",
    "name": "unnamed",
}
# All keys of a configuration but the lists of entries, which are read one by one.
_REST: Final = create_model(
    "Rest",
    __base__=Strict,
    **{name: (one.annotation, copy(one)) for name, one in Config.model_fields.items() if name not in _SECTIONS},  # type: ignore[call-overload]
)
_FILES: Final[Mapping[str, str]] = {"sources": "source_files", "queries": "query_files"}
_UNNAMED: Final = " (of a wrong name)"  # what no name may have


class Loaded(Struct, frozen=True):
    """What a file says. `config` is usable only if `problems` is empty; else it has what could be understood, so that
    later checks can speak of that too.

    `indexes` and `metric_indexes` say where in the file the entries and their metrics stand. `unknown` has, by the
    place of an entry or a metric, its keys with faults, of which nothing more can be said. `wrong_names` are names of
    entries that cannot stand as they are, and `incomplete` the sections of which not all names are known.

    `tree` is what was read, with what it includes, the overrides and the variables put in.

    `unmet` are needs of the environment: unset variables. A check warns about them, a start refuses. `warnings` are
    what can run, but is hardly meant. `files` were read, `file_patterns` name further ones, of
    which `target_patterns` are followed always. `confidential_texts` are what variables gave to places of credentials;
    whoever uses the configuration hands them to `use_variables`. `typed` are the places to which a variable gave what
    is no text.
    """

    config: Config
    tree: Mapping[str, Any]
    places: Places
    indexes: Mapping[str, tuple[int, ...]]
    metric_indexes: Mapping[KeyPath, tuple[int, ...]]
    unknown: Mapping[KeyPath, frozenset[str]]
    wrong_names: frozenset[str]
    incomplete: frozenset[str]
    problems: tuple[Problem, ...]
    unmet: tuple[Problem, ...]
    warnings: tuple[Problem, ...] = ()
    files: tuple[Path, ...] = ()
    file_patterns: tuple[Path, ...] = ()
    target_patterns: tuple[Path, ...] = ()
    confidential_texts: tuple[str, ...] = ()
    typed: frozenset[KeyPath] = frozenset()

    def places_of(self, section: str) -> tuple[KeyPath, ...]:
        """Where the entries of a section stand, in their order in `config`."""
        return tuple((section, index) for index in self.indexes.get(section, ()))

    def lacks(self, place: KeyPath, *keys: str) -> bool:
        """Whether one of these keys of an entry or a metric has a fault, so that nothing more can be said of it."""
        return not self.unknown.get(place, frozenset()).isdisjoint(keys)

    def may_have(self, section: str, name: str) -> bool:
        """Whether a section may have an entry of that name, which could not be read."""
        return section in self.incomplete or name in self.wrong_names

    def names(self, section: str) -> tuple[str, ...]:
        """The names of a section's entries, as they are written."""
        return tuple(entry.name for entry in getattr(self.config, section) if not entry.name.endswith(_UNNAMED))

    def is_unmet(self, place: KeyPath) -> bool:
        """Whether the text at `place` needs a variable that is unset, so that nothing can be said of it."""
        problem = self.places.problem(place, "")
        return any((one.file, one.key) == (problem.file, problem.key) for one in self.unmet)

    def metric_places(self, place: KeyPath) -> tuple[KeyPath, ...]:
        """Where the metrics of the query at `place` stand."""
        return tuple((*place, "metrics", index) for index in self.metric_indexes.get(place, ()))


def load(named: ConfigFiles, environ: Mapping[str, str]) -> Loaded:
    """The configuration that a file has, a folder, or several of them together. Raises `ConfigError` where none can be
    read as YAML at all."""
    found = named_files(named)
    nodes, patterns = with_further_files(read_named_files(named, found.files), environ)
    nodes = with_overrides(with_included(nodes))
    places = Places(nodes)
    variables = Variables(environ, places)
    tree = variables.expand(nodes.value, ())
    documents = with_document_files(nodes, tree.get("queries"), variables.unset)
    targets = with_targets(documents.nodes, {**tree, **documents.section}, variables)
    tree, places = targets.tree, Places(targets.nodes)
    confidential = tuple(dict.fromkeys(confidential_texts(tree, variables.typed)))
    for text in confidential:
        remember_unused(text)
    made = _Reading(places, tree, variables, (*documents.unknown, *targets.unknown)).result()
    return replace(
        made,
        problems=in_file_order((*made.problems, *unfilled(nodes.value, places))),
        warnings=(*doubtful(nodes.value, places), *idle_patterns(nodes, environ)),
        files=(*found.files, *documents.files, *targets.files),
        file_patterns=(*found.patterns, *patterns, *targets.patterns),
        target_patterns=tuple(targets.patterns),
        confidential_texts=confidential,
        typed=frozenset(variables.typed),
    )


class _Reading:
    """One pass from plain values to frozen types, collecting problems."""

    def __init__(
        self,
        places: Places,
        root: dict[str, Any],
        variables: Variables,
        unknown: Iterable[KeyPath],
    ) -> None:
        self._places = places
        self._root = root
        self._variables = variables
        self._faulty = {place for place, _ in places.nodes.faults} | variables.faulty.keys() | set(unknown)
        self._faulty_in: defaultdict[KeyPath, list[KeyPath]] = defaultdict(list)
        for at in self._faulty:
            self._faulty_in[at[:2]].append(at[2:])
        known = (problem for place, problem in places.nodes.faults if place not in variables.faulty)
        self._problems = [*known, *variables.faulty.values()]
        self._indexes: dict[str, tuple[int, ...]] = {}
        self._metric_indexes: dict[KeyPath, tuple[int, ...]] = {}
        self._unknown: dict[KeyPath, frozenset[str]] = {}
        self._wrong_names: set[str] = set()
        self._incomplete = set(places.nodes.incomplete)

    def result(self) -> Loaded:
        sections: dict[str, Any] = {name: tuple(self._section(name, model)) for name, model in _SECTIONS.items()}
        rest = self._part(_REST, {key: value for key, value in self._root.items() if key not in _SECTIONS}, ())
        assert rest.value is not None  # it is a mapping
        self._problems.extend(self._duplicate_names())
        return Loaded(
            Config.model_construct(rest.value.model_fields_set | sections.keys(), **dict(rest.value), **sections),
            self._root,
            self._places,
            self._indexes,
            self._metric_indexes,
            self._unknown,
            frozenset(self._wrong_names),
            frozenset(self._incomplete),
            tuple(self._problems),
            tuple(dict.fromkeys(self._variables.unset.values())),
        )

    def _section(self, name: str, model: type[Strict]) -> list[Any]:
        entries = self._root.get(name)
        if not isinstance(entries, list) or not entries:
            self._check_section(name)
            return []
        read: list[Any] = []
        indexes, names = [], set[str]()
        for index, entry in enumerate(entries):
            give_way()
            place: KeyPath = (name, index)
            part: Part[Any] = self._part(model, entry, place)
            self._note_name(name, entry, part)
            if part.value is not None:
                is_fine = "name" not in part.unknown and part.value.name not in names
                names.add(part.value.name)
                self._unknown[place] |= set() if is_fine else {"name"}
                unique = {} if is_fine else {"name": f"{part.value.name} {index}{_UNNAMED}"}
                read.append(part.value.model_copy(update=unique))
                indexes.append(index)
        self._indexes[name] = tuple(indexes)
        return read

    def _check_section(self, name: str) -> None:
        """Notes a section that has no entries, where it should."""
        if any(place == (name,) for place in self._faulty) or name in self._places.nodes.incomplete:
            return
        if name in self._root:
            wrong = "must be a list that is not empty"
            self._problems.append(self._places.problem((name,), wrong, "begin each entry with -"))
            self._incomplete.add(name)
        elif not Config.model_fields[name].is_required() or self._root.get("include"):
            return
        elif _FILES[name] in self._root:
            named = self._root[_FILES[name]]
            if not isinstance(named, list) or not all(isinstance(one, str) for one in named):
                return  # as is said of that key
            wrong = f"no file that it names has {name}"
            remedy = "mend the name, or write such a file"
            self._problems.append(self._places.problem((_FILES[name],), wrong, remedy))
        else:
            remedy = f"add {name}:, or include: with queries that are ready" if name == "queries" else f"add {name}:"
            self._problems.append(self._places.problem((), f"the section {name} is missing", remedy))

    def _note_name(self, section: str, entry: object, part: Part[Any]) -> None:
        name = entry.get("name") if isinstance(entry, dict) else None
        if part.value is not None and "name" not in part.unknown:
            return
        if isinstance(name, str):
            self._wrong_names.add(name)
        else:
            self._incomplete.add(section)

    def _part(self, model: type[_Model], entry: object, place: KeyPath) -> Part[_Model]:
        folder = Path(self._places.nodes.file_of(place)).parent  # where its own files are looked for
        faulty = self._faulty_in.get(place, ()) if place else self._faulty
        part = read_part(model, entry, context={"folder": folder}, stand_ins=_STAND_INS, faulty=faulty)
        for fault in part.faults:
            self._collect(fault, place, model if place else Config)
        self._unknown[place] = part.unknown
        self._unknown |= {(*place, *below): keys for below, keys in part.below.items()}
        self._metric_indexes[place] = part.kept.get("metrics", ())
        return part

    def _collect(self, fault: PartFault, place: KeyPath, model: type[BaseModel]) -> None:
        where = (*place, *fault.place)
        if any(where[: len(known)] == known for known in (*self._variables.unset, *self._faulty) if known):
            return  # its text is not known yet, so nothing can be said of it
        details = fault.details
        wrong, remedy = describe(ErrorDetails({**details, "loc": fault.place or details["loc"]}), model)
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
