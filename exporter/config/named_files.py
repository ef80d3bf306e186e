"""The files of a configuration, and what stands in them, as one."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from msgspec import Struct

from exporter.config.nodes import KeyPath, Nodes
from exporter.config.problems import Places, file_text
from exporter.config.yaml_reader import read_nodes
from exporter.model.config_files import ConfigFiles
from exporter.model.errors import ConfigError, Problem
from exporter.model.file_watch import sought_now

LISTS: Final = ("sources", "queries", "lookups", "include", "source_files", "query_files")
"""The sections that may stand in several files; each other key stands in one."""
_ENDINGS: Final = ("*.yaml", "*.yml")
_ESCAPED: Final = re.compile(r"\[([*?[])\]")  # what glob.escape makes of a character
_NO_FILE: Final = "name a file with --config.file, or let insights-exporter init write one"
_SECTIONS: Final = "write the sections sources and queries"


class NamedFiles(Struct, frozen=True):
    """The files that are there now, in the order in which they count, and the patterns by which those of folders are
    found."""

    files: tuple[Path, ...]
    patterns: tuple[Path, ...]


def named_files(named: ConfigFiles) -> NamedFiles:
    """Files that are named twice count once. A folder stands for its `*.yaml` and `*.yml`, by their names; hidden ones
    are none, such as `..data` in a volume of Kubernetes."""
    files: dict[Path, Path] = {}  # by where links lead
    patterns: list[Path] = []
    for one in named if isinstance(named, tuple) else (named,):
        found = [one]
        if os.path.isdir(one):  # noqa: PTH112 - Path.is_dir raises where the folder cannot be reached
            own = [pattern_in(one, ending) for ending in _ENDINGS]
            patterns += own
            found = sorted(file for pattern in own for file in files_of(pattern))
        for file in found:
            files.setdefault(_end_of_links(file), file)
    return NamedFiles(tuple(files.values()), tuple(patterns))


def _end_of_links(file: Path) -> Path:
    try:
        return file.resolve()
    except (OSError, RuntimeError, ValueError):  # a circle of links, for one, which the reading tells
        return file


def pattern_in(folder: Path, pattern: str) -> Path:
    """The pattern, which begins at that folder, whatever characters its name has."""
    return Path(glob.escape(str(folder))) / pattern


def only_name(pattern: Path) -> Path | None:
    """The one name that a pattern stands for; None for one that stands for several."""
    text = str(pattern)
    return None if glob.has_magic(_ESCAPED.sub("", text)) else Path(_ESCAPED.sub(r"\1", text))


def files_of(pattern: Path) -> tuple[Path, ...]:
    """The files that a pattern names now; none where its folder cannot be reached."""
    if (sought := sought_now()) is not None:
        sought.patterns[pattern] = None
        for one in watched((pattern,)):
            sought.note(one)
    return _files_of(pattern)


def watched(patterns: tuple[Path, ...]) -> Iterator[Path]:
    """What changes when a file that a pattern names is written, or when one comes or goes: these files and all folders
    where one may come. Those that are not there may come, too."""
    for pattern in patterns:
        place = pattern
        while (name := only_name(place)) is None:
            yield from _files_of(place) if place is pattern else _folders_of(place)
            place = place.parent
        yield name


def _files_of(pattern: Path) -> tuple[Path, ...]:
    return tuple(Path(found) for found in _matches(pattern) if os.path.isfile(found))  # noqa: PTH113 - as above


def _folders_of(pattern: Path) -> tuple[Path, ...]:
    return tuple(Path(found) for found in _matches(pattern) if os.path.isdir(found))  # noqa: PTH112 - as above


def _matches(pattern: Path) -> list[str]:
    try:
        return sorted(glob.glob(str(pattern)))  # noqa: PTH207 - the pattern has a folder
    except ValueError:  # it has a character that no name has
        return []


def read_named_files(named: ConfigFiles, files: tuple[Path, ...]) -> Nodes:
    """The files as one. Of several, each may have faults of its own; raises `ConfigError` where none can be read."""
    if not files:
        shown = named if isinstance(named, Path) else named[0]
        wrong = "the folder has no file whose name ends in .yaml or .yml"
        raise ConfigError((Problem(str(shown), None, "", wrong, "write one there, or name a file"),))
    read: list[Nodes] = []
    faults: list[tuple[KeyPath, Problem]] = []
    for file in files:
        try:
            nodes = _read(file)
        except ConfigError as error:
            faults += [((), problem) for problem in error.problems]
        else:
            if nodes is not None:
                read.append(nodes)
    if not read:
        raise ConfigError(tuple(problem for _, problem in faults) or (_nothing(files[0]),))
    first, *others = read
    whole = first.with_entries(others, LISTS).with_keys(others)
    return whole.with_faults([*faults, *_clashes(read)], LISTS if faults else ())


def _read(file: Path) -> Nodes | None:
    """The nodes of a file; none where nothing stands in it."""
    nodes = read_nodes(file_text(file, _NO_FILE), str(file))
    if nodes.value is None:
        return None
    if not isinstance(nodes.value, dict):
        raise ConfigError((Places(nodes).problem((), "is empty or not a mapping", _SECTIONS),))
    return nodes.without(key for key in nodes.value if key.startswith("x-"))


def _nothing(file: Path) -> Problem:
    return Problem(str(file), None, "", "is empty or not a mapping", _SECTIONS)


def _clashes(read: list[Nodes]) -> Iterator[tuple[KeyPath, Problem]]:
    """Keys that stand in several files, but are one value."""
    first: dict[str, Nodes] = {}
    for nodes in read:
        assert isinstance(nodes.value, dict)  # one that is none is refused before
        for key in nodes.value:
            known = first.setdefault(key, nodes)
            if known is not nodes and not _add_up(key, known, nodes):
                wrong = f"stands in {known.file}, line {known.line((key,))}, too"
                yield (key,), Places(nodes).problem((key,), wrong, "keep it in one of the files")


def _add_up(key: str, *both: Nodes) -> bool:
    lists = (isinstance(nodes.value, dict) and isinstance(nodes.value.get(key), list) for nodes in both)
    return key in LISTS and all(lists)
