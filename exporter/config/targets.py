"""Sources of many APIs of one kind: each target of `static_configs` and `file_sd_configs` becomes a source."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final, TypeVar

from msgspec import Struct
from msgspec.structs import replace
from pydantic import TypeAdapter, ValidationError

from exporter.config.braces import TARGET_KEYS, TARGET_REFERENCE, has_targets
from exporter.config.confidential import public_url
from exporter.config.environment import Variables
from exporter.config.named_files import files_of, pattern_in
from exporter.config.nodes import KeyPath, Nodes
from exporter.config.problems import Places, describe, file_text
from exporter.config.source import FileDiscovery, TargetGroup
from exporter.config.yaml_reader import read_nodes
from exporter.model.errors import ConfigError, Problem
from exporter.model.samples import Json
from exporter.model.secret import FromEnvironment

_NOT_IN_A_NAME: Final = re.compile(r"[^A-Za-z0-9_]+")
_PRIVATE: Final = "__"  # begins the names of labels that are for references alone, as in Prometheus
_Parsed = TypeVar("_Parsed")


class Targets(Struct):
    """The tree with a source for each target, and nodes that know where each was written. `unknown` are the places of
    which nothing can be said; `files` were read, and `patterns` name them."""

    tree: dict[str, Any]
    nodes: Nodes
    unknown: list[KeyPath] = []
    files: dict[Path, None] = {}
    patterns: dict[Path, None] = {}


def with_targets(nodes: Nodes, tree: dict[str, Any], variables: Variables) -> Targets:
    """The first target of a source takes its place, the others come behind all sources; queries that name the source
    name them all. Relative files are looked for beside the file that names them."""
    found = Targets(tree, nodes)
    sources = tree.get("sources")
    if not isinstance(sources, list):
        return found
    reading = _Reading(found)
    made, names = list(sources), dict[str, list[str]]()
    for index, entry in enumerate(sources):
        if has_targets(entry):
            first, *others = reading.members(("sources", index), entry)
            made[index] = first
            reading.place_copies(("sources", index), len(made), others, variables)
            made += others
            names[str(entry.get("name"))] = [str(member.get("name")) for member in (first, *others)]
    if not names:
        return found
    found.nodes = replace(found.nodes, moved={**found.nodes.moved, **reading.moved}).with_faults(reading.faults)
    found.tree = {**tree, "sources": made}
    if isinstance(queries := tree.get("queries"), list):
        found.tree["queries"] = [_with_members(query, names) for query in queries]
    return found


@cache
def _groups() -> TypeAdapter[tuple[TargetGroup, ...]]:  # made where a source has targets, as few have
    return TypeAdapter(tuple[TargetGroup, ...])


@cache
def _discoveries() -> TypeAdapter[tuple[FileDiscovery, ...]]:
    return TypeAdapter(tuple[FileDiscovery, ...])


def _with_members(query: Any, names: Mapping[str, list[str]]) -> Any:
    """A query whose `sources` name the members of each source with targets."""
    if not isinstance(query, dict) or not isinstance(query.get("sources"), list):
        return query
    members = [name for one in query["sources"] for name in (names.get(one, [one]) if isinstance(one, str) else [one])]
    return {**query, "sources": members}


def _put_in(text: str, labels: Sequence[str]) -> str:
    """The text with these labels for its references. It knows the variables in it and in them."""
    values = [value for one in (text, *labels) if isinstance(one, FromEnvironment) for value in one.values]
    filled, shown = iter(labels), iter(labels)
    whole = TARGET_REFERENCE.sub(lambda _: next(filled), text)
    if not values:
        return whole
    return FromEnvironment(whole, tuple(values), TARGET_REFERENCE.sub(lambda _: _display(next(shown)), _display(text)))


def _display(text: str) -> str:
    return text.shown if isinstance(text, FromEnvironment) else text


class _Member(Struct, frozen=True):
    """A source made of a target, before it has the name that follows from that of its source and from `values`."""

    entry: dict[str, Any]
    source: str
    values: tuple[str, ...]

    @property
    def name(self) -> str:
        """Letters, digits and `_` of what it is named after."""
        return "-".join(_cleaned(part) for part in (self.source, *self.values))

    @property
    def is_empty(self) -> bool:
        """Whether the name has nothing of one of the values."""
        return any(value and not _cleaned(value) for value in self.values)

    @property
    def exact_name(self) -> str:
        """The name with a digest of what it has not of the values."""
        if self.values == tuple(map(_cleaned, self.values)):
            return self.name
        digest = blake2b("\0".join(self.values).encode("utf-8", "replace"), digest_size=4).hexdigest()
        return f"{self.name.rstrip('-')}-{digest}"


def _cleaned(text: str) -> str:
    return _NOT_IN_A_NAME.sub("_", text).strip("_")


def _with_names(members: Iterable[_Member]) -> list[dict[str, Any]]:
    """The sources with their names, in which values that differ in other letters alone differ, too."""
    made = list(members)
    counts = Counter(member.name for member in made)
    return [{**one.entry, "name": one.exact_name if one.is_empty or counts[one.name] > 1 else one.name} for one in made]


class _Reading:
    """Reads the targets of each source, collecting faults."""

    def __init__(self, found: Targets) -> None:
        self._found = found
        self._nodes = found.nodes
        self._places = Places(found.nodes)
        self.faults: list[tuple[KeyPath, Problem]] = []
        self.moved: dict[KeyPath, KeyPath] = {}

    def members(self, place: KeyPath, entry: Mapping[str, Any]) -> list[dict[str, Any]]:
        """A source for each target; if something is wrong, one of which neither URL nor labels are known."""
        before = len(self.faults)
        plain = {key: value for key, value in entry.items() if key not in TARGET_KEYS}
        if "url" in entry:
            self._add((*place, "url"), "is given together with targets", "keep one of the two")
        groups = [*self._static(place, entry), *self._discovered(place, entry)]
        made = _with_names(self._member(place, plain, url, group.labels) for group in groups for url in group.targets)
        if not made and len(self.faults) == before:
            self._add(place, "has no target", "add one to static_configs or to a file of file_sd_configs")
        self._check_names(place, made)
        if len(self.faults) > before:
            self._found.unknown += [(*place, "url"), (*place, "labels")]
            return [plain]
        return made

    def place_copies(self, place: KeyPath, index: int, copies: list[dict[str, Any]], variables: Variables) -> None:
        """Notes that sources from this index on were written at a place, and what is known to be wrong there."""
        for at, copy in enumerate(copies, index):
            here: KeyPath = ("sources", at)
            self.moved[here] = place
            self.moved |= {(*here, key): (*place, key) for key in copy}
            for known in (variables.unset, variables.faulty):
                known |= {(*here, *path[2:]): problem for path, problem in known.items() if path[:2] == place}
            of_place = {path: value for path, value in variables.typed.items() if path[:2] == place}
            variables.typed |= {(*here, *path[2:]): value for path, value in of_place.items()}

    def _add(self, place: KeyPath, wrong: str, remedy: str) -> None:
        self.faults.append((place, self._places.problem(place, wrong, remedy)))

    def _static(self, place: KeyPath, entry: Mapping[str, Any]) -> tuple[TargetGroup, ...]:
        key = (*place, TARGET_KEYS[0])
        return self._parse(_groups(), TargetGroup, entry.get(TARGET_KEYS[0], []), self._places, key, key)

    def _discovered(self, place: KeyPath, entry: Mapping[str, Any]) -> Iterator[TargetGroup]:
        key = (*place, TARGET_KEYS[1])
        discoveries = self._parse(_discoveries(), FileDiscovery, entry.get(TARGET_KEYS[1], []), self._places, key, key)
        folder = Path(self._nodes.file_of(key)).parent
        for index, discovery in enumerate(discoveries):
            for at, pattern in enumerate(discovery.files):
                where = (*key, index, "files", at)
                whole_pattern = pattern_in(folder, pattern)
                self._found.patterns[whole_pattern] = None
                found = files_of(whole_pattern)
                if not found:
                    self._add(where, "no file has that name", "name a file that exists, or a pattern of such names")
                for file in found:
                    yield from self._of_file(where, file)

    def _of_file(self, where: KeyPath, file: Path) -> tuple[TargetGroup, ...]:
        """The targets of a file in the format of Prometheus' file_sd, as YAML or JSON."""
        self._found.files[file] = None
        try:
            nodes = read_nodes(file_text(file), str(file))
        except ConfigError as error:
            self.faults += [(where, problem) for problem in error.problems]
            return ()
        self.faults += [(where, problem) for _, problem in nodes.faults]
        return self._parse(_groups(), TargetGroup, nodes.value or [], Places(nodes), (), where)

    def _parse(
        self,
        kind: TypeAdapter[tuple[_Parsed, ...]],
        model: type[TargetGroup | FileDiscovery],
        value: Json,
        places: Places,
        at: KeyPath,
        where: KeyPath,
    ) -> tuple[_Parsed, ...]:
        """The value, which stands at a key of a file. Faults are noted at `where` in the configuration."""
        try:
            return kind.validate_python(value)
        except ValidationError as error:
            told = error.errors(include_url=False)
            for details in told:
                if details["type"] == "too_short" and len(told) > 1:
                    continue  # faulty items are not counted
                within = tuple(part for part in details["loc"] if part != "[key]")
                if not within:
                    problem = places.problem(at, "must be a list", "begin each entry with -")
                else:
                    problem = places.problem((*at, *within), *describe(details, model))
                self.faults.append((where, problem))
            return ()

    def _member(self, place: KeyPath, plain: Mapping[str, Any], url: str, labels: Mapping[str, str]) -> _Member:
        filled: dict[str, Any] = self._fill(plain, place, url, labels)
        own = {name: text for name, text in labels.items() if not name.startswith(_PRIVATE)}
        values = tuple(own.values()) or (public_url(url).partition("?")[0].partition("://")[2],)
        written = filled.get("labels", {})
        labelled = written | own if isinstance(written, dict) else written
        return _Member({**filled, "url": url, "labels": labelled}, str(filled.get("name")), values)

    def _fill(self, value: Any, place: KeyPath, url: str, labels: Mapping[str, str]) -> Any:
        """The value with the labels of a target for the references to them."""
        if isinstance(value, dict):
            return {key: self._fill(item, (*place, key), url, labels) for key, item in value.items()}
        if isinstance(value, list):
            return [self._fill(item, (*place, index), url, labels) for index, item in enumerate(value)]
        if not isinstance(value, str) or not (wanted := TARGET_REFERENCE.findall(value)):
            return value
        if missing := [name for name in wanted if name not in labels]:
            has = f"it has: {', '.join(labels)}" if labels else "it has none"
            self._add(place, f"the target {public_url(url)} has no label {missing[0]}", f"add it to the target; {has}")
            return value

        return _put_in(value, [labels[name] for name in wanted])

    def _check_names(self, place: KeyPath, made: list[dict[str, Any]]) -> None:
        names: set[str] = set()
        for member in made:
            if member["name"] in names:
                wrong = f"two targets become the source {member['name']}"
                self._add(place, wrong, "give them labels with different values")
                return
            names.add(member["name"])
