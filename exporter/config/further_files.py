"""`query_files` and `source_files`: sections of a configuration in files of their own, as Prometheus' `rule_files`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from exporter.config.environment import Variables
from exporter.config.named_files import files_of, only_name, pattern_in
from exporter.config.nodes import KeyPath, Nodes
from exporter.config.problems import Places, file_text
from exporter.config.yaml_reader import read_nodes
from exporter.model.errors import ConfigError, Problem

KEYS: Final = ("source_files", "query_files")
_SECTIONS: Final = ("sources", "queries", "lookups")


def with_further_files(nodes: Nodes, environ: Mapping[str, str]) -> tuple[Nodes, tuple[Path, ...]]:
    """The nodes with the entries of all files that they name, in the order of their names, and the patterns of these
    names. Relative ones begin at the folder of the file that names them."""
    patterns: dict[Path, None] = {}
    taken: dict[Path, KeyPath] = {}
    faults: list[tuple[KeyPath, Problem]] = []
    variables = Variables(environ, Places(nodes))
    for place, pattern in _patterns(nodes, variables):
        whole_pattern = pattern_in(Path(nodes.file_of(place)).parent, pattern)
        patterns[whole_pattern] = None
        found = files_of(whole_pattern)
        if not found and (problem := _problem(nodes, place, whole_pattern)) is not None:
            faults.append((place, problem))
        for file in found:
            taken.setdefault(file, place)
    read: list[Nodes] = []
    for file, place in taken.items():
        try:
            read.append(_further(file))
        except ConfigError as error:
            faults += [(place, problem) for problem in error.problems]
    whole = nodes.with_entries(read, _SECTIONS)
    is_incomplete = faults or variables.unset or variables.faulty
    return whole.with_faults(faults, _SECTIONS if is_incomplete else ()), tuple(patterns)


def _problem(nodes: Nodes, place: KeyPath, pattern: Path) -> Problem | None:
    """What is wrong with a name that no file has; files that fit a pattern may come later."""
    if only_name(pattern) is not None:
        return Places(nodes).problem(place, "there is no such file", "name files that exist, or a pattern")
    folder = only_name(pattern.parent)
    try:
        if folder is not None:
            os.scandir(folder).close()
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "its name has a character that no name has"
        return Places(nodes).problem(place, f"the folder cannot be read: {reason}", "name a folder that can be read")
    return None


def idle_patterns(nodes: Nodes, environ: Mapping[str, str]) -> Iterator[Problem]:
    """Warnings of patterns that fit no file now."""
    for place, pattern in _patterns(nodes, Variables(environ, Places(nodes))):
        whole_pattern = pattern_in(Path(nodes.file_of(place)).parent, pattern)
        is_wrong = _problem(nodes, place, whole_pattern) is not None
        if not is_wrong and not files_of(whole_pattern):
            yield Places(nodes).problem(place, "no file has a name like that", "write one there, or mend the pattern")


def _patterns(nodes: Nodes, variables: Variables) -> Iterator[tuple[KeyPath, str]]:
    """The names and patterns of files, without those whose variables are unset or faulty, as is said of them later."""
    assert isinstance(nodes.value, dict)  # a file that is none is refused before
    for key in KEYS:
        entries = nodes.value.get(key)
        for index, pattern in enumerate(entries if isinstance(entries, list) else ()):
            place: KeyPath = (key, index)
            if not isinstance(pattern, str):
                continue
            expanded = variables.expand(pattern, place)
            if place not in variables.unset and place not in variables.faulty:
                yield place, expanded


def _further(file: Path) -> Nodes:
    """The sections of a further file. Raises `ConfigError` where it has none."""
    nodes = read_nodes(file_text(file), str(file))
    if nodes.value is None:
        return nodes
    remedy = f"write one or more of the sections {', '.join(_SECTIONS)}"
    if not isinstance(nodes.value, dict):
        raise ConfigError((Places(nodes).problem((), "must be a mapping", remedy),))
    stays, faults = "is not allowed in an included file", list[tuple[KeyPath, Problem]]()
    for key, section in nodes.value.items():
        if key in _SECTIONS and not isinstance(section, list):
            problem = Places(nodes).problem((key,), "must be a list", "begin each entry with -")
            nodes = nodes.with_faults((), [key])
        elif key in _SECTIONS or key.startswith("x-"):
            continue
        else:
            problem = Places(nodes).problem((key,), stays, remedy)
        faults.append(((key,), problem))
    return nodes.with_faults(faults)
