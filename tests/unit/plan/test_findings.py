"""Findings: each problem is at its place in the file."""

from __future__ import annotations

from pathlib import Path

from exporter.config.load import load
from exporter.document.document import Selection, parse_document
from exporter.model.errors import Problem
from exporter.model.response_path import parse_path
from exporter.plan.findings import Findings, KeyProblem
from exporter.plan.plan import Column, Hop
from exporter.plan.response_paths import Scopes

TEXT = """\
sources: [{name: acme, url: "https://api.example/graphql"}]
queries:
  - name: q
    document: |
      { n
        m }
    metrics: [{name: n, help: N., value: n}]
"""


def found(tmp_path: Path) -> tuple[str, Findings]:
    file = tmp_path / "c.yaml"
    file.write_text(TEXT)
    return str(file), Findings(load(file, {}).places)


def test_a_problem_has_the_file_the_line_and_the_key(tmp_path: Path) -> None:
    """Problems stay in the order in which they were found."""
    file, findings = found(tmp_path)
    findings.add(("queries", 0, "metrics", 0, "name"), "is odd", "rename it")
    findings.extend([KeyProblem(("queries", 0, "name"), "is even"), KeyProblem(("sources", 0), "is bad", "mend it")])
    assert findings.problems == [
        Problem(file, 7, "queries[0].metrics[0].name", "is odd", "rename it"),
        Problem(file, 3, "queries[0].name", "is even", ""),
        Problem(file, 1, "sources[0]", "is bad", "mend it"),
    ]


def test_a_problem_in_a_text_has_the_line_in_the_file(tmp_path: Path) -> None:
    """The second line of a document is two lines below its key."""
    file, findings = found(tmp_path)
    findings.add_in_text(("queries", 0, "document"), 2, "no field m")
    assert findings.problems == [Problem(file, 6, "queries[0].document", "no field m", "")]


def test_a_problem_with_two_places_names_the_line_of_the_other(tmp_path: Path) -> None:
    """It is that of the key."""
    _, findings = found(tmp_path)
    assert findings.line_text(("queries", 0, "metrics", 0), ("queries", 0)) == "on line 7"


def test_a_column_is_found_or_is_a_problem(tmp_path: Path) -> None:
    """Whoever asks for one goes on without it, and the problem stands at the key that named it."""
    _, findings = found(tmp_path)
    scopes = Scopes((parse_document("{ count }", None).selection,))
    assert isinstance(scopes.innermost, Selection)
    assert findings.column(parse_path("count"), scopes, ("queries", 0)) == Column(0, (Hop("count"),))
    assert findings.problems == []
    assert findings.column(parse_path("cuont"), scopes, ("queries", 0)) is None
    (problem,) = findings.problems
    assert (problem.key, problem.wrong, problem.remedy) == (
        "queries[0]",
        "cuont is not selected by the document",
        "did you mean count?",
    )
