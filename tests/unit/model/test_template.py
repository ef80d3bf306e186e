"""References are bound at each poll, and nothing else is evaluated."""

from __future__ import annotations

import pytest

from exporter.model.errors import Reason, ResultFailure
from exporter.model.samples import Json
from exporter.model.template import Reference, Text, bind, parse_template, parse_text, references, scalar_text


@pytest.mark.parametrize("text", ["plain", "", "{ braces }", "}}", "carbon.super", "{a}", "{"])
def test_text_without_references_stays_itself(text: str) -> None:
    """Plain text in variables is sent as it is."""
    assert parse_text(text) == text
    assert bind(parse_text(text), {}) == text


@pytest.mark.parametrize("value", ["x", 7, 1.5, True, None, ["a"], {"b": 1}])
def test_a_whole_reference_keeps_its_type(value: Json) -> None:
    """`"{{ environment.id }}"` sends a number as a number and a list as a list."""
    template = parse_text("{{ environment.id }}")
    assert template == Reference("environment.id")
    assert bind(template, {"environment.id": value}) == value


def test_a_reference_may_end_in_the_key_of_a_row() -> None:
    """And nowhere else."""
    assert parse_text("{{ region.@key }}") == Reference("region.@key")
    for text in ("{{ @key }}", "{{ a.@key.b }}", "{{ a.@keys }}"):
        with pytest.raises(ValueError, match="is not a reference"):
            parse_text(text)


def test_references_inside_text_become_text() -> None:
    """`env-{{ environment.id }}` is text, whatever the id is."""
    template = parse_text("env-{{ environment.id }}/{{a}}")
    assert template == Text(("env-", Reference("environment.id"), "/", Reference("a")))
    assert bind(template, {"environment.id": 7, "a": True}) == "env-7/true"


@pytest.mark.parametrize("value", [["a"], {"b": 1}])
def test_what_is_no_scalar_is_no_part_of_a_text(value: Json) -> None:
    """The API gave it: the poll fails with a reason, and not as a fault of ours."""
    with pytest.raises(ResultFailure, match=r"^row\.id is a list or an object") as failed:
        bind(parse_text("env-{{ row.id }}"), {"row.id": value})
    assert failed.value.reason is Reason.SCHEMA


def test_two_references_side_by_side_are_text() -> None:
    """`{{ a }}{{ b }}` joins both."""
    assert bind(parse_text("{{ a }}{{ b }}"), {"a": 1, "b": 2}) == "12"


def test_references_are_bound_at_any_depth() -> None:
    """Variables are trees; references work everywhere in them, and the rest stays."""
    tree: Json = {"org": {"id": "{{ source.org_id }}", "n": 5}, "list": ["{{ a }}", "x {{ a }}", None]}
    template = parse_template(tree)
    assert [reference.name for reference in references(template)] == ["source.org_id", "a", "a"]
    assert bind(template, {"source.org_id": "o", "a": 1}) == {"org": {"id": "o", "n": 5}, "list": [1, "x 1", None]}


def test_a_bound_value_is_not_read_as_a_template_again() -> None:
    """An upstream's own `{{ }}` in an id is plain text: no injection."""
    assert bind(parse_text("{{ a }}!"), {"a": "{{ b }}", "b": "no"}) == "{{ b }}!"


@pytest.mark.parametrize("text", ["{{ a", "{{", "x {{ a }} {{ b", "{{ a } }"])
def test_a_reference_that_is_not_closed_is_refused(text: str) -> None:
    """A forgotten `}}` is a load error, not literal text."""
    with pytest.raises(ValueError, match=r"not closed; write \{\{ name \}\}"):
        parse_text(text)


def test_very_many_references_that_are_not_closed_are_refused_in_time() -> None:
    """The end that is missing is not looked for from each of them."""
    with pytest.raises(ValueError, match="not closed"):
        parse_text("{{ a " * 200_000)


@pytest.mark.parametrize("text", ["{{ }}", "{{}}", "{{ a + b }}", "{{ a.b() }}", "{{ a[0] }}", "{{ .a }}", "{{ a. }}"])
def test_expressions_are_refused(text: str) -> None:
    """Only dotted names can stand in a reference: no expression language, no code."""
    with pytest.raises(ValueError, match=r"is not a reference; write a dotted name such as \{\{ environment\.id \}\}"):
        parse_text(text)


def test_a_reference_without_a_value_is_an_error() -> None:
    """A reference is never silently empty."""
    with pytest.raises(KeyError):
        bind(parse_text("{{ a }}"), {})


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("x", "x"),
        ("", ""),
        (None, ""),
        (True, "true"),
        (False, "false"),
        (7, "7"),
        (1.5, "1.5"),
        (10**20, "1" + "0" * 20),
    ],
)
def test_scalars_as_label_text(value: Json, text: str) -> None:
    """Null is an empty label, booleans are lower case, integers have no fraction."""
    assert scalar_text(value) == text


@pytest.mark.parametrize("value", [[], {}, [1]])
def test_lists_and_objects_are_no_label_text(value: Json) -> None:
    """An object never becomes a label by accident."""
    with pytest.raises(TypeError):
        scalar_text(value)
