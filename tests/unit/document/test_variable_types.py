"""Values of variables against the types of a schema, before anything is sent."""

from __future__ import annotations

from typing import Any

import pytest
from graphql import GraphQLInputType, type_from_ast
from graphql.language import parse_type

from exporter.document.document import FieldType
from exporter.document.variable_types import Known, Literal, ValueFault, never_equal, place_faults, value_faults
from exporter.model.samples import Json
from exporter.model.template import Reference, parse_template
from tests.support.inputs import SCHEMA

INT = "write a whole number"


def kind(text: str) -> GraphQLInputType:
    found: Any = type_from_ast(SCHEMA, parse_type(text))
    return found  # type: ignore[no-any-return]


def faults(text: str, value: Any) -> list[ValueFault]:
    """What is wrong with a value that has no references."""
    return list(value_faults(kind(text), parse_template(value), lambda _: ()))


@pytest.mark.parametrize(
    ("text", "value", "known", "fault"),
    [
        ("String", "{{ a }}", FieldType("Int", True), "{{ a }} is Int, and String is wanted"),
        ("Int", "{{ a }}", FieldType("Int", True), None),
        ("Float", "{{ a }}", FieldType("Int", True), None),
        ("ID!", "{{ a }}", FieldType("String", True), None),
        ("Int", "{{ a }}", FieldType("String", True), "{{ a }} is String, and Int is wanted"),
        ("Boolean", "{{ a }}", FieldType("ID", True), "{{ a }} is ID, and Boolean is wanted"),
        ("Date", "{{ a }}", FieldType("Int", True), None),
        ("Int", "{{ a }}", FieldType("Timestamp", True), None),
        ("Kind", "{{ a }}", FieldType("Kind", True, ("UP", "DOWN")), None),
        ("Kind", "{{ a }}", FieldType("Other", True, ("UP", "LEFT")), "{{ a }} is Other, and Kind is wanted"),
        ("Kind", "{{ a }}", FieldType("String", True), None),
        ("String", "{{ a }}", FieldType("Kind", True, ("UP", "DOWN")), None),
        ("Int", "{{ a }}", FieldType("Kind", True, ("UP", "DOWN")), "{{ a }} is Kind, and Int is wanted"),
        ("[ID!]", "{{ a }}", FieldType("ID", True, (), 1), None),
        ("[ID!]", "{{ a }}", FieldType("ID", True), None),
        ("ID", "{{ a }}", FieldType("ID", True, (), 1), "{{ a }} is a list, because of batch, and ID is not"),
        ("Page", "{{ a }}", FieldType("ID", True), "{{ a }} is ID, and Page is an object"),
        ("Int", "{{ a }}", Literal(5), None),
        ("Int", "{{ a }}", Literal("5"), "{{ a }} is text, and Int is wanted"),
        ("Int", "{{ a }}", Literal("${NOT_SET}"), None),
        ("[Page]", "{{ a }}", Literal([{"limit": 1}, {"limt": 1}]), "{{ a }}[1].limt Page has no field limt"),
        ("Int", "{{ a }}", None, None),
        ("Int", "x{{ a }}", FieldType("Int", True), "text is String, and Int is wanted"),
        ("[[ID]]", "x{{ a }}", None, None),
        ("Int", "${NOT_SET}", None, None),
    ],
)
def test_a_reference_is_judged_by_what_is_known_of_it(text: str, value: str, known: Known, fault: str | None) -> None:
    """A row's field by its type in the schema, a source's value by itself, times as text; what is not known passes."""
    asked: list[str] = []

    def what(reference: Reference) -> list[Known]:
        asked.append(reference.name)
        return [known]

    found = list(value_faults(kind(text), parse_template(value), what))
    assert [one.wrong for one in found][:1] == ([fault] if fault is not None else [])


def test_what_pages_fill_in_is_not_missing() -> None:
    """`pages.limit` sets what the type needs; anything else that is needed is still missing."""
    filter_ = kind("Filter!")
    assert not list(value_faults(filter_, {"id": "a", "page": {}}, lambda _: (), [("page", "limit")]))
    assert not list(value_faults(filter_, {"id": "a"}, lambda _: (), [("page", "limit")]))
    (fault,) = value_faults(filter_, {"page": {}}, lambda _: (), [("page", "limit")])
    assert (fault.wrong, fault.remedy) == ("Filter needs id", "add id: (it is ID!)")


