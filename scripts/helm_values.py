"""Writes README.md and values.schema.json of the Helm chart from its values.yaml: `make manifests`.

With `--check` it writes nothing, and ends with 1 if a file is not what it would write.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml
from generated import written

ROOT: Final = Path(__file__).resolve().parents[1]
CHART: Final = ROOT / "deploy" / "helm" / "insights-exporter"
_BEGIN: Final = "<!-- The table is written by scripts/helm_values.py (`make manifests`), from values.yaml. -->"
# What Kubernetes itself defines: any key may stand in it.
_OPEN: Final = frozenset({"resources", "startupProbe", "livenessProbe", "readinessProbe"})
_NARROWER: Final[Mapping[str, dict[str, Any]]] = {
    "config": {"type": ["object", "string"]},
    "existingSecret.env": {
        "type": ["array", "object"],
        "items": {
            "type": "object",
            "required": ["name", "key"],
            "additionalProperties": False,
            "properties": {"name": {"type": "string"}, "key": {"type": "string"}},
        },
        "additionalProperties": {"type": ["string", "null"]},
    },
    "shards": {"type": "integer", "minimum": 1, "maximum": 1000},
    "service.port": {"type": "integer", "minimum": 1, "maximum": 65535},
    "service.type": {"enum": ["ClusterIP", "NodePort", "LoadBalancer"]},
    "image.pullPolicy": {"enum": ["", "Always", "IfNotPresent", "Never"]},
    "image.digest": {"type": "string", "pattern": "^(sha256:[0-9a-f]{64})?$"},
    "serviceMonitor.scheme": {"enum": ["", "http", "https"]},
    "serviceMonitor.interval": {"type": "string", "pattern": "^([0-9]+(ms|s|m|h))+$"},
    "serviceMonitor.scrapeTimeout": {"type": "string", "pattern": "^([0-9]+(ms|s|m|h))+$"},
}
_TYPES: Final = {bool: "boolean", int: "integer", str: "string", list: "array", dict: "object"}


@dataclass(frozen=True, slots=True)
class Value:
    """A value of the chart: its key with dots, its default, and the comment above it."""

    key: str
    default: Any
    meaning: str


def values(tree: Mapping[str, Any], comments: Mapping[str, str], before: str = "") -> Iterator[Value]:
    """All values that can be set, in the order of the file. Raises `ValueError` for one without a comment."""
    for name, default in tree.items():
        key = f"{before}{name}"
        if key in comments:
            yield Value(key, default, comments[key])
        elif isinstance(default, dict) and default:
            yield from values(default, comments, f"{key}.")
        else:
            raise ValueError(f"values.yaml: {key} has no comment above it")


def comments_of(text: str) -> dict[str, str]:
    """The comment above each key of two levels, by the key with dots. The first line is about the file."""
    found: dict[str, str] = {}
    outer, said = "", list[str]()
    for line in text.splitlines()[1:]:
        stripped, indent = line.strip(), len(line) - len(line.lstrip())
        if stripped.startswith("#"):
            said.append(stripped.removeprefix("#").strip())
            continue
        name = stripped.partition(":")[0]
        key = name if indent == 0 else f"{outer}.{name}"
        if indent == 0:
            outer = name
        if said:
            found[key] = " ".join(said)
        said = []
    return found


def table(found: list[Value]) -> str:
    """The table of README.md."""
    lines = [f"| `{one.key}` | {one.meaning} | {_default_text(one.default)} |" for one in found]
    return "\n".join([_BEGIN, "", "| value | meaning | default |", "| --- | --- | --- |", *lines, ""])


def _default_text(default: Any) -> str:
    return "" if default in ("", [], {}) and not isinstance(default, bool) else f"`{json.dumps(default)}`"


def schema(found: list[Value]) -> dict[str, Any]:
    """What values.yaml may have: no other keys, and of each its type."""
    root: dict[str, Any] = _section()
    for one in found:
        section, (*outer, name) = root, one.key.split(".")
        for each in outer:
            section = section["properties"].setdefault(each, _section())
        section["properties"][name] = {"description": one.meaning, **_kind(one)}
    root["properties"]["global"] = {"type": "object", "description": "Values that Helm shares among charts."}
    return {"$schema": "http://json-schema.org/draft-07/schema#", **root}


def _section() -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "properties": {}}


def _kind(one: Value) -> dict[str, Any]:
    if one.key in _NARROWER:
        return _NARROWER[one.key]
    if isinstance(one.default, dict) and one.default and one.key not in _OPEN:
        raise ValueError(f"values.yaml: {one.key} has keys of its own, and a comment in place of theirs")
    return {"type": _TYPES[type(one.default)]}


def main() -> int:
    text = (CHART / "values.yaml").read_text("utf-8")
    found = list(values(yaml.safe_load(text), comments_of(text)))
    readme = CHART / "README.md"
    before = readme.read_text("utf-8").partition(_BEGIN)[0]
    made = json.dumps(schema(found), indent=2) + "\n"
    return written({readme: before + table(found), CHART / "values.schema.json": made}, "make manifests")


if __name__ == "__main__":
    sys.exit(main())
