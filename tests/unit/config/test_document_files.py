"""Documents in files of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from exporter.config.load import load
from exporter.daemon.check import check
from exporter.model.errors import ConfigError

SOURCE = 'sources: [{name: acme, url: "https://api.example/graphql"}]\n'


def config(folder: Path, text: str) -> Path:
    file = folder / "c.yaml"
    file.write_text(SOURCE + text)
    return file


def test_a_document_is_taken_as_it_stands(tmp_path: Path) -> None:
    """Variables of the environment have no meaning in it; each query may choose its own operation of it."""
    text = 'query A { a(text: "${HOME}") }\nquery B { b }\n'
    (tmp_path / "d.graphql").write_text(text, "utf-8-sig")
    file = config(
        tmp_path,
        """queries:
  - {name: a, document_file: d.graphql, operation: A, metrics: [{name: a, help: A., value: a}]}
  - {name: b, document_file: "${D}", operation: B, metrics: [{name: b, help: B., value: b}]}
""",
    )
    found = load(file, {"D": str(tmp_path / "d.graphql")})
    assert [query.document for query in found.config.queries] == [text, text]
    assert found.files == (file, tmp_path / "d.graphql")
    assert len(check(file, {"D": "d.graphql"}).plan.queries) == 2
    assert [problem.key for problem in check(file, {}).unmet] == ["queries[1].document_file"]


def test_a_fault_in_a_document_has_its_line_there(tmp_path: Path) -> None:
    """And the file's name."""
    (tmp_path / "d.graphql").write_text("{\n  a(x: $y)\n  b(x: {{ z }})\n}\n")
    file = config(
        tmp_path, "queries: [{name: a, document_file: d.graphql, metrics: [{name: a, help: A., value: c}]}]\n"
    )
    with pytest.raises(ConfigError) as refused:
        check(file, {})
    (problem,) = refused.value.problems
    assert str(problem).startswith(f"{tmp_path}/d.graphql:3: queries[0].document: {{{{ z }}}} in a document")


def test_an_override_may_name_another_document(tmp_path: Path) -> None:
    """It takes the place of that of the included query; it is beside the file with the override."""
    (tmp_path / "d.graphql").write_text("query ($org: OrgFilter!) { listEnvironments(org: $org) { id } }")
    file = config(tmp_path, "include: [choreo/names]\noverrides: {environments: {document_file: d.graphql}}\n")
    found = load(file, {})
    assert not found.problems
    (query,) = (query for query in found.config.queries if query.name == "environments")
    assert query.document == (tmp_path / "d.graphql").read_text()
