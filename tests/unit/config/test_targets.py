"""Sources of many APIs of one kind."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from exporter.config.load import Loaded, load
from exporter.config.redacted import Redacted
from exporter.daemon.check import check
from exporter.model.censor import EVERYTHING
from exporter.model.errors import ConfigError
from exporter.model.secret import forget
from tests.support.configurations import ROOT

QUERIES = 'queries: [{name: q, document: "{ n }", sources: [shop], metrics: [{name: n, help: N., value: n}]}]\n'
GROUP = "{targets: [https://zug.example/graphql], labels: {shop: zug, __secret: secrets/zug}}"


def loaded(folder: Path, sources: str, **environ: str) -> Loaded:
    file = folder / "c.yaml"
    file.write_text(f"sources:\n{sources}\n{QUERIES}")
    return load(file, environ)


def test_each_target_is_a_source_of_its_own(tmp_path: Path) -> None:
    """With the other keys of the source, its labels, and the credentials that its labels name; queries that name the
    source have all of them."""
    (tmp_path / "targets").mkdir()
    (tmp_path / "targets" / "a.yaml").write_text(
        "- targets: [https://bern.example/graphql]\n  labels: {shop: bern, __secret: secrets/bern}\n"
    )
    (tmp_path / "one.json").write_text(
        '[{"targets": ["https://uri.example/graphql"], "labels": {"shop": "uri", "__secret": "secrets/uri"}}]'
    )
    found = loaded(
        tmp_path,
        f"""
  - name: shop
    static_configs: [{GROUP}]
    file_sd_configs: [{{files: [targets/*.yaml, one.json]}}]
    concurrency: 3
    authorization: {{credentials_file: "{{{{ target.__secret }}}}"}}
    values: {{town: "{{{{ target.shop }}}}"}}
  - {{name: other, url: "https://other.example/graphql", labels: {{shop: other}}}}""",
    )
    assert found.problems == ()
    sources = {source.name: source for source in found.config.sources}
    assert list(sources) == ["shop-zug", "other", "shop-bern", "shop-uri"]
    bern = sources["shop-bern"]
    assert (bern.url, bern.labels, bern.values) == (
        "https://bern.example/graphql",
        {"shop": "bern"},
        {"town": "bern"},
    )
    assert bern.concurrency == 3
    assert bern.authorization is not None
    assert str(bern.authorization.credentials_file) == str(tmp_path / "secrets" / "bern")
    assert found.config.queries[0].sources == ("shop-zug", "shop-bern", "shop-uri")
    assert found.target_patterns == (tmp_path / "targets" / "*.yaml", tmp_path / "one.json")
    assert set(found.files) >= {tmp_path / "targets" / "a.yaml", tmp_path / "one.json"}


def test_a_target_without_labels_is_named_by_its_url(tmp_path: Path) -> None:
    """As a name has letters, digits, - and _ alone."""
    found = loaded(tmp_path, "  - {name: shop, static_configs: [{targets: [http://localhost:80/a/graphql]}]}")
    assert [source.name for source in found.config.sources] == ["shop-localhost_80_a_graphql"]


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://api.example/graphql?key=${KEY}", "shop-api_example_graphql"),
        ("https://api.example/graphql?key=s3cr3tabcdef", "shop-api_example_graphql"),
        ("https://api.example/${KEY}/graphql", "shop-api_example_secret_graphql"),
        ("https://${HOST}:8443/v1?key=${KEY}#${KEY}", "shop-api_example_8443_v1"),
        ("${BASE}/graphql?key=${KEY}", "shop-base_example_v2_graphql"),
    ],
)
def test_no_credential_of_a_url_becomes_a_name(tmp_path: Path, url: str, name: str) -> None:
    """A source is named after host and path; what a variable gave to its path or query is hidden wherever it is
    printed."""
    found = loaded(
        tmp_path,
        f"  - {{name: shop, static_configs: [{{targets: ['{url}']}}]}}",
        KEY="s3cr3tabcdef",
        HOST="api.example",
        BASE="https://base.example/v2",
    )
    assert found.problems == ()
    assert [source.name for source in found.config.sources] == [name]
    assert "s3cr3tabcdef" in found.config.sources[0].url
    assert "s3cr3tabcdef" not in EVERYTHING.clean("HTTP 400: no key s3cr3tabcdef")
    forget("s3cr3tabcdef")


def test_labels_in_all_letters_give_different_names(tmp_path: Path) -> None:
    """Labels that differ are different sources, whatever their letters; in any order they have the same names."""
    shops = ["東京", "大阪", "a.b", "a_b", "bern", "zürich", ""]
    names: list[dict[str, str]] = []
    for order in (shops, shops[::-1]):
        groups = "".join(f'    - {{targets: ["https://a.example/"], labels: {{shop: "{shop}"}}}}\n' for shop in order)
        found = loaded(tmp_path, f"  - name: shop\n    static_configs:\n{groups}")
        assert found.problems == ()
        names.append({source.labels["shop"]: source.name for source in found.config.sources})
    assert names[0] == names[1]
    assert len(set(names[0].values())) == len(shops)
    assert [names[0][shop] for shop in shops[3:]] == ["shop-a_b", "shop-bern", "shop-z_rich", "shop-"]
    assert all(re.fullmatch("shop-(a_b-)?[0-9a-f]{8}", names[0][shop]) for shop in shops[:3])


def test_a_credential_in_the_url_of_a_file_is_hidden(tmp_path: Path) -> None:
    """It is known by the name of its parameter; other parameters are no credentials."""
    (tmp_path / "t.json").write_text(
        '[{"targets": ["https://a.example/graphql?api_key=hush-of-a-file&v=version-one"]}]'
    )
    found = loaded(tmp_path, "  - {name: shop, file_sd_configs: [{files: [t.json]}]}")
    assert [source.name for source in found.config.sources] == ["shop-a_example_graphql"]
    assert EVERYTHING.clean("hush-of-a-file version-one") == "<secret> version-one"


def test_a_fault_of_a_target_shows_no_credential_of_its_url(tmp_path: Path) -> None:
    """The URL is in the message without the values of its query."""
    found = loaded(
        tmp_path,
        "  - {name: shop, proxy_url: '{{ target.x }}', static_configs: [{targets: ['https://a/${KEY}/?key=${KEY}']}]}",
        KEY="s3cr3tabcdef",
    )
    assert [problem.wrong for problem in found.problems] == [
        "the target https://a/<secret>/?key=<secret> has no label x"
    ]


def test_a_label_for_references_keeps_its_variable_secret(tmp_path: Path) -> None:
    """What it gives to a parameter is hidden, as a variable that stands there itself."""
    found = loaded(
        tmp_path,
        """  - name: shop
    static_configs: [{targets: ["https://a.example/"], labels: {shop: bern, __key: "${KEY}"}}]
    params: {k: "{{ target.shop }}-{{ target.__key }}"}""",
        KEY="canary-of-a-label",
    )
    assert found.config.sources[0].params == {"k": ("bern-canary-of-a-label",)}
    assert "k: bern-<secret>\n" in Redacted.of(found).yaml(str)


def test_a_file_of_targets_takes_no_variable(tmp_path: Path) -> None:
    """Whoever writes targets reads nothing of the environment."""
    (tmp_path / "t.yaml").write_text("- targets: [https://a.example/graphql]\n  labels: {shop: '${SECRET}'}\n")
    found = loaded(tmp_path, "  - {name: shop, file_sd_configs: [{files: [t.yaml]}]}", SECRET="canary-of-a-test")
    assert found.config.sources[0].labels == {"shop": "${SECRET}"}


def test_a_text_with_a_variable_and_a_label_stays_secret(tmp_path: Path) -> None:
    """What a variable gave is not shown, also in a text into which a label was put."""
    found = loaded(
        tmp_path,
        f"""  - name: shop
    static_configs: [{GROUP}]
    http_headers: {{X-Key: "${{KEY}}-{{{{ target.shop }}}}"}}
    oauth2: {{token_url: "https://id.example/token", client_id: c, client_secret: s,
      endpoint_params: {{org: "${{KEY}}-{{{{ target.shop }}}}"}}}}""",
        KEY="canary-of-a-test",
    )
    assert "canary-of-a-test-zug" in [secret.reveal() for _, secret in found.config.sources[0].secrets]
    shown = Redacted.of(found).yaml(str)
    assert "canary" not in shown
    assert "org: <secret>-zug\n" in shown


def test_an_unset_variable_is_told_once(tmp_path: Path) -> None:
    """However many targets need it."""
    groups = ", ".join(f"{{targets: [https://{name}.example/graphql], labels: {{shop: {name}}}}}" for name in "ab")
    source = f"{{name: shop, authorization: {{credentials: '${{KEY}}'}}, static_configs: [{groups}]}}"
    (tmp_path / "c.yaml").write_text(f"sources: [{source}]\n{QUERIES}")
    assert [problem.key for problem in check(tmp_path / "c.yaml", {}).unmet] == ["sources[0].authorization.credentials"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- targets: [a.example]\n", "[0].targets[0]: not a URL; write one such as https://host/path"),
        ("- labels: {shop: bern}\n", "[0].targets: is missing; add it"),
        ("- targets: [\n", None),
        ("targets: [https://a.example]\n", "must be a list; begin each entry with -"),
        ("- targets: []\n", "[0].targets: is empty; add at least one"),
        ("- {targets: [https://a.example], label: {a: b}}\n", "[0].label: unknown key; did you mean labels?"),
    ],
)
def test_a_faulty_file_is_told_with_its_name(tmp_path: Path, text: str, said: str | None) -> None:
    """And the line in it; nothing else of the configuration is called wrong for it."""
    file = tmp_path / "t.yaml"
    file.write_text(text)
    (tmp_path / "c.yaml").write_text("sources: [{name: shop, file_sd_configs: [{files: [t.yaml]}]}]\n" + QUERIES)
    with pytest.raises(ConfigError) as refused:
        check(tmp_path / "c.yaml", {})
    (problem,) = refused.value.problems
    assert problem.file == str(file)
    if said is not None:
        assert str(problem).endswith(f":1: {said}")


def test_the_example_of_the_reference_is_as_it_says(tmp_path: Path) -> None:
    """Its files give these sources and labels."""
    text = (ROOT / "docs" / "configuration.md").read_text("utf-8").partition("### Many APIs of one kind\n")[2]
    for name, content in re.findall(r"```yaml\n# (\S+)\n(.*?)```", text, re.DOTALL)[:2]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    found = load(tmp_path / "config.yaml", {})
    assert found.problems == ()
    assert {source.name: source.labels for source in found.config.sources} == {
        "shop-bern": {"shop": "bern"},
        "shop-zug": {"shop": "zug"},
    }


def test_what_is_shown_of_a_configuration_has_a_source_for_each_target(tmp_path: Path) -> None:
    """With the URL and the labels of that target, and without the lists of all targets."""
    found = loaded(tmp_path, f"  - {{name: shop, static_configs: [{GROUP}]}}")
    shown = Redacted.of(found).yaml(str)
    assert "name: shop-zug\n  url: https://zug.example/graphql\n" in shown
    assert "static_configs" not in shown


def test_a_variable_that_is_unset_hides_no_fault_of_a_target(tmp_path: Path) -> None:
    """Of two targets the second has a wrong proxy. A header of both is unset, and another source's proxy."""
    found = loaded(
        tmp_path,
        """
  - name: shop
    proxy_url: "{{ target.proxy }}"
    http_headers: {X-Key: "${KEY}"}
    static_configs:
      - {targets: [https://a.example/], labels: {proxy: "http://proxy.example:3128"}}
      - {targets: [https://b.example/], labels: {proxy: proxy.example}}
  - {name: other, url: "https://c.example/", proxy_url: "${PROXY}"}""",
    )
    assert [problem.key for problem in found.problems] == ["sources[0].proxy_url"]
    assert [problem.key for problem in found.unmet] == ["sources[0].http_headers.X-Key", "sources[1].proxy_url"]


def test_what_is_no_query_or_no_name_beside_targets_is_told(tmp_path: Path) -> None:
    """Whatever stands where a query, its list of sources, the name of one or a mapping of labels belongs."""
    (tmp_path / "c.yaml").write_text(
        f"""
sources:
  - {{name: shop, static_configs: [{GROUP}], labels: text}}
queries:
  - text
  - {{name: a, document: "{{ n }}", sources: shop, rows: n}}
  - {{name: b, document: "{{ n }}", sources: [3, {{a: b}}], rows: n}}
"""
    )
    found = load(tmp_path / "c.yaml", {})
    assert [problem.key for problem in found.problems] == [
        "sources[0].labels",
        "queries[0]",
        "queries[1].sources",
        "queries[2].sources[0]",
        "queries[2].sources[1]",
    ]