def test_places_of_pages_must_be_there_and_of_their_type() -> None:
    """A page's size goes where a whole number is wanted, a cursor where text is."""
    assert not list(place_faults(kind("Filter!"), ("page", "limit"), 50))
    (typo,) = place_faults(kind("Filter!"), ("page", "limt"), 50)
    assert (typo.wrong, typo.remedy) == ("Page has no field limt", "did you mean limit?")
    (wrong,) = place_faults(kind("Filter!"), ("page", "sort"), 50)
    assert wrong.wrong == "is a number, and String is wanted"


@pytest.mark.parametrize(
    ("text", "value", "at", "wrong", "remedy"),
    [
        ("ID!", None, (), "is null, and ID! is never null", "give it a value"),
        ("[ID!]", ["a", None], (1,), "is null, and ID! is never null", "give it a value"),
        ("Int", "5", (), "is text, and Int is wanted", INT),
        ("Int", 5.5, (), "is a number, and Int is wanted", "write a whole number"),
        ("Int", 2**31, (), "is a number, and Int is wanted", "write a whole number"),
        ("Int", -(2**31) - 1, (), "is a number, and Int is wanted", "write a whole number"),
        ("[Int]", [[1]], (0,), "is a list, and Int is wanted", "write a whole number"),
        ("[Int]", "x", (), "is text, and Int is wanted", INT),
        ("Float", True, (), "is true or false, and Float is wanted", "write a number"),
        ("Boolean", "true", (), "is text, and Boolean is wanted", "write true or false"),
        ("String", 5, (), "is a number, and String is wanted", "write text, in quotes where it looks like a number"),
        ("Boolean", {"a": 1}, (), "is a mapping, and Boolean is wanted", "write true or false"),
        ("ID", 5.5, (), "is a number, and ID is wanted", "write text"),
        ("ID", ["a"], (), "is a list, and ID is wanted", "write text"),
        ("Kind", "UPP", (), "UPP is no word of Kind", "did you mean UP?"),
        ("Kind", "left", (), "left is no word of Kind", "write one of: UP, DOWN"),
        ("Kind", 5, (), "a number is no word of Kind", "write one of: UP, DOWN"),
        ("Page", 5, (), "is a number, and Page is an object", "give it its fields: limit, offset, sort"),
        ("Page", {}, (), "Page needs limit", "add limit: (it is Int!)"),
        ("Page", {"limit": 1, "ofset": 2}, ("ofset",), "Page has no field ofset", "did you mean offset?"),
        ("[Filter]", [{"id": 1, "limits": [[1, "x"]]}], (0, "limits", 0, 1), "is text, and Int is wanted", INT),
    ],
)  # fmt: skip
def test_a_fault_is_named_where_it_is_with_what_would_be_right(
    text: str, value: Json, at: tuple[str | int, ...], wrong: str, remedy: str
) -> None:
    """The place is below the variable: keys, and the numbers of elements."""
    assert faults(text, value) == [ValueFault(at, wrong, remedy)]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Int", 5), ("Int", 5.0), ("Int", 2**31 - 1), ("Int", -(2**31)), ("Float", 5), ("Float", 2**40), ("ID", 5),
        ("ID", 2**40), ("ID", "a"), ("String", "5"), ("Boolean", False), ("Kind", "UP"), ("[Int]", 5), ("[[Int]]", [5]),
        ("[Kind!]", ["UP", "DOWN"]), ("Date", {"any": ["thing"]}), ("Filter", None),
        ("Filter", {"id": "a", "on": None}), ("Filter", {"id": "a", "not": {"id": "b", "page": {"limit": 1}}}),
        ("Int!", "${LIMIT}"),
    ],
)  # fmt: skip
def test_what_a_server_takes_is_taken(text: str, value: Json) -> None:
    """Whole numbers of 32 bits as Int, numbers as ids, one value as a list of one, anything as a scalar of the API."""
    assert faults(text, value) == []


def test_every_fault_of_a_value_is_found() -> None:
    """What is wrong in one field does not hide what is wrong in the next."""
    found = faults("Filter", {"page": {"limit": "x", "sort": 5}, "kinds": ["UP", "LEFT"], "on": 1, "other": 1})
    assert [fault.at for fault in found] == [("page", "limit"), ("page", "sort"), ("kinds", 1), ("on",), ("other",), ()]
    assert found[-1].wrong == "Filter needs id"


def test_a_reference_is_judged_for_each_source() -> None:
    """A value of two sources can be right for the one and wrong for the other."""
    known: list[Known] = [Literal(5), Literal("5"), None, FieldType("String", True)]
    found = list(value_faults(kind("Int"), parse_template("{{ source.n }}"), lambda _: known))
    assert [(fault.wrong, fault.remedy) for fault in found] == [
        ("{{ source.n }} is text, and Int is wanted", "write a whole number"),
        ("{{ source.n }} is String, and Int is wanted", "refer to what is of that type"),
    ]


