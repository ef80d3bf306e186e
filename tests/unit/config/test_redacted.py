"""A configuration as `/config` shows it: what was read, and no secret."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import yaml

from exporter.config.load import load
from exporter.config.redacted import Redacted
from exporter.model.censor import EVERYTHING

CONFIG = """\
sources:
  - name: acme
    url: https://api.example/graphql
    schema: null
    oauth2:
      token_url: https://sts.example/token
      client_id: ${ID}
      client_secret: ${SECRET}
      endpoint_params: {orgHandle: "${ORG}"}
    http_headers: {X-Api-Key: "header-secret"}
    proxy_url: http://proxy.example:3128
    proxy_connect_header: {Proxy-Authorization: ["Basic proxy-secret"]}
    values: {org: "${ORG}", enabled: yes}
    secret_values: {tenant: {env: SECRET}}
queries:
  - name: orders
    document: |
      query {
        open
      }
    metrics: [{name: shop_open_orders, help: Orders., value: open, labels: {a: {const: "x"}}}]
  - name: more
    document: "{ open }"
    metrics: [{name: shop_more, help: Größe., value: 1}]
"""
ENVIRON = {"ID": "the-id", "SECRET": "the-secret", "ORG": "acme-org"}


def shown(
    folder: Path, text: str = CONFIG, censored: Callable[[str], str] = str, environ: Mapping[str, str] = ENVIRON
) -> str:
    file = folder / "c.yaml"
    file.write_text(text, encoding="utf-8")
    return Redacted.of(load(file, environ)).yaml(censored)


def test_every_secret_is_hidden_and_the_rest_is_what_was_read(tmp_path: Path) -> None:
    """Secrets of every kind are `<secret>`, and so is what a variable gave to a parameter; in values, variables are put
    in; the rest is as it was written, in its order."""
    expected = yaml.safe_load(CONFIG.replace("${ORG}", "acme-org"))
    source = expected["sources"][0]
    source["oauth2"] |= {
        "client_id": "<secret>",
        "client_secret": "<secret>",
        "endpoint_params": {"orgHandle": "<secret>"},
    }
    source["http_headers"] = {"X-Api-Key": "<secret>"}
    source["proxy_connect_header"] = {"Proxy-Authorization": ["<secret>"]}
    source["secret_values"] = {"tenant": "<secret>"}
    source["values"] = {"org": "acme-org", "enabled": "yes"}
    text = shown(tmp_path)
    assert yaml.safe_load(text) == expected
    assert not any(secret in text for secret in ("the-id", "the-secret", "header-secret", "proxy-secret"))
    order = [text.index(f"\n  {key}:") for key in ("url", "oauth2", "http_headers", "values", "secret_values")]
    assert order == sorted(order)


def test_a_document_stays_readable(tmp_path: Path) -> None:
    """A text of several lines is a block, letters stay letters, and nothing is an alias of something else."""
    text = shown(tmp_path, CONFIG + "  - {name: q, document: '{ a }', for_each: &x {n: [1]}, variables: {y: *x}}\n")
    assert "\n  document: |\n    query {\n      open\n    }\n" in text
    assert "Größe." in text
    assert "&" not in text
    assert "*" not in text


def test_the_last_look_is_at_every_text_and_key(tmp_path: Path) -> None:
    """What is hidden from the log is hidden here, too, wherever it stands: as a value, in a list, as a key."""
    text = shown(tmp_path, censored=lambda text: text.replace("acme", "<hidden>").replace("orgHandle", "<key>"))
    assert "acme" not in text
    assert "orgHandle" not in text
    read = yaml.safe_load(text)["sources"][0]
    assert read["values"]["org"] == "<hidden>-org"
    assert read["oauth2"]["endpoint_params"] == {"<key>": "<secret>"}


def test_a_url_is_shown_without_what_may_be_a_key(tmp_path: Path) -> None:
    """Of a URL, no value of its query is shown, nor what a variable gave to its path; its host is."""
    text = CONFIG.replace("https://api.example/graphql", "https://api.example/${SECRET}/graphql?key=literal&a&b=${ID}")
    read = yaml.safe_load(shown(tmp_path, text, EVERYTHING.clean))["sources"][0]
    assert read["url"] == "https://api.example/<secret>/graphql?key=<secret>&<secret>&b=<secret>"


@pytest.mark.parametrize("given", ["90210442", "[token-a, token-b]", "true", "1.5"])
def test_what_looks_like_no_text_is_hidden_too(tmp_path: Path, given: str) -> None:
    """A variable without quotes that holds a number or a list is as confidential as one that holds a text; values of a
    source are shown."""
    text = CONFIG.replace('values: {org: "${ORG}", enabled: yes}', "values:\n      enabled: ${GIVEN}")
    text += """
  - name: q
    document: "query ($pin: Any) { a(pin: $pin) }"
    variables:
      limit: 10
      pin: ${GIVEN}
"""
    read = yaml.safe_load(shown(tmp_path, text, environ={**ENVIRON, "GIVEN": given}))
    assert read["queries"][2]["variables"] == {"pin": "<secret>", "limit": 10}
    assert read["sources"][0]["values"]["enabled"] == yaml.safe_load(given)


def test_what_looks_like_no_text_is_hidden_in_each_source_of_targets(tmp_path: Path) -> None:
    """All that are made of one are like it."""
    text = """
sources:
  - name: acme
    static_configs: [{targets: ["https://a.example/", "https://b.example/"]}]
    invalid_token_codes:
      ${CODES}
"""
    read = yaml.safe_load(shown(tmp_path, text, environ={"CODES": "[EXPIRED, 900901]"}))
    assert [source["invalid_token_codes"] for source in read["sources"]] == ["<secret>"] * 2


def test_what_a_variable_gave_to_a_query_is_shown_only_where_it_is_no_argument(tmp_path: Path) -> None:
    """An argument of a query may be a key; its interval is none."""
    document = "query ($k: String) { a(k: $k) }"
    text = CONFIG + f"  - {{name: q, interval: '${{TIME:-5m}}', document: '{document}', variables: {{k: '${{ID}}'}}}}\n"
    read = yaml.safe_load(shown(tmp_path, text))["queries"][2]
    assert (read["interval"], read["variables"]) == ("5m", {"k": "<secret>"})
