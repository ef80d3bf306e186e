"""References: which may stand where, and which have an answer."""

from __future__ import annotations

import pytest

from tests.support.plans import SOURCE, plan_problems

ENVS = '- {name: envs, document: "{ env { id kind { name } tags } }", rows: env}\n'
APIS = """\
- {name: apis, for_each: {env: envs}, document: "query ($e: ID) { api(env: $e) { id name } }", rows: api,
   variables: {e: "{{ env.id }}"}}
"""
SECRET = SOURCE.replace("n: 5}", "n: 5}, secret_values: {key: {env: KEY}}")
WINDOW = ", window: {length: 5m}"
PERIOD = WINDOW + ", period: day"


def query(variable: str = "1", label: str = "", more: str = "") -> str:
    """A query with a variable, and a label if there is one."""
    labels = f", labels: {{l: '{label}'}}" if label else ""
    return (
        f'- {{name: q, document: "query ($v: V) {{ n(v: $v) }}", variables: {{v: "{variable}"}}{labels}{more},'
        " metrics: [{name: n, help: N., value: n}]}\n"
    )


def in_variable(reference: str, more: str = "", before: str = "", source: str = SECRET) -> list[str]:
    """What is wrong with a variable's reference."""
    key = f"queries[{before.count('- {')}].variables.v: "
    found = plan_problems(before + query(f"{{{{ {reference} }}}}", more=more), source)
    assert all(problem.startswith(key) for problem in found)
    return [problem.removeprefix(key) for problem in found]


def in_label(reference: str, more: str = "", before: str = "", source: str = SECRET) -> list[str]:
    """What is wrong with a label's reference."""
    key = f"queries[{before.count('- {')}].labels.l: "
    found = plan_problems(before + query(label=f"{{{{ {reference} }}}}", more=more), source)
    assert all(problem.startswith(key) for problem in found)
    return [problem.removeprefix(key) for problem in found]


@pytest.mark.parametrize(
    ("reference", "more"),
    [
        ("source.org", ""), ("source.key", ""), ("window.start", WINDOW), ("window.end", WINDOW),
        ("window.start_unix", WINDOW), ("window.end_unix", WINDOW), ("period.start", PERIOD),
        ("period.start_unix", PERIOD), ("x", ", for_each: {x: [1, 2]}"), ("x.id", ", for_each: {x: [{id: 1}]}"),
        ("env.id", ", for_each: {env: envs}"), ("env.kind.name", ", for_each: {env: envs}"),
        ("env.tags", ", for_each: {env: envs}"), ("env.id", ", for_each: {env: envs}, batch: 2"),
        ("api.env.kind.name", ", for_each: {api: apis}"),
    ],
)  # fmt: skip
def test_what_has_an_answer_may_stand_in_a_variable(reference: str, more: str) -> None:
    """Values and secrets of the source, times of the query, fields of the rows that it runs for."""
    assert in_variable(reference, more, ENVS + APIS) == []


@pytest.mark.parametrize(
    ("reference", "more"),
    [
        ("source.org", ""), ("x", ", for_each: {x: [1, 2]}"), ("env.id", ", for_each: {env: envs}"),
        ("api.env.id", ", for_each: {api: apis}"), ("api.env.id", ", for_each: {api: apis}, batch: 2"),
    ],
)  # fmt: skip
def test_what_is_the_same_at_each_poll_may_stand_in_a_label(reference: str, more: str) -> None:
    """Of a batch, what all of its rows share."""
    assert in_label(reference, more, ENVS + APIS) == []


@pytest.mark.parametrize(
    ("reference", "more", "said"),
    [
        ("sorce.org", "", "{{ sorce.org }} refers to nothing; references begin with one of: source"),
        ("env", WINDOW, "{{ env }} refers to nothing; references begin with one of: source, window"),
        ("y.id", ", for_each: {x: [1]}", "{{ y.id }} refers to nothing; references begin with one of: source, x"),
        ("source.orgs", "", "{{ source.orgs }}: the source acme has no such value; it has: org, n, key"),
        ("window.start", "", "{{ window.start }} cannot be used here; add window:"),
        ("window.begin", WINDOW, "{{ window.begin }} cannot be used here; write window.start or window.end, or one"
                                 " with _unix, _unix_ms, _date, _year, _month or _day behind it"),
        ("period.start", WINDOW,
         "{{ period.start }} cannot be used here; add period:, and write period.start in variables"),
        (
            *("period.end", PERIOD),
            "{{ period.end }} cannot be used here; add period:, and write period.start in variables",
        ),
        ("x.id", ", for_each: {x: [{id: 1}, {name: 2}]}",
         "{{ x.id }}: not every item of the list has that; add it to each"),
        ("x", ", for_each: {x: [{id: 1}]}", "{{ x }}: not every item of the list has that; add it to each"),
        ("x.id", ", for_each: {x: [1]}", "{{ x.id }}: not every item of the list has that; add it to each"),
        ("env.uuid", ", for_each: {env: envs}",
         "{{ env.uuid }}: uuid is not selected by the document of envs; did you mean id?"),
        ("env", ", for_each: {env: envs}",
         "{{ env }}: env is an object of envs; name one of its fields: id, kind, tags"),
        ("env.kind", ", for_each: {env: envs}",
         "{{ env.kind }}: kind ends in an object of envs; go on to one of its fields: name"),
    ],
)  # fmt: skip
def test_what_has_no_answer_is_refused_with_what_has(reference: str, more: str, said: str) -> None:
    """Before the first poll, not at it."""
    assert in_variable(reference, more, ENVS) == [said]


