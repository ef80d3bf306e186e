"""How a configuration's problems are told: where they stand, what is wrong, what would be right."""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from msgspec import Struct
from pydantic import BaseModel
from pydantic_core import ErrorDetails

from exporter.config.key_names import other_name
from exporter.config.nodes import KeyPath, Nodes, key_text
from exporter.model.errors import ConfigError, Problem
from exporter.model.file_read import MAX_CONFIG_BYTES, read_file
from exporter.model.suggestion import suggestion

# What people write for a mapping that they know by one of its values.
_MAPPINGS: Final = {
    "authorization": "write {credentials: TOKEN}; the type is Bearer if you give no other",
    "basic_auth": "write {username: NAME, password_file: FILE}",
    "http_headers": "write {HEADER: VALUE}, without -",
    "map": "write {WORD: NUMBER}",
    "pages": "write {size: 100} and how the API turns pages",
    "values": "write {NAME: VALUE}, without -",
    "variables": "write {VARIABLE: VALUE}, without -",
    "for_each": "write {NAME: QUERY}; {{ NAME.id }} is then a field of each row of that query",
    "labels": "write {LABEL: PATH}",
    "rate_limit": "write {requests: 10, per: 1s}",
    "window": "write {length: 5m}",
}
# Words of other programs, and what they are here.
_OTHER_WORDS: Final = {
    "bool": "boolean",
    "bytes": "size",
    "date": "timestamp",
    "datetime": "timestamp",
    "double": "number",
    "float": "number",
    "int": "number",
    "integer": "number",
    "length": "count",
    "ms": "milliseconds",
    "ratio": "percent",
    "str": "string",
    "text": "string",
    "time": "timestamp",
}
OWN_KEYS: Final = {
    "metrics": ("aggregate", "bucket", "from_unit", "help", "map", "states", "top", "type", "value", "where"),
    "queries": (
        *("batch", "document", "for_each", "interval", "metrics", "pack", "pages", "period", "rows", "stale_after"),
        *("timeout", "variables", "window"),
    ),
    "sources": (
        *("authorization", "basic_auth", "concurrency", "http_headers", "oauth2", "proxy_url", "rate_limit", "schema"),
        *("secret_values", "tls_config", "url", "values"),
    ),
}
"""Keys that stand in the entries of one section alone, for whoever writes them elsewhere."""


class Places(Struct, frozen=True):
    """Where each part of a configuration stands, for the messages about it."""

    nodes: Nodes

    def problem(self, path: KeyPath, wrong: str, remedy: str = "") -> Problem:
        """A problem at a key."""
        return Problem(
            self.nodes.file_of(path), self.nodes.line(path), key_text(self.nodes.origin(path)), wrong, remedy
        )

    def text_problem(self, path: KeyPath, line_in_text: int, wrong: str, remedy: str = "") -> Problem:
        """A problem at a line inside a key's text, such as a document's, which may be a file of its own."""
        if (file := self.nodes.text_files.get(path)) is not None:
            return Problem(file, line_in_text, key_text(path), wrong, remedy)
        line = self.nodes.text_line(path, line_in_text)
        return Problem(self.nodes.file_of(path), line, key_text(self.nodes.origin(path)), wrong, remedy)


def file_text(file: Path, remedy: str = "name a file that can be read") -> str:
    """A configuration file's text. Raises `ConfigError`, with the remedy where it cannot be read."""
    try:
        return read_file(file, MAX_CONFIG_BYTES).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        problem = Problem(str(file), line, "", f"not UTF-8 (byte {error.start})", "save it as UTF-8")
    except OSError as error:
        problem = Problem(str(file), None, "", f"cannot be read: {error.strerror}", remedy)
    raise ConfigError((problem,)) from None


def describe(details: ErrorDetails, model: type[BaseModel]) -> tuple[str, str]:
    """What is wrong and what would be right, in words."""
    kind, place = details["type"], details["loc"]
    match kind:
        case "extra_forbidden":
            return "unknown key", _key_remedy(str(place[-1]), _section_keys(model, place[:-1]), details.get("input"))
        case "missing":
            return "is missing", "add it"
        case "value_error":
            wrong, _, remedy = str(details["ctx"]["error"]).partition("; ")
            if place[-2:-1] == ("labels",) and place[-1] in OWN_KEYS["queries"]:
                return "is a key of a query and not a label", f"indent {place[-1]} like labels"
            return wrong, remedy
        case "string_type" | "path_type" if isinstance(details.get("input"), dict | list | None):
            return "must be text", "write text there"
        case "string_type" | "path_type":
            return "must be text", "put it in quotes"
        case "literal_error" | "enum":
            expected, written = details["ctx"]["expected"], str(details.get("input", ""))
            words = re.findall("'([^']*)'", expected)
            other = _OTHER_WORDS.get(written.lower())
            meant = suggestion(written, words) or (f"write {other}" if other in words else "")
            return "not one of the allowed words", meant or f"write {expected}"
        case "too_short":
            return "is empty", "add at least one"
        case "string_too_short":
            return "is empty", "write some text"
        case "model_type" | "model_attributes_type" | "mapping_type" | "dict_type":
            return "must be a mapping", _MAPPINGS.get(
                str(place[-1]) if place else "", "write keys with values below it"
            )
        case "tuple_type" | "list_type":
            return "must be a list", "write it as [a, b], or begin each entry with -"
        case "bool_type" | "bool_parsing":
            return "must be true or false", "write one of the two"
        case "int_type" | "int_parsing" | "int_from_float":
            return "must be a whole number", "write one such as 1 or 100"
        case "greater_than_equal":
            return "is too small", f"write {details['ctx']['ge']} or more"
        case "less_than_equal":
            return "is too large", f"write {details['ctx']['le']} or less"
        case "float_type" | "float_parsing" | "finite_number":
            return "must be a number", "write one such as 1 or 0.5"
    message = details["msg"]
    return f"is not right: {message[0].lower()}{message[1:]}", ""


def _key_remedy(key: str, known: list[str], value: object) -> str:
    """What an unknown key was meant to be, or where it belongs."""
    if (value is None and " " in key.strip()) or key.endswith("."):
        return "put a text with a comma in quotes"
    if other := other_name(key, known):
        return f"write {other}"
    if found := suggestion(key, known):
        return found
    if section := next((section for section, keys in OWN_KEYS.items() if key in keys), ""):
        return f"it belongs to an entry of {section}"
    return nearest(key, known)


def nearest(word: str, known: Iterable[str]) -> str:
    """What was meant, perhaps, or else all that could have been."""
    names = sorted(known)
    if found := suggestion(word, names):
        return found
    return f"known here: {', '.join(names)}"


def _section_keys(model: type[BaseModel], place: tuple[int | str, ...]) -> list[str]:
    """The keys of the section that `place` names inside `model`."""
    found: type[BaseModel] | None = model
    for part in place:
        if isinstance(part, int) or found is None:
            continue
        field = next((field for name, field in found.model_fields.items() if part in (name, field.alias)), None)
        found = None if field is None else _model_in(field.annotation)
    return [] if found is None else [field.alias or name for name, field in found.model_fields.items()]


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The section type inside an annotation such as `tuple[Metric, ...]` or `Window | None`."""
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        return annotation if issubclass(annotation, BaseModel) else None
    return next((model for part in typing.get_args(annotation) if (model := _model_in(part))), None)
