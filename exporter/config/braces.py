"""References and variables where nothing fills them in. Their text is never quoted, as it may be a secret."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from exporter.config.nodes import texts
from exporter.config.problems import Places
from exporter.model.errors import Problem
from exporter.model.samples import Json
from exporter.model.template import REFERENCE

_BARE_SCALAR: Final = re.compile(r"\$[A-Za-z_][A-Za-z0-9_]*")
_BARE_WITHIN: Final = re.compile(r"(?<![$\w])\$[A-Z_][A-Z0-9_]+\b")
TARGET_KEYS: Final = ("static_configs", "file_sd_configs")
TARGET_REFERENCE: Final = re.compile(r"\{\{\s*target\.(\w+)\s*\}\}")
_UNFILLED: Final = "a {{ reference }}, which is not replaced here"
_FILLED: Final = "write the text itself, or ${NAME} for a variable of the environment"


def has_targets(entry: object) -> bool:
    """Whether a source has targets instead of a URL."""
    return isinstance(entry, dict) and not entry.keys().isdisjoint(TARGET_KEYS)


def unfilled(value: Json, places: Places) -> Iterator[Problem]:
    """`{{ references }}` in sources that no target fills in: in URLs, headers, credentials, and all else that is sent
    as it stands."""
    sources = value.get("sources") if isinstance(value, dict) else None
    entries = enumerate(sources if isinstance(sources, list) else ())
    of_targets = {("sources", index) for index, entry in entries if has_targets(entry)}
    for path, text in texts(sources, ("sources",)):
        filled = TARGET_REFERENCE.sub("", text) if path[:2] in of_targets else text
        if REFERENCE.search(filled):
            yield places.problem(path, _UNFILLED, _FILLED)


def doubtful(value: Json, places: Places) -> Iterator[Problem]:
    """What is hardly meant as it stands: a reference in a constant; `$NAME` as a whole text, and in sources also within
    one."""
    for path, text in texts(value, ()):
        if path[-1:] == ("document",):
            continue  # where $name is a variable of GraphQL
        if path[-1:] == ("const",) and REFERENCE.search(text):
            wrong = "a {{ reference }} in a constant, which is taken literally"
            yield places.problem(path, wrong, "write the reference without const")
        if _BARE_SCALAR.fullmatch(text) or (path[:1] == ("sources",) and _BARE_WITHIN.search(text)):
            wrong = "a $NAME without braces, which is taken literally"
            yield places.problem(path, wrong, "write ${NAME} for a variable of the environment")
