"""What a label's value may be made of, as it is written in a configuration."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from exporter.config.labels import ConstLabel, Labels, LabelSpec, LookupLabel, PathLabel, ReferenceLabel
from exporter.model.response_path import parse_path
from exporter.model.template import Reference, Text

LABELS: TypeAdapter[Labels] = TypeAdapter(Labels)


def reason(value: object, name: str = "api") -> str:
    """What is said of a label that is refused."""
    with pytest.raises(ValidationError) as refused:
        LABELS.validate_python({name: value})
    return str(refused.value.errors()[0]["ctx"]["error"])


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("usage.api", PathLabel(parse_path("usage.api"))),
        (".", PathLabel(parse_path("."))),
        ("{{ source.org }}", ReferenceLabel(Reference("source.org"))),
        ({"const": "{{ proxy }}"}, ConstLabel("{{ proxy }}")),
        ({"const": ""}, ConstLabel("")),
        (
            {"lookup": "names", "key": "id", "field": "name"},
            LookupLabel("names", PathLabel(parse_path("id")), "name"),
        ),
        (
            {"lookup": "names", "key": "{{ api.id }}", "field": "name"},
            LookupLabel("names", ReferenceLabel(Reference("api.id")), "name"),
        ),
    ],
)
def test_a_label_is_a_path_a_reference_a_constant_or_a_lookup(written: object, meant: LabelSpec) -> None:
    """Plain text is a response path, text with `{{ }}` a reference; a constant and a lookup are mappings. What has been
    read once stays as it is."""
    assert LABELS.validate_python({"api": written}) == {"api": meant}
    assert LABELS.validate_python({"api": meant}) == {"api": meant}


def test_text_around_references_is_kept() -> None:
    """A label may be put together of references and text."""
    (label,) = LABELS.validate_python({"api": "{{ a.b }}/{{ c }} x"}).values()
    assert isinstance(label, ReferenceLabel)
    assert isinstance(label.template, Text)


@pytest.mark.parametrize("constant", [1, None, True, ["a"]])
def test_a_constant_that_is_no_text_is_refused(constant: object) -> None:
    """A constant 1 is not guessed to be the text 1."""
    assert reason({"const": constant}) == ('the text of a constant must be text; put it in quotes, as in {const: "1"}')


@pytest.mark.parametrize(
    "written",
    [
        1,
        None,
        ["id"],
        {},
        {"constant": "a"},
        {"const": "a", "lookup": "b"},
        {"const": 1, "lookup": "b"},
        {"lookup": "names", "key": "id"},
        {"lookup": "names", "key": "id", "field": 1},
        {"lookup": "names", "key": "id", "field": "name", "default": "x"},
    ],
)
def test_anything_else_is_refused_with_what_may_stand_there(written: object) -> None:
    """A key too many or too few, and what is no text, is not a label."""
    assert reason(written) == (
        "not a label; write a response path, text with {{ references }}, {const: text},"
        " {lookup: name, key: path, field: name} or {of: [path, {const: text}, …]}"
    )


def test_names_and_paths_of_labels_are_checked() -> None:
    """A name that Prometheus keeps for itself, and a path that is none, are refused as everywhere."""
    assert reason("id", name="job") == "the label job is reserved by Prometheus; choose another name"
    assert "a..b" in reason("a..b")
    assert "a..b" in reason({"lookup": "names", "key": "a..b", "field": "name"})
