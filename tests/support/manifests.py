"""Objects of Kubernetes: how kubectl makes them of a folder, and what the published schemas have against them."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from tests.support.configurations import ROOT
from tests.support.processes import program

KUBERNETES = ROOT / "deploy" / "kubernetes"
SCHEMAS = ROOT / "tests" / "data" / "kubernetes"


def manifests(folder: Path) -> list[dict[str, Any]]:
    """What `kubectl apply -k` would send for that folder."""
    command = [program("kubectl"), "kustomize", str(folder)]
    rendered = subprocess.run(command, check=True, capture_output=True, text=True, env={**os.environ, "HOME": "/tmp"})
    return list(yaml.safe_load_all(rendered.stdout))


@cache
def schemas() -> Mapping[str, dict[str, Any]]:
    """The schema of each kind."""
    found: dict[str, dict[str, Any]] = {}
    for file in SCHEMAS.glob("*.json"):
        content = json.loads(file.read_text())
        found |= {kind: schema | {"$defs": content["$defs"]} for kind, schema in content["kinds"].items()}
    return found


def faults(manifest: dict[str, Any]) -> list[str]:
    """What its schema has against it."""
    validator = jsonschema.Draft202012Validator(schemas()[manifest["kind"]])
    return [f"{manifest['kind']} {error.json_path}: {error.message}" for error in validator.iter_errors(manifest)]


def with_numbers_as_numbers(spec: dict[str, Any]) -> dict[str, Any]:
    """The groups; expressions that are numbers, quoted or not, are floats."""

    def expression(text: Any) -> Any:
        try:
            return float(text)
        except ValueError:
            return text

    groups = [
        group | {"rules": [rule | {"expr": expression(rule["expr"])} for rule in group["rules"]]}
        for group in spec["groups"]
    ]
    return spec | {"groups": groups}
