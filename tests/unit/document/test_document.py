"""Documents are read as an upstream would read them: aliases, fragments, variables, and faults with their lines."""

from __future__ import annotations

import pytest
from graphql import build_schema

from exporter.document.document import Document, DocumentError, FieldType, Selection, parse_document

SCHEMA = build_schema("""
    type Query { org(id: ID!): Org  states: [[State!]!]!  node: Node }
    type Org { name: String!  apis: [API!] }
    type API implements Node { id: ID!  count: Int }
    interface Node { id: ID! }
    enum State { UP DOWN }
""")


def selected(selection: Selection) -> object:
    """The response keys, as nested mappings."""
    return {key: selected(child) for key, child in selection.children.items()}


def faults(text: str) -> list[str]:
    with pytest.raises(DocumentError) as refused:
        parse_document(text, SCHEMA)
    return [f"{fault.line}: {fault.wrong}" for fault in refused.value.faults]


def test_response_keys_are_aliases_where_there_are_aliases() -> None:
    """A path names what stands in the answer, so an alias counts and the field's own name does not."""
    document = parse_document("{ now: traffic { n: count } later: traffic { count } }", None)
    assert selected(document.selection) == {"now": {"n": {}}, "later": {"count": {}}}


def test_fragments_and_repeated_fields_are_merged() -> None:
    """What an answer will have is known through fragments, named or inline, and through fields selected twice."""
    text = "query { org { ...A name } org { apis { count } } } fragment A on Org { apis { id ... { extra } } }"
    assert selected(parse_document(text, None).selection) == {
        "org": {"apis": {"id": {}, "extra": {}, "count": {}}, "name": {}}
    }


def test_what_may_be_left_out_of_an_answer_is_optional() -> None:
    """`@include`, `@skip` and type conditions make a field optional, unless it is selected without them too."""
    text = (
        "query ($x: Boolean!) { a @include(if: $x) b @skip(if: $x) c ... @include(if: $x) { d }"
        " ... on Other { e } f @skip(if: $x) f }"
    )
    selection = parse_document(text, None).selection
    assert {key for key, child in selection.children.items() if child.optional} == {"a", "b", "d", "e"}


def test_a_fragment_on_the_type_itself_is_not_optional() -> None:
    """With a schema, a type condition that always holds is known to."""
    selection = parse_document("{ node { ... on Node { id } ... on API { count } } }", SCHEMA).selection
    node = selection.children["node"]
    assert (node.children["id"].optional, node.children["count"].optional) == (False, True)


def test_variables_are_required_where_nothing_else_gives_them_a_value() -> None:
    """`!` without a default asks for a value."""
    text = "query ($a: ID!, $b: [Int!]! = [1], $c: Int) { org(a: $a, b: $b, c: $c) { name } }"
    variables = parse_document(text, None).variables
    assert {name: (variable.type, variable.required) for name, variable in variables.items()} == {
        "a": ("ID!", True), "b": ("[Int!]!", False), "c": ("Int", False)
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{ found { __typename } }", ("Disk", "Vm", "Person")),
        ("{ asset { kind: __typename } }", ("Disk", "Vm")),
        ("{ asset { __typename } }", ("Disk", "Vm")),
        ("{ disk { __typename } }", ("Disk",)),
        ("{ found { ... on Vm { __typename } ... on Person { __typename } } }", ("Vm", "Person")),
        ("{ found { ... on Asset { __typename } __typename } }", ("Disk", "Vm", "Person")),
    ],
)
def test_the_words_of_a_type_name_are_the_types_that_an_object_may_be_of(text: str, words: tuple[str, ...]) -> None:
    """Of an interface or a union they are many; where the name is selected at several places, those of all."""
    schema = build_schema("""
        type Query { found: Found  asset: Asset  disk: Disk }
        interface Asset { id: ID }
        type Disk implements Asset { id: ID }
        type Vm implements Asset { id: ID }
        type Person { id: ID }
        union Found = Disk | Vm | Person
    """)
    (field,) = parse_document(text, schema).selection.children.values()
    (name,) = field.children.values()
    assert name.type is not None
    assert name.type.enum_values == words


def test_types_are_known_with_a_schema() -> None:
    """A schema tells what a value is, and how many lists are around it."""
    selection = parse_document('{ org(id: "1") { apis { count } } states }', SCHEMA).selection
    apis = selection.children["org"].children["apis"]
    assert apis.type == FieldType("API", False, (), 1)
    assert apis.children["count"].type == FieldType("Int", True)
    assert selection.children["states"].type == FieldType("State", True, ("UP", "DOWN"), 2)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", ["1: not valid GraphQL: Unexpected <EOF>"]),
        ("{ a\n  b {\n", ["2: not valid GraphQL: Expected Name, found <EOF>"]),
        ("subscription { a }", ["1: is a subscription"]),
        ("query A { states }\nquery B { states }", ["2: has 2 operations"]),
        ("fragment A on Org { name }", ["1: has 0 operations"]),
        ("{ states nothing }", ["1: Cannot query field 'nothing' on type 'Query'"]),
        ("{ states\n  ...A\n}", ["2: Unknown fragment 'A'"]),
    ],
)
def test_a_faulty_document_is_told_with_the_line(text: str, found: list[str]) -> None:
    """What the upstream would refuse at each poll is refused at load."""
    assert faults(text) == found


@pytest.mark.parametrize(
    "text",
    [
        "{ a(x: $x) }",
        "query ($x: Int) { a }",
        "query ($x: Int, $x: Int) { a(x: $x) }",
        "{ ...A }",
        "{ ...A } fragment A on T { b ...A }",
        "{ ...A } fragment A on T { ...B } fragment B on T { ...A }",
        "{ a } fragment A on T { b }",
        "{ a(x: 1, x: 2) }",
    ],
)
def test_faults_that_need_no_schema_are_found_without_one(text: str) -> None:
    """Undeclared variables and fragments that are missing or circular are load errors for every source."""
    with pytest.raises(DocumentError):
        parse_document(text, None)


@pytest.mark.parametrize("text", ["{ a " * 5_000, "{ a " * 300 + "}" * 300, "{" + " a" * 30_000 + "}"])
def test_an_enormous_document_is_an_error_and_not_a_crash(text: str) -> None:
    """Depth and length are bounded."""
    try:
        assert isinstance(parse_document(text, SCHEMA), Document)
    except DocumentError as error:
        assert error.faults  # noqa: PT017 - either is fine


def test_the_same_document_is_equal_whenever_it_is_read() -> None:
    """A reload tells by it that a query did not change."""
    text = "query ($id: ID!) { org(id: $id) { name } }"
    assert parse_document(text, SCHEMA) == parse_document(text, SCHEMA)
    assert parse_document(text, SCHEMA) != parse_document(text.replace("name", "name apis { id }"), SCHEMA)


def test_a_fragment_that_others_spread_comes_along_once() -> None:
    """A named operation has all fragments that it needs, and none that only another operation has."""
    text = """
        query A { org(id: 1) { ...One ...Two } }
        query B { org(id: 1) { ...Three } }
        fragment One on Org { ...Name }
        fragment Two on Org { ...Name apis { id } }
        fragment Three on Org { name }
        fragment Name on Org { name }
    """
    document = parse_document(text, SCHEMA, "A")
    assert selected(document.selection) == {"org": {"name": {}, "apis": {"id": {}}}}
    assert document.text.count("fragment Name") == 1
    assert "Three" not in document.text