def test_what_is_wrong_with_a_reference_is_said_at_its_place() -> None:
    """The place is the file's, not one inside the value that it refers to."""
    (batch,) = value_faults(
        kind("[Filter]"), parse_template([{"id": "{{ api.id }}"}]), lambda _: [FieldType("ID", True, (), 1)]
    )
    assert (batch.at, batch.remedy) == ((0, "id"), "put it where a list is wanted, or drop batch")
    (thing,) = value_faults(kind("Page"), parse_template("{{ api.id }}"), lambda _: [FieldType("ID", True)])
    assert thing.remedy == "give it its fields: limit, offset, sort"
    (inside,) = value_faults(kind("Filter!"), parse_template("{{ source.f }}"), lambda _: [Literal({"id": [1]})])
    assert inside.at == ()
    assert inside.wrong == "{{ source.f }}.id is a list, and ID is wanted"


def test_a_batch_fits_a_list_and_a_list_of_lists_does_not_become_one() -> None:
    """Each list that is wanted takes one list of what is given."""
    two = FieldType("Int", True, (), 2)
    assert not list(value_faults(kind("[[Int]]"), parse_template("{{ a }}"), lambda _: [two]))
    (fault,) = value_faults(kind("[Int]"), parse_template("{{ a }}"), lambda _: [two])
    assert fault.wrong == "{{ a }} is a list, because of batch, and Int is not"


@pytest.mark.parametrize(
    ("given", "wanted"),
    [("Int", "Int Float ID"), ("Float", "Float"), ("Boolean", "Boolean"), ("String", "String ID"), ("ID", "String ID")],
)
def test_a_field_goes_into_what_its_values_can_be_given_to(given: str, wanted: str) -> None:
    """As GraphQL coerces input: a whole number is a number and an id, an id is text."""
    scalars = ("Int", "Float", "Boolean", "String", "ID")
    taken = {
        text
        for text in scalars
        if not list(value_faults(kind(text), Reference("a"), lambda _: [FieldType(given, True)]))
    }
    assert taken == set(wanted.split())
    assert (given in ("String", "ID")) == (
        not list(value_faults(kind("Kind"), Reference("a"), lambda _: [FieldType(given, True)]))
    )


def test_words_of_an_enum_go_into_an_enum_that_has_them_and_into_text() -> None:
    """A word may be missing where it is given, not where it is taken."""
    up = FieldType("Up", True, ("UP",))
    assert not list(value_faults(kind("Kind"), Reference("a"), lambda _: [up]))
    assert not list(value_faults(kind("ID"), Reference("a"), lambda _: [up]))
    assert list(value_faults(kind("Boolean"), Reference("a"), lambda _: [up]))


def test_nothing_is_missing_where_pages_set_one_value() -> None:
    """The other fields are judged with the variable itself."""
    assert not list(place_faults(kind("Filter!"), ("page", "limit"), 50))
    assert not list(place_faults(kind("Int!"), (), 50))
    (fault,) = place_faults(kind("Int!"), (), "")
    assert fault.wrong == "is text, and Int is wanted"


@pytest.mark.parametrize(
    ("field", "value", "remedy"),
    [
        (FieldType("Int", True), 5, ""),
        (FieldType("Int", True), "5", "write a whole number"),
        (FieldType("Float", True), 5, ""),
        (FieldType("Boolean", True), "true", "write true or false"),
        (FieldType("String", True), 5, "write text, in quotes where it looks like a number"),
        (FieldType("ID", True), "5", ""),
        (FieldType("ID", True), 5, "write text, in quotes where it looks like a number"),
        (FieldType("Date", True), 5, ""),
        (FieldType("Kind", True, ("UP", "DOWN")), "UP", ""),
        (FieldType("Kind", True, ("UP", "DOWN")), "UPP", "did you mean UP?"),
        (FieldType("Kind", True, ("UP", "DOWN")), 5, "write one of: UP, DOWN"),
        (FieldType("Int", True), None, ""),
        (FieldType("Int", True), "${N}", ""),
    ],
)
def test_a_field_is_never_equal_to_a_value_of_another_type(field: FieldType, value: Json, remedy: str) -> None:
    """`where` compares with what an answer has: ids are text there. What is not known yet may be equal."""
    assert never_equal(field, value) == remedy
