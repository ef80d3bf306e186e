"""`${NAME}` in scalars: values from the environment, read when a configuration is loaded."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from exporter.config.nodes import KeyPath
from exporter.config.problems import Places
from exporter.model.errors import Problem
from exporter.model.samples import Json

_VARIABLE: Final = re.compile(r"\$(?P<literal>\$)?\{(?:(?P<inner>[^}]*)\})?")
_VARIABLE_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Variables:
    """`${NAME}` in scalars, replaced after the YAML is parsed."""

    def __init__(self, environ: Mapping[str, str], places: Places) -> None:
        self._environ = environ
        self._places = places
        self.unset: dict[KeyPath, Problem] = {}
        self.faulty: dict[KeyPath, Problem] = {}

    def expand(self, value: Json, path: KeyPath) -> Any:
        if isinstance(value, str) and "${" in value:
            return _VARIABLE.sub(lambda match: self._replacement(match, path), value)
        if isinstance(value, list):
            return [self.expand(item, (*path, index)) for index, item in enumerate(value)]
        if isinstance(value, dict):
            return {key: self.expand(item, (*path, key)) for key, item in value.items()}
        return value

    def _replacement(self, match: re.Match[str], path: KeyPath) -> str:
        if match["literal"]:
            return match[0][1:]
        name, has_default, default = (match["inner"] or "").partition(":-")
        if not _VARIABLE_NAME.fullmatch(name):  # not quoted, as it may be a piece of a secret
            remedy = "write ${NAME} or ${NAME:-default}, or $${ for a ${"
            self.faulty[path] = self._places.problem(path, "a ${ that names no environment variable", remedy)
            return ""
        value = self._environ.get(name, "")
        if value or has_default:
            return value or default
        self.unset[path] = self._places.problem(
            path, f"the environment variable {name} is unset", f"set {name}, or write ${{{name}:-default}}"
        )
        return match[0]
