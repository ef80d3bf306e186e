"""Each query by itself: its sources, its document against their schemas, its rows, and who gives its variables."""

from __future__ import annotations

from pathlib import Path

import pytest

from exporter.plan.response_paths import ANYTHING, Scopes
from tests.support.plans import plan_problems, problem_texts, read_documents

METRIC = "metrics: [{name: n, help: N., value: n}]"
QUERY = f'- {{name: q, document: "{{ n }}", {METRIC}}}\n'


def sources(*labels: str, schemas: tuple[str, ...] = ()) -> str:
    """Sources with these labels and schemas."""
    names = ("one", "two", "three")
    lines = [
        f'  - {{name: {name}, url: "https://{name}.example/", labels: {{{label}}}'
        + (f", schema: {schemas[at]}" if at < len(schemas) and schemas[at] else "")
        + "}\n"
        for at, (name, label) in enumerate(zip(names, labels, strict=False))
    ]
    return "sources:\n" + "".join(lines)


def test_sources_have_the_same_label_names() -> None:
    """In whatever order; the names of the first are those that the others should have."""
    assert plan_problems(QUERY, sources("a: x, b: y", "b: x, a: y")) == []
    assert plan_problems(QUERY, sources("a: x", "b: x", "a: y")) == [
        "sources[1].labels: other label names than one has; use the same on each: a"
    ]
    assert plan_problems(QUERY, sources("", "b: x")) == [
        "sources[1].labels: other label names than one has; use the same on each: none"
    ]


def test_sources_have_different_label_values() -> None:
    """Otherwise nobody could tell their series apart; without any labels, too."""
    assert plan_problems(QUERY, sources("a: x, b: y", "b: y, a: x", "a: y, b: x")) == [
        "sources[1].labels: the same labels as one; give each source its own values"
    ]
    assert plan_problems(QUERY, sources("", "")) == [
        "sources[1].labels: the same labels as one; give each source its own values"
    ]
    assert plan_problems(QUERY, sources("")) == []


def test_a_query_runs_on_the_sources_that_it_names() -> None:
    """On all, in the order of the file, where it names none."""
    _, parsed, _ = read_documents(QUERY, sources("a: x", "a: y"))
    assert [source.name for source in parsed["q"].sources] == ["one", "two"]
    _, parsed, _ = read_documents(QUERY.replace("name: q,", "name: q, sources: [two, one],"), sources("a: x", "a: y"))
    assert [source.name for source in parsed["q"].sources] == ["two", "one"]


def test_a_source_that_is_not_there_is_named_with_those_that_are() -> None:
    """One that is faulty itself is not said to be missing."""
    query = QUERY.replace("name: q,", "name: q, sources: [one, to],")
    assert plan_problems(query, sources("a: x", "a: y")) == [
        "queries[0].sources: there is no source to; did you mean two?"
    ]
    broken = sources("a: x") + "  - {name: to, url: nonsense}\n"
    found = plan_problems(query, broken)
    assert found
    assert not any("there is no source" in problem for problem in found)


def test_a_document_is_checked_against_the_schema_of_each_of_its_sources(tmp_path: Path) -> None:
    """A field that one of them lacks is a fault; sources that the query does not run on do not matter."""
    (tmp_path / "s1").write_text("type Query { n: Int }")
    (tmp_path / "s2").write_text("type Query { m: Int }")
    two = sources("a: x", "a: y", schemas=(f"{tmp_path}/s1", f"{tmp_path}/s2"))
    (problem,) = plan_problems(QUERY, two)
    assert problem.startswith("queries[0].document: Cannot query field 'n' on type 'Query'")
    assert plan_problems(QUERY.replace("name: q,", "name: q, sources: [one],"), two) == []
    without = sources("a: x", "a: y", schemas=("", f"{tmp_path}/s1"))
    _, parsed, _ = read_documents(QUERY, without)
    kind = parsed["q"].document.selection.children["n"].type
    assert kind is not None
    assert kind.name == "Int"


def test_a_schema_that_cannot_be_read_is_said_at_each_source_that_has_it(tmp_path: Path) -> None:
    """Once each, however many queries; the documents are then read without it."""
    (tmp_path / "bad").write_text("hello")
    query = QUERY + QUERY.replace("name: q,", "name: r,").replace("name: n,", "name: m,")
    three = sources("a: x", "a: y", "a: z", schemas=(f"{tmp_path}/bad", f"{tmp_path}/none"))
    _, parsed, findings = read_documents(query, three)
    assert parsed.keys() == {"q", "r"}
    found = problem_texts(findings)
    assert len(found) == 2
    assert found[0].startswith("sources[0].schema: neither a schema in SDL nor an introspection answer: ")
    assert found[0].endswith("; write choreo, or a file in SDL or JSON")
    assert found[1] == (
        "sources[1].schema: cannot be read: No such file or directory; write choreo, or a file in SDL or JSON"
    )


