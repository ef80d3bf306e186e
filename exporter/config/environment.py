"""`${NAME}` in scalars: values from the environment, read when a configuration is loaded."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from exporter.config.nodes import KeyPath
from exporter.config.problems import Places
from exporter.config.yaml_reader import with_type
from exporter.model.background import give_way
from exporter.model.errors import Problem
from exporter.model.samples import Json
from exporter.model.secret import SHOWN, FromEnvironment, without_line_end

_VARIABLE: Final = re.compile(r"(?P<literal>\$)\$\{|\$\{(?P<inner>[^}]*)\}")
_UNCLOSED: Final = re.compile(r"(?P<literal>\$)\$\{|\$\{(?P<inner>)")
_VARIABLE_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_WHOLE: Final = re.compile(r"\$\{[^}]*\}")


def _takes_any(path: KeyPath) -> bool:
    """Whether a value of any type may stand there; elsewhere what is written is read as what the key wants."""
    match path:
        case ("sources", int(), "values", *_) | ("sources", int(), "invalid_token_codes"):
            return True
        case ("sources", int(), "oauth2", "scopes"):
            return True
        case ("queries", int(), "variables" | "for_each" | "sources", *_):
            return True
        case ("queries", int(), "metrics", int(), "value" | "where" | "states", *_):
            return True
    return False


def _variables(text: str) -> Iterator[re.Match[str]]:
    """Each `${`, with what its braces hold. After the last `}` none is closed, which is not looked for again and
    again."""
    end = text.rfind("}") + 1
    yield from _VARIABLE.finditer(text, 0, end)
    yield from _UNCLOSED.finditer(text, end)


class Variables:
    """`${NAME}` in scalars, replaced after the YAML is parsed."""

    def __init__(self, environ: Mapping[str, str], places: Places) -> None:
        self._environ = environ
        self._places = places
        self.unset: dict[KeyPath, Problem] = {}
        self.faulty: dict[KeyPath, Problem] = {}
        self.typed: dict[KeyPath, Json] = {}
        """What variables gave that is no text, as its text looks like a number or a list."""

    def expand(self, value: Json, path: KeyPath) -> Any:
        give_way()
        if isinstance(value, str) and "${" in value:
            text = self._expand_text(value, path)
            return self._with_type(text, path) if path not in self.unset and _WHOLE.fullmatch(value) else text
        if isinstance(value, list):
            return [self.expand(item, (*path, index)) for index, item in enumerate(value)]
        if isinstance(value, dict):
            return {key: self.expand(item, (*path, key)) for key, item in value.items()}
        return value

    def _with_type(self, text: str, path: KeyPath) -> Json:
        """A variable without quotes that is all of a scalar has the type that it looks like, where any may stand."""
        if not self._places.nodes.is_plain(path) or not _takes_any(path):
            return text
        found = with_type(text)
        if isinstance(found, str):
            return text
        if isinstance(text, FromEnvironment):
            self.typed[path] = found
        return found

    def _expand_text(self, text: str, path: KeyPath) -> str:
        values: list[str] = []
        parts, shown, at = [], [], 0
        for match in _variables(text):
            between, found = text[at : match.start()], self._replacement(match, path)
            is_given = not match["literal"] and self._value(match) == found != ""
            values += [found] if is_given else []
            parts += [between, found]
            shown += [between, SHOWN if is_given else found]
            at = match.end()
        whole = "".join((*parts, text[at:]))
        return FromEnvironment(whole, tuple(values), "".join((*shown, text[at:]))) if values else whole

    def _value(self, match: re.Match[str]) -> str:
        return without_line_end(self._environ.get(match["inner"].partition(":-")[0], ""))

    def _replacement(self, match: re.Match[str], path: KeyPath) -> str:
        if match["literal"]:
            return "${"
        name, has_default, default = match["inner"].partition(":-")
        if not _VARIABLE_NAME.fullmatch(name):  # not quoted, as it may be a piece of a secret
            remedy = "write ${NAME} or ${NAME:-default}, or $${ for a ${"
            self.faulty[path] = self._places.problem(path, "a ${ that names no environment variable", remedy)
            return ""
        if "{" in default:  # its brace would end the default, and the rest of it stand in the text
            remedy = "write the default as text alone, or set the whole text by the variable"
            self.faulty[path] = self._places.problem(path, f"a {{ in the default of {name}", remedy)
            return ""
        value = self._value(match)
        if value or has_default:
            return value or default
        self.unset[path] = self._places.problem(
            path, f"the environment variable {name} is unset", f"set {name}, or write ${{{name}:-default}}"
        )
        return match[0]
