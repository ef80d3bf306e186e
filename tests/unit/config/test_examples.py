"""The examples in the reference of the configuration: every key has one, and the loader takes it."""

from __future__ import annotations

import importlib
import json
import re
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import pytest
import yaml

from exporter.config.load import load
from tests.support.configurations import ROOT

CHOREO: Final = {"name": "choreo", "url": "https://localhost", "schema": "choreo", "values": {"org_id": "acme"}}
# What else a section needs where it has a key, or several of which one must be there.
BESIDE: Final[Mapping[tuple[str, str], Mapping[str, Any]]] = {
    ("TLSConfig", "cert_file"): {"key_file": "tls/client-key.pem"},
    ("TLSConfig", "key_file"): {"cert_file": "tls/client.pem"},
    ("OAuth2", "client_id_file"): {"client_id": None},
    ("OAuth2", "client_secret_file"): {"client_secret": None},
    ("OAuth2", "revoke_on_exit"): {"revocation_url": "https://id.example.com/revoke"},
    ("OAuth2", "no_proxy"): {"proxy_url": "http://proxy.example.com:3128"},
    ("OAuth2", "proxy_connect_header"): {"proxy_url": "http://proxy.example.com:3128"},
    ("Authorization", "credentials_file"): {"credentials": None},
    ("BasicAuth", "password_file"): {"password": None},
    ("Source", "no_proxy"): {"proxy_url": "http://proxy.example.com:3128"},
    ("Source", "proxy_connect_header"): {"proxy_url": "http://proxy.example.com:3128"},
    ("Pages", "offset"): {"cursor": None, "info": None},
    ("Pages", "page"): {"cursor": None, "info": None},
    ("Pages", "total"): {"cursor": None, "info": None, "page": "page"},
    ("Pages", "more"): {"cursor": None, "info": None, "page": "page"},
    ("Pages", "next"): {"info": None},
    ("Source", "static_configs"): {"url": None},
    ("Source", "file_sd_configs"): {"url": None},
    ("Query", "document_file"): {"document": None},
    ("Query", "batch"): {"for_each": {"id": [1, 2]}},
    ("Query", "pack"): {"for_each": {"id": [1, 2]}},
    ("Query", "period"): {"window": {"length": "5m"}},
    ("Query", "pages"): {"rows": "orders"},
    ("Query", "variables"): {"for_each": {"status": ["NEW"]}},
    ("Query", "audit"): {
        "window": {"length": "5m"},
        "period": "day",
        "metrics": [{"name": "a_total", "help": "A.", "type": "counter", "value": "a"}],
    },
    ("Metric", "from"): {"name": "shop_opened_timestamp_seconds", "type": "gauge"},
    ("Metric", "format"): {"name": "shop_opened_timestamp_seconds", "type": "gauge", "from": "timestamp"},
    ("Metric", "default"): {"map": {"UP": 1}},
    ("Metric", "states"): {"name": "shop_state", "type": "gauge"},
    ("Metric", "top"): {"name": "shop_orders", "type": "gauge"},
    ("Config", "include"): {"sources": [CHOREO]},
    ("Config", "overrides"): {"sources": [CHOREO], "include": ["choreo/overview"]},
    ("Lookup", "rows_of"): {"table": None, "key": "code", "fields": {"name": "name"}},
    ("Lookup", "key"): {"table": None, "rows_of": "countries", "fields": {"name": "name"}},
    ("Lookup", "fields"): {"table": None, "rows_of": "countries", "key": "code"},
}
# The keys of a section that are not required, but without which it has nothing to say.
ALSO: Final[Mapping[str, tuple[str, ...]]] = {
    "Source": ("url",),
    "OAuth2": ("client_id", "client_secret"),
    "Authorization": ("credentials",),
    "BasicAuth": ("password",),
    "Pages": ("cursor", "info"),
    "Query": ("document", "metrics"),
    "Metric": ("type",),
    "Lookup": ("table",),
    "HeaderValues": ("values",),
}
FILES: Final = {
    "queries/open.yaml": 'queries: [{name: open, document: "{ open }", rows: open}]\n',
    "sources.yaml": 'sources: [{name: other, url: "https://other.example.com/graphql"}]\n',
    "targets/shops.yaml": "- targets: [https://zug.example.com/graphql]\n",
    "schema.graphql": "type Query { open: Int }\n",
    "orders.graphql": "{ orders { id open } }\n",
}


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    """What writes the reference."""
    sys.path.insert(0, str(ROOT / "scripts"))
    try:
        return importlib.import_module("config_reference")
    finally:
        sys.path.pop(0)


def names() -> list[tuple[str, str]]:
    """Each section and key of the reference, as its tables have them."""
    text = (ROOT / "docs" / "configuration.md").read_text("utf-8")
    tables = re.findall(r"<!-- keys of (\w+) -->\n(.*?)<!-- end of keys -->", text, re.DOTALL)
    return [(section, key) for section, table in tables for key in re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)]


