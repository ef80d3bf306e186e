"""`document_file`: the documents of queries in files of their own, as they stand there."""

from __future__ import annotations

from collections.abc import Container
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from exporter.config.nodes import KeyPath, Nodes
from exporter.config.problems import Places
from exporter.model.errors import Problem
from exporter.model.file_read import MAX_DOCUMENT_BYTES, read_file

KEY: Final = "document_file"


class Documents(Struct, frozen=True):
    """The entries of `queries` with the texts of the files that they name, and the nodes, which know these files.
    `unknown` are the places of documents of which nothing can be said."""

    queries: list[Any]
    nodes: Nodes
    unknown: tuple[KeyPath, ...]

    @property
    def section(self) -> dict[str, Any]:
        """The section, if there is one that is a list."""
        return {"queries": self.queries} if self.queries else {}

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that were read."""
        return tuple(dict.fromkeys(Path(file) for file in self.nodes.text_files.values()))


def with_document_files(nodes: Nodes, queries: object, unset: Container[KeyPath] = ()) -> Documents:
    """`queries` are the entries as they stand in `nodes`, with the variables put in, but for the places in `unset`. A
    relative file is looked for beside the file that names it."""
    read: list[Any] = []
    files: dict[KeyPath, str] = {}
    faults: list[tuple[KeyPath, Problem]] = []
    texts: dict[Path, str] = {}
    unknown: list[KeyPath] = []
    for index, entry in enumerate(queries if isinstance(queries, list) else ()):
        read.append(entry)
        document, key = ("queries", index, "document"), ("queries", index, KEY)
        if not isinstance(entry, dict) or KEY not in entry:
            continue
        if key in unset or not isinstance(entry[KEY], str):
            unknown.append(document)
            continue
        if "document" in entry and not _is_overridden(nodes, key):
            wrong = "is given together with document"
            faults.append((key, Places(nodes).problem(key, wrong, "keep one of the two")))
            continue
        file = Path(nodes.file_of(key)).parent / entry[KEY]
        try:
            texts[file] = texts[file] if file in texts else _text(file)
        except (OSError, ValueError) as error:
            remedy = "name a readable file with one GraphQL query"
            problem = Places(nodes).problem(key, _reason(file, error), remedy)
            faults.append((document, problem))
            unknown.append(document)
            continue
        files[document] = str(file)
        read[-1] = {**entry, "document": texts[file]}
    return Documents(read, nodes.with_text_files(files).with_faults(faults), tuple(unknown))


def _is_overridden(nodes: Nodes, key: KeyPath) -> bool:
    """Whether the file is named by an override, which takes the place of what is written in the query."""
    return nodes.origin(key)[:1] == ("overrides",)


def _text(file: Path) -> str:
    """What stands in a file. Raises `OSError` or `ValueError`."""
    text = read_file(file, MAX_DOCUMENT_BYTES).decode("utf-8-sig")
    if not text.strip():
        raise ValueError("is empty")
    return text


def _reason(file: Path, error: OSError | ValueError) -> str:
    match error:
        case OSError():
            return str(error.strerror) if "\0" in str(file) else f"{file} cannot be read: {error.strerror}"
        case UnicodeDecodeError():
            return f"{file} is not UTF-8 (byte {error.start})"
    return f"{file} is empty"
