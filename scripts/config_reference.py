"""What the configuration's keys mean, for editors and for the reference: read from the texts below the keys.

The texts are in the source alone, which an installed exporter need not have: it prints what was made of them here.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import Any, Final
from zoneinfo import ZoneInfo

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema

from exporter.config import credentials, headers, metric, query, schema, source
from exporter.config.include import catalogue_names
from exporter.config.labels import LABEL_PATTERN
from exporter.config.scalars import (
    DURATION_PATTERN,
    LABEL_NAME_PATTERN,
    METRIC_NAME_PATTERN,
    SIZE_PATTERN,
    URL_PATTERN,
    WORD_PATTERN,
    Strict,
)
from exporter.config.schema import Config
from exporter.model.duration import duration_text
from exporter.model.response_path import PATH_PATTERN
from exporter.model.samples import Json
from exporter.model.time_format import TimeFormat

JSON_SCHEMA_DIALECT: Final = "http://json-schema.org/draft-07/schema#"  # what every editor's YAML plug-in knows
_OR_INCLUDE: Final = "queries"  # is merged with what `include` names before it is required
_OR_TARGETS: Final = "url"  # or one of the keys with many
_OR_FILE: Final = "document"  # may stand in the file that document_file names
_VARIABLE: Final = {"type": "string", "pattern": r"\$\{"}
_MODULES: Final = (source, credentials, headers, query, metric, schema)
_BOUNDS: Final = {"ge": "minimum", "le": "maximum"}  # pydantic's words, where a bound stands on what a function made
_BYTES_OF_MEBIBYTE: Final = 2**20
_EXAMPLE: Final = " Example: "  # begins the last line of a key's text
_TYPES: Final = {"string": "text", "integer": "integer", "number": "number", "boolean": "boolean"}
_FORMS: Final = {
    LABEL_PATTERN: "path or text",
    DURATION_PATTERN: "duration",
    LABEL_NAME_PATTERN: "name",
    METRIC_NAME_PATTERN: "metric name",
    PATH_PATTERN: "path",
    SIZE_PATTERN: "size",
    URL_PATTERN: "URL",
    WORD_PATTERN: "name",
}
_PLURALS: Final = {"section": "sections", "name": "names", "file": "files"}
_AS_WRITTEN: Final = ("default", "enum", "examples")  # values of the configuration, and no schemas


@dataclass(frozen=True, slots=True)
class Key:
    """A key of a section: its name in the file, its meaning, its type, its default as one writes it, if it has one, and
    an example of its value as YAML."""

    name: str
    meaning: str
    type: str
    required: bool
    default: str
    example: str


def sections() -> tuple[type[Strict], ...]:
    """The sections of a configuration."""
    return tuple(
        model
        for module in _MODULES
        for model in vars(module).values()
        if isinstance(model, type) and issubclass(model, Strict) and model.__module__ == module.__name__
    )


def keys(model: type[Strict]) -> tuple[Key, ...]:
    """The keys of a section, in the order of the source."""
    texts, types = _meanings()[model.__name__], _types()[model.__name__]

    def key(name: str, field: FieldInfo) -> Key:
        meaning, example = meaning_and_example(texts[name], f"{model.__name__}.{name}")
        required, known_as = _is_required(name, field), field.alias or name
        return Key(known_as, meaning, types[known_as], required, _written(_default(field)), example)

    return tuple(key(name, field) for name, field in model.model_fields.items())


def meaning_and_example(text: str, place: str) -> tuple[str, str]:
    """The two parts of the text below a key. Raises `LookupError`, which names the place, where there is no example."""
    meaning, _, example = text.partition(_EXAMPLE)
    if not example:
        raise LookupError(f"{place} has no example; end the text below it with a line such as: Example: 5m")
    return meaning, example


@cache
def _types() -> dict[str, dict[str, str]]:
    """Section -> key -> what its value is, in words."""
    made = Config.model_json_schema(ref_template="{model}")
    definitions = made.pop("$defs")
    return {
        model.__name__: {
            name: type_text(part, definitions)
            for name, part in (made if model is Config else definitions[model.__name__])["properties"].items()
        }
        for model in sections()
    }


def type_text(part: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    """What a value is, of its JSON Schema: its words, the section that it is, or its form and bounds."""
    if "$ref" in part:
        referred = definitions[part["$ref"]]
        return "section" if "properties" in referred else type_text(referred, definitions)
    if "enum" in part:
        return ", ".join(f"`{word}`" for word in part["enum"])
    for options in ("anyOf", "oneOf"):
        if options in part:
            texts = (type_text(option, definitions) for option in part[options] if option.get("type") != "null")
            return " or ".join(dict.fromkeys(texts))
    match part.get("type"):
        case [*types]:
            return " or ".join(_TYPES[name] for name in types)
        case "array":
            items = type_text(part["items"], definitions) if "items" in part else ""
            return f"list of {_PLURALS.get(items, items)}" if items else "list"
        case "object":
            (within,) = part.get("patternProperties", {"": part.get("additionalProperties")}).values()
            return f"mapping to {type_text(within, definitions)}" if within and within is not True else "mapping"
        case "string" if "pattern" in part:
            return _FORMS[part["pattern"]]
        case "string" if part.get("format") == "path":
            return "file"
        case str(name):
            return _TYPES[name] + _bounds_text(part)
    return "any value"


def _bounds_text(part: Mapping[str, Any]) -> str:
    low, high = (part.get(new, part.get(old)) for old, new in _BOUNDS.items())
    if high is not None:
        return f", {low} to {high}"
    return "" if low is None else f", {low} or more"


def _is_required(name: str, field: FieldInfo) -> bool:
    return field.is_required() and name not in (_OR_INCLUDE, _OR_FILE, _OR_TARGETS)


def json_schema() -> dict[str, Json]:
    """The JSON Schema (draft 7) of a configuration file, as it is before `${NAME}` is replaced."""
    made = Config.model_json_schema(schema_generator=_Generator, ref_template="#/definitions/{model}")
    definitions = made.pop("$defs")
    for model in sections():
        described = made if model is Config else definitions[model.__name__]
        for key in keys(model):
            described["properties"][key.name] |= {"description": key.meaning, "examples": [yaml.safe_load(key.example)]}
    del made["required"]
    made["allOf"] = [
        _one_of_keys("sources", "source_files"),
        _one_of_keys(_OR_INCLUDE, "include", "query_files"),
    ]
    definitions["Source"]["required"].remove(_OR_TARGETS)
    definitions["Source"] |= _one_of_keys(_OR_TARGETS, "static_configs", "file_sd_configs")
    definitions["Query"]["required"].remove(_OR_FILE)
    definitions["Query"]["oneOf"] = [{"required": [_OR_FILE]}, {"required": ["document_file"]}]
    other = _partial(definitions["Query"], definitions)
    del other["properties"]["name"]
    made["properties"]["overrides"]["patternProperties"] = {WORD_PATTERN: other}
    made = _for_editors(made)
    made["properties"]["include"]["items"] = {"enum": list(catalogue_names())}  # read before variables are replaced
    made["patternProperties"] = {"^x-": {}}  # sections of the file's own, for anchors
    made |= {"title": "Configuration of Insights Exporter", "definitions": _for_editors(definitions)}
    return {"$schema": JSON_SCHEMA_DIALECT, **made}


def _one_of_keys(*names: str) -> Json:
    return {"anyOf": [{"required": [name]} for name in names]}


def _partial(part: Any, definitions: Mapping[str, Any]) -> Any:
    """A schema in which nothing is required, of sections at any depth; entries of lists stay whole."""
    if not isinstance(part, dict):
        return part
    if "$ref" in part:
        section = _partial(definitions[part["$ref"].rpartition("/")[2]], definitions)
        return {**section, **{name: value for name, value in part.items() if name != "$ref"}}
    within = {name: value for name, value in part.items() if name not in ("required", "oneOf")}
    if "properties" in within:
        within["properties"] = {key: _partial(value, definitions) for key, value in within["properties"].items()}
    if "anyOf" in within:
        within["anyOf"] = [_partial(value, definitions) for value in within["anyOf"]]
    return within


class _Generator(GenerateJsonSchema):
    """Writes defaults as a configuration has them."""

    def encode_default(self, dft: Any) -> Any:
        """A default as JSON; durations as text, sections and collections as they are when nothing is written."""
        match dft:
            case timedelta() | ZoneInfo() | TimeFormat():
                return _written(dft)
            case BaseModel():
                return {}
            case tuple():
                return []
        return super().encode_default(dft)


def _default(field: FieldInfo) -> object:
    return None if field.is_required() else field.get_default(call_default_factory=True, validated_data={})


def _written(value: object) -> str:
    """A default as one writes it in the file; nothing for what is simply not there."""
    match value:
        case None | () | Strict():
            return ""
        case bool():
            return str(value).lower()
        case timedelta():
            return duration_text(value.total_seconds())
        case TimeFormat():
            return value.text
        case int() if value and value % _BYTES_OF_MEBIBYTE == 0:
            return f"{value // _BYTES_OF_MEBIBYTE}MiB"
        case Mapping() | Sequence() if not value:
            return ""
    return str(value)


def _for_editors(part: Any) -> Any:
    """The schema in JSON Schema's own words, without titles that repeat names, and with `${NAME}` wherever a scalar
    must have a form, as editors see the file before it is replaced."""
    if isinstance(part, list):
        return [_for_editors(item) for item in part]
    if not isinstance(part, dict):
        return part
    within = {
        _BOUNDS.get(name, name): value if name in _AS_WRITTEN else _for_editors(value)
        for name, value in part.items()
        if not (name == "title" and isinstance(value, str)) and not (name == "default" and value is None)
    }
    if "patternProperties" in within:
        within["additionalProperties"] = False  # other names are refused
    has_form = isinstance(part.get("enum"), list) or isinstance(part.get("pattern"), str)  # not keys of these names
    if not has_form and part.get("type") not in ("integer", "number", "boolean"):
        return within
    beside = {name: within.pop(name) for name in ("description", "default", "examples") if name in within}
    return {**beside, "anyOf": [within, _VARIABLE]}


@cache
def _meanings() -> dict[str, dict[str, str]]:
    """Section -> field -> the text below it, in one line."""
    return {
        node.name: dict(_texts(node))
        for module in _MODULES
        for node in ast.parse(inspect.getsource(module)).body
        if isinstance(node, ast.ClassDef)
    }


def _texts(node: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for statement, following in zip(node.body, node.body[1:], strict=False):
        match statement, following:
            case ast.AnnAssign(target=ast.Name(name)), ast.Expr(ast.Constant(str(text))):
                yield name, " ".join(text.split())