@cache
def keys_of(reference: ModuleType, section: str) -> Mapping[str, tuple[bool, str]]:
    """Whether each key of a section is required, and its example."""
    (model,) = [one for one in reference.sections() if one.__name__ == section]
    return {each.name: (each.required, each.example) for each in reference.keys(model)}


def section_with(reference: ModuleType, section: str, key: str) -> dict[str, Any]:
    """A section with the examples of what it needs and of that key."""
    keys = keys_of(reference, section)
    needed = [name for name, (is_required, _) in keys.items() if is_required or name in ALSO.get(section, ())]
    examples = {name: yaml.safe_load(keys[name][1]) for name in {*needed, key}}
    made = {**{name: examples[name] for name in needed}, **BESIDE.get((section, key), {}), key: examples[key]}
    return {name: value for name, value in made.items() if value is not None}


def configuration(reference: ModuleType, section: str, key: str) -> dict[str, Any]:
    """A whole configuration with that section at one of its places."""

    def one(name: str) -> dict[str, Any]:
        return section_with(reference, name, key if name == section else next(iter(ALSO.get(name, ("name",)))))

    if section == "Config":
        made = section_with(reference, "Config", key)
        return {"sources": [one("Source")], "queries": [one("Query")], **made}
    source, query = one("Source"), one("Query")
    metrics: list[dict[str, Any]] = [{"name": "a", "help": "A.", "value": "a"}]
    if section == "Metric":
        metrics = [one("Metric")]
        query["period"], query["window"] = "day", {"length": "5m"}
    within: dict[str, dict[str, Any]] = {
        "TLSConfig": {"tls_config": None},
        "HeaderValues": {"http_headers": {"X-Key": None}},
        "OAuth2": {"oauth2": None},
        "Authorization": {"authorization": None},
        "BasicAuth": {"basic_auth": None},
        "RateLimit": {"rate_limit": None},
        "WindowConfig": {"window": None},
        "Audit": {"audit": None, "period": "day", "window": {"length": "5m"}},
        "Pages": {"pages": None, "rows": "orders"},
        "Bucket": {"bucket": None},
        "Missing": {"missing": None},
        "Top": {"top": None},
    }
    place = within.get(section)
    if place is not None:
        filled = {
            name: one(section) if value is None else {"X-Key": one(section)} if name == "http_headers" else value
            for name, value in place.items()
        }
        if section in ("WindowConfig", "Audit", "Pages"):
            query |= filled
        elif section in ("Bucket", "Missing", "Top"):
            metrics = [{**metrics[0], **filled}]
        else:
            source |= filled
    if section in ("TargetGroup", "FileDiscovery"):
        source = {"name": "shop", "static_configs" if section == "TargetGroup" else "file_sd_configs": [one(section)]}
    if section == "Audit":
        metrics = [{"name": "a_total", "help": "A.", "type": "counter", "value": "a"}]
    if section != "Query":
        query["metrics"] = metrics
    whole: dict[str, Any] = {"sources": [source], "queries": [query]}
    return {**whole, "lookups": [one("Lookup")]} if section == "Lookup" else whole


def test_every_section_is_in_the_reference(reference: ModuleType) -> None:
    """Every key that a file may have is explained, with its type and an example."""
    expected = [(one.__name__, key.name) for one in reference.sections() for key in reference.keys(one)]
    assert sorted(names()) == sorted(expected)
    assert all(key.type and key.example for one in reference.sections() for key in reference.keys(one))


@pytest.mark.parametrize(("section", "key"), names())
def test_an_example_is_taken_by_the_loader(reference: ModuleType, section: str, key: str, tmp_path: Path) -> None:
    """What stands in the last column can be pasted behind its key."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(configuration(reference, section, key), sort_keys=False))
    variables = ("API_KEY", "CLIENT_ID", "CLIENT_SECRET", "TOKEN", "PASSWORD", "PROXY_CREDENTIALS")
    assert load(file, dict.fromkeys(variables, "test-value")).problems == ()


def test_an_editor_shows_the_examples() -> None:
    """The JSON Schema has the example of each key."""
    schema = json.loads((ROOT / "exporter" / "config" / "config.schema.json").read_text("utf-8"))
    assert schema["definitions"]["Query"]["properties"]["interval"]["examples"] == ["5m"]
    sections = {**schema["definitions"], "Config": schema}
    assert all("examples" in sections[section]["properties"][key] for section, key in names())


def test_a_key_without_an_example_is_named(reference: ModuleType) -> None:
    """Whoever adds a key learns that it needs an example, and where."""
    with pytest.raises(LookupError, match=r"Top\.n has no example; end the text below it"):
        reference.meaning_and_example("The number of values of the label to keep.", "Top.n")
    assert reference.meaning_and_example("How many stay. Example: 20", "Top.n") == ("How many stay.", "20")