@pytest.mark.parametrize(
    ("reference", "more", "said"),
    [
        ("source.key", "", "{{ source.key }} is secret; labels are public; take it from values"),
        ("source.orgs", "", "{{ source.orgs }}: the source acme has no such value; it has: org, n, key"),
        ("window.end", WINDOW, "{{ window.end }} cannot be used here; a label that changes with every poll makes a new"
                               " series each time"),
        ("period.start", PERIOD,
         "{{ period.start }} cannot be used here; add period:, and write period.start in variables"),
        ("env.id", ", for_each: {env: envs}, batch: 2", "{{ env.id }} is a list, because of batch; take the label from"
                                                        " the answer"),
    ],
)  # fmt: skip
def test_what_must_not_be_shown_or_changes_with_each_poll_is_no_label(reference: str, more: str, said: str) -> None:
    """A secret, a time, a list of rows."""
    assert in_label(reference, more, ENVS) == [said]


def test_the_key_of_a_lookup_is_a_label_too() -> None:
    """Its references are held to the same rules."""
    label = 'labels: {l: {lookup: t, key: "{{ source.key }}", field: f}}'
    text = f'- {{name: q, document: "{{ n }}", {label}, metrics: [{{name: n, help: N., value: n}}]}}'
    lookups = "lookups: [{name: t, table: {a: {f: x}}}]\n"
    assert plan_problems(text, SECRET + lookups) == [
        "queries[0].labels.l: {{ source.key }} is secret; labels are public; take it from values"
    ]


def test_every_source_needs_the_value() -> None:
    """Each that lacks it is named, and a source without values says so."""
    two = """\
sources:
  - {name: one, url: "https://one.example/", labels: {s: "1"}, values: {a: 1}}
  - {name: two, url: "https://two.example/", labels: {s: "2"}}
"""
    assert in_variable("source.a", source=two) == ["{{ source.a }}: the source two has no such value; it has: none"]
    assert in_variable("source.a", ", sources: [one]", source=two) == []


def test_a_reference_further_out_is_checked_where_it_is_written() -> None:
    """`{{ api.env.x }}` is a field of the rows that feed the query's feeder."""
    text = ENVS + APIS + query("{{ api.env.uuid }}", more=", for_each: {api: apis}")
    found = plan_problems(text)
    assert [problem for problem in found if "uuid" in problem] == found
    assert found
    assert all("of envs; " in problem for problem in found)


def test_where_names_fields_of_the_rows() -> None:
    """Of the feeding query's, or further out."""
    text = ENVS + APIS + query(more=", for_each: {api: {query: apis, where: {FIELD: [1]}}}")
    assert plan_problems(text.replace("FIELD", "name")) == []
    assert plan_problems(text.replace("FIELD", "env.id")) == []
    assert plan_problems(text.replace("FIELD", "nmae")) == [
        "queries[2].for_each.api.where.nmae: {{ api.nmae }}: nmae is not selected by the document of apis;"
        " did you mean name?"
    ]
    (problem,) = plan_problems(text.replace("FIELD", '"a b"'))
    assert "{{ api.a b }}: " in problem


def test_a_reference_into_the_rows_of_a_query_that_is_not_there_is_no_second_problem() -> None:
    """What is wrong is the name of the query."""
    text = query("{{ env.id }}", more=", for_each: {env: envvs}")
    assert plan_problems(ENVS + text) == ["queries[1].for_each.env: there is no query envvs; did you mean envs?"]


def test_rows_that_are_objects_are_not_chosen_as_a_whole() -> None:
    """`where: {.: [...]}` is for rows that are texts or numbers; of others a field is named."""
    assert plan_problems("""
    - {name: environments, document: "{ env { id kind } }", rows: env}
    - {name: calls, for_each: {env: {query: environments, where: {".": [a]}}}, document: "{ calls }",
       metrics: [{name: calls, help: Calls., value: calls}]}
    """) == [
        "queries[1].for_each.env.where..: {{ env }}: env is an object of environments; name one of its fields: id, kind"
    ]
