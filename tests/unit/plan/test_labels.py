"""Labels: where their values come from, and which cannot be."""

from __future__ import annotations

from exporter.model.template import Reference
from exporter.plan.plan import Bound, Column, Constant, Hop, LabelPlan, LookupColumn, LookupPlan
from tests.support.plans import SOURCE, plan_problems, planned

LOOKUPS = """\
lookups:
  - {name: apis, rows_of: apis, key: id, fields: {name: title, kind: kind.name}}
  - {name: codes, table: {"200": {text: OK}, "404": {text: gone, more: x}}}
"""
APIS = '- {name: apis, document: "{ api { id title kind { name } } }", rows: api}\n'


def metric(labels: str, more: str = "") -> str:
    """A query with a metric that has these labels."""
    document = "{ calls { api code count ids { x } } }"
    made = f"metrics: [{{name: calls, help: Calls., value: count, labels: {{{labels}}}}}]"
    return f'- {{name: calls, document: "{document}", rows: calls{more}, {made}}}\n'


def labels(written: str, more: str = "", feeder: str = "") -> dict[str, LabelPlan]:
    """The plans of a metric's labels, without that of the source."""
    (found,) = planned(feeder + APIS + metric(written, more), SOURCE + LOOKUPS).queries[-1].metrics
    made = dict(zip(found.family.label_names, found.labels, strict=True))
    assert made.pop("organization") == Bound(Reference("source_label.organization"))
    return made


def problems(written: str, more: str = "") -> list[str]:
    return plan_problems(APIS + metric(written, more), SOURCE + LOOKUPS)


def test_a_label_comes_from_the_answer_a_reference_or_a_constant() -> None:
    """As it is written: a path, text with references, a constant."""
    assert labels('a: api, b: "{{ source.org }}", c: {const: x}') == {
        "a": Column(1, (Hop("api"),)),
        "b": Bound(Reference("source.org")),
        "c": Constant("x"),
    }


def test_a_label_is_looked_up_by_a_column_or_a_reference() -> None:
    """The key is itself a label's value; the field is one of the lookup's, of its rows or of its table."""
    found = labels('a: {lookup: apis, key: api, field: name}, b: {lookup: codes, key: "{{ source.n }}", field: more}')
    assert found == {
        "a": LookupColumn("apis", Column(1, (Hop("api"),)), "name"),
        "b": LookupColumn("codes", Bound(Reference("source.n")), "more"),
    }


def test_a_lookup_has_rows_on_each_source_of_the_query_that_uses_it() -> None:
    """Rows of one source say nothing of another; the query with the rows may run on more. A text may use one, too."""
    two = f"{SOURCE}  - {{name: other, url: 'https://other.example/graphql', labels: {{organization: o}}}}\n{LOOKUPS}"
    on_one = APIS.replace("rows: api", "rows: api, sources: [other]")
    assert "sources: [other]" in on_one
    looked_up = "{lookup: apis, key: api, field: name}"
    wrong = "the query apis does not run on all sources of this one; give both the same"
    for more in ("", ", sources: [acme, other]", ", sources: [acme]"):
        assert plan_problems(on_one + metric(f"a: {looked_up}", more), two) == [
            f"queries[1].metrics[0].labels.a: {wrong}"
        ]
        of_query = metric("b: code", f"{more}, labels: {{a: {{of: [code, {looked_up}]}}}}")
        assert plan_problems(on_one + of_query, two) == [f"queries[1].labels.a: {wrong}"]
    assert plan_problems(on_one + metric(f"a: {looked_up}", ", sources: [other]"), two) == []
    assert plan_problems(APIS + metric(f"a: {looked_up}", ", sources: [other]"), two) == []


def test_the_labels_of_a_query_are_on_all_its_metrics() -> None:
    """They stand among those of the metric, sorted by name."""
    assert list(labels("z: api, b: code", ", labels: {m: {const: y}}")) == ["b", "m", "z"]


def test_a_label_is_written_once() -> None:
    """The source, the query and the metric share the names."""
    assert problems("organization: api") == [
        "queries[1].metrics[0].labels.organization:"
        " the label organization is there already, from the source or the query; rename it"
    ]
    assert problems("a: api", ", labels: {a: {const: x}}") == [
        "queries[1].metrics[0].labels.a: the label a is there already, from the source or the query; rename it"
    ]
    assert problems("a: api", ", labels: {organization: {const: x}}") == [
        "queries[1].labels.organization: the label organization is there already, from the source or the query;"
        " rename it"
    ]


def test_a_lookup_that_is_not_there_is_named_with_those_that_are() -> None:
    """So is a field, of rows and of a table."""
    key = "queries[1].metrics[0].labels.a"
    assert problems("a: {lookup: api, key: api, field: name}") == [
        f"{key}: there is no lookup api; there is: apis, codes"
    ]
    assert problems("a: {lookup: apis, key: api, field: title}") == [
        f"{key}: the lookup apis has no field title; it has: name, kind"
    ]
    assert problems("a: {lookup: codes, key: code, field: name}") == [
        f"{key}: the lookup codes has no field name; it has: text, more"
    ]
    assert plan_problems(metric("a: {lookup: api, key: api, field: name}")) == [
        "queries[0].metrics[0].labels.a: there is no lookup api; there is: none"
    ]


def test_a_key_that_the_document_does_not_have_is_a_problem() -> None:
    """It stands at the label."""
    (problem,) = problems("a: {lookup: apis, key: aip, field: name}")
    assert problem.startswith("queries[1].metrics[0].labels.a: aip is not selected by the document")


def test_a_lookup_reads_the_rows_of_a_query() -> None:
    """Its key and fields are paths of those rows, and each that they lack is named."""
    plan = planned(APIS + metric("a: {lookup: apis, key: api, field: name}"), SOURCE + LOOKUPS)
    assert plan.queries[-1].lookups == (LookupPlan("apis", "apis", "id", {"name": "title", "kind": "kind.name"}, {}),)
    wrong = "lookups: [{name: apis, rows_of: apis, key: uuid, fields: {name: nmae, kind: kind}}]\n"
    assert [one.split(":")[0] for one in plan_problems(APIS, SOURCE + wrong)] == [
        "lookups[0].key",
        "lookups[0].fields.name",
        "lookups[0].fields.kind",
    ]


def test_a_query_has_the_lookups_that_it_names() -> None:
    """In its own labels and in those of its metrics, in the order of the file."""
    two = "a: {lookup: codes, key: code, field: text}"
    plan = planned(APIS + metric(two, ", labels: {b: {lookup: apis, key: api, field: name}}"), SOURCE + LOOKUPS)
    assert [lookup.name for lookup in plan.queries[-1].lookups] == ["apis", "codes"]
    assert plan.queries[-1].lookups[1].table == {"200": {"text": "OK"}, "404": {"text": "gone", "more": "x"}}
    assert plan.queries[0].lookups == ()


def test_a_lookup_needs_a_query_that_has_rows() -> None:
    """One that is faulty itself is not said to be missing."""
    lookup = "lookups: [{name: l, rows_of: a, key: id, fields: {n: id}}]\n"
    said = ["lookups[0].rows_of: there is no query a with rows; name one that has rows"]
    assert plan_problems(APIS, SOURCE + lookup) == said
    rowless = '- {name: a, document: "{ n }", metrics: [{name: n, help: N., value: n}]}\n'
    assert plan_problems(APIS + rowless, SOURCE + lookup) == said
    assert plan_problems("- {name: a, rows: a}\n", SOURCE + lookup) == ["queries[0].document: is missing; add it"]