def test_a_document_is_read_even_where_no_source_of_its_query_is_there() -> None:
    """All faults are told at once, not one after the other."""
    query = QUERY.replace("name: q,", "name: q, sources: [to],").replace("{ n }", "{ ...A }")
    assert [problem.split(":")[0] for problem in plan_problems(query, sources("a: x"))] == [
        "queries[0].sources",
        "queries[0].document",
    ]


def test_each_fault_of_a_document_is_at_its_line() -> None:
    """Of a query with a faulty document nothing more is known, and the others are sound."""
    text = f"- name: q\n  document: |\n    {{ n\n      ...A }}\n  {METRIC}\n" + QUERY.replace("name: q,", "name: r,")
    loaded, parsed, findings = read_documents(text)
    assert parsed.keys() == {"q", "r"}
    assert parsed["q"].rows == Scopes((ANYTHING,))
    (problem,) = findings.problems
    assert (problem.key, problem.wrong) == ("queries[0].document", "Unknown fragment 'A'")
    assert problem.line == loaded.places.problem(("queries", 0, "document"), "").line + 2  # type: ignore[operator]


def test_rows_are_a_path_of_the_document() -> None:
    """From the data; without any, the data is the row."""
    _, parsed, _ = read_documents('- {name: q, document: "{ a { b { c } } }", rows: a.b}\n' + QUERY.replace("q,", "r,"))
    assert [hop.name for hop in parsed["q"].rows.hops] == ["a", "b"]
    assert parsed["r"].rows.hops == ()
    _, parsed, findings = read_documents('- {name: q, document: "{ a { b { c } } }", rows: a.d}')
    assert parsed["q"].rows == Scopes((ANYTHING,))
    assert problem_texts(findings) == ["queries[0].rows: a.d is not selected by the document; selected there: b"]


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ("a: 1", []),
        ("a: 1, b: 2, c: 3", []),
        ("b: 2", ["queries[0].variables: $a has no value; add a: (it is ID!)"]),
        ("a: 1, d: 2", ["queries[0].variables.d: the document declares no such variable; it has: a, b, c"]),
    ],
)
def test_each_variable_that_needs_a_value_has_one(variables: str, said: list[str]) -> None:
    """A default, or a type that may be null, needs none; a value that the document does not take is refused."""
    document = "query ($a: ID!, $b: Int! = 1, $c: Int) { n(a: $a, b: $b, c: $c) }"
    assert plan_problems(f'- {{name: q, document: "{document}", variables: {{{variables}}}, {METRIC}}}') == said


def test_a_document_without_variables_takes_none() -> None:
    """The message says so."""
    assert plan_problems(f'- {{name: q, document: "{{ n }}", variables: {{a: 1}}, {METRIC}}}') == [
        "queries[0].variables.a: the document declares no such variable; it has: none"
    ]


def test_what_pages_set_needs_no_value() -> None:
    """Size and position of a page are given to each page; the first one has no cursor but the one that is written."""
    by_cursor = "cursor: $2, info: c.p", "p { hasNextPage endCursor }"
    for way, field in (("offset: $2, total: c.t", "t"), ("page: $2, total: c.t", "t"), by_cursor):
        position = "$o: Int" if way.startswith("cursor") else "$o: Int!"
        document = f"query ($l: Int!, {position}) {{ c(l: $l, o: $o) {{ r {{ n }} {field} }} }}"
        pages = f"pages: {{size: 5, limit: l, {way.replace('$2', 'o')}}}"
        query = f'- {{name: q, document: "{document}", rows: c.r, {pages}, metrics: [{{name: n, help: N., value: n}}]}}'
        assert plan_problems(query) == []
        first = query.replace("$o: Int)", "$o: Int!)")
        wrong = "$o has no value at the first page, which has no cursor; declare it as Int, without !"
        assert plan_problems(first) == ([f"queries[0].variables: {wrong}"] if way.startswith("cursor") else [])
        assert plan_problems(first.replace("pages:", "variables: {o: 0}, pages:")) == []
