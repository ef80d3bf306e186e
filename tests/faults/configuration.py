"""Sources and queries of configurations, as data: JSON is YAML."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.support.upstream import Upstream


def source(name: str, url: str, token_url: str, secret: Mapping[str, str]) -> dict[str, Any]:
    """A source with OAuth 2.0; its label says whose series they are."""
    return {
        "name": name,
        "url": url,
        "oauth2": {"token_url": token_url, "client_id": "faults", **secret},
        "labels": {"of": name},
    }


def source_of(upstream: Upstream, name: str = "api", **oauth2: Any) -> dict[str, Any]:
    """A source whose secret is in the environment."""
    return source(name, upstream.api_url, upstream.token_url, {"client_secret": "${CANARY_SECRET}", **oauth2})


def query(name: str, interval: str, **more: Any) -> dict[str, Any]:
    """A query whose metric has its name."""
    metric = {"name": name, "help": "What the query publishes.", "value": "value"}
    return {"name": name, "interval": interval, "document": f"query {name} {{ value }}", "metrics": [metric], **more}


def written(file: Path, sources: list[dict[str, Any]], queries: list[dict[str, Any]], **more: Any) -> Path:
    """The file, with this configuration."""
    file.write_text(json.dumps({"sources": sources, "queries": queries, **more}))
    return file
