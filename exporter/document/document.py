"""GraphQL documents: what they select and what they ask for; several calls packed into one operation.

The only importer of graphql-core in the running program.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from graphql import (
    DirectiveNode,
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLEnumType,
    GraphQLError,
    GraphQLInputType,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNamedType,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLScalarType,
    GraphQLSchema,
    GraphQLSyntaxError,
    GraphQLUnionType,
    InlineFragmentNode,
    KnownFragmentNamesRule,
    ListValueNode,
    NoFragmentCyclesRule,
    NoUndefinedVariablesRule,
    NoUnusedFragmentsRule,
    NoUnusedVariablesRule,
    ObjectValueNode,
    OperationDefinitionNode,
    OperationType,
    SelectionNode,
    SelectionSetNode,
    UniqueArgumentNamesRule,
    UniqueFragmentNamesRule,
    UniqueInputFieldNamesRule,
    UniqueVariableNamesRule,
    ValueNode,
    VariableNode,
    get_named_type,
    parse,
    print_ast,
    type_from_ast,
    validate,
)
from graphql.language import NonNullTypeNode
from msgspec import Struct
from msgspec.structs import replace

from exporter.document.answer_shape import EXTENSIONS
from exporter.document.schema import no_schema

_FILE_NAME: Final = re.compile(r"\S*\.(?:graphql|gql)")
_MAX_TOKENS: Final = 20_000
_MAX_SELECTIONS: Final = 20_000
_NO_NAMES: Final[frozenset[str]] = frozenset()  # one for all fields: each empty set takes 216 bytes
_RULES_WITHOUT_SCHEMA: Final = (
    KnownFragmentNamesRule,
    NoFragmentCyclesRule,
    NoUndefinedVariablesRule,
    NoUnusedFragmentsRule,
    NoUnusedVariablesRule,
    UniqueArgumentNamesRule,
    UniqueFragmentNamesRule,
    UniqueInputFieldNamesRule,
    UniqueVariableNamesRule,
)


class Fault(Struct, frozen=True):
    """What is wrong with a document, and the line in it (from 1)."""

    line: int
    wrong: str
    remedy: str = ""


class DocumentError(Exception):
    """A document that cannot be used. `faults` has them all."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        super().__init__("; ".join(fault.wrong for fault in faults))
        self.faults = faults


class FieldType(Struct, frozen=True):
    """A field's type, where a schema is known: its name, whether it ends there, and how many lists are around it."""

    name: str
    leaf: bool
    enum_values: tuple[str, ...] = ()
    lists: int = 0


class Selection(Struct, frozen=True):
    """A field of a document: what is selected below it, by response key.

    `optional`: a directive or a type condition may leave it out of an answer. `variables` are those that its
    arguments name; of the document's own selection, those of the operation's directives.
    """

    children: Mapping[str, Selection] = {}
    type: FieldType | None = None
    optional: bool = False
    variables: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable that a document declares; `input` is its type in the schema, where there is one."""

    type: str
    required: bool
    input: GraphQLInputType | None = field(default=None, compare=False)  # the same type is made anew at each load


class Document(Struct, frozen=True):
    """A parsed document with one query operation."""

    text: str
    selection: Selection
    variables: Mapping[str, Variable]
    reads_extensions: bool = False


def with_extensions(document: Document) -> Document:
    """The document of which the `extensions` of an answer (GraphQL §7.1) are read as if they were a field that is
    JSON."""
    children = {**document.selection.children, EXTENSIONS: Selection(type=FieldType("JSON", leaf=True), optional=True)}
    return replace(document, selection=replace(document.selection, children=children), reads_extensions=True)


def without_schema(document: Document) -> Document:
    """The document for those who only send it: its variables refer to no schema, which is large."""
    variables = {name: Variable(one.type, one.required) for name, one in document.variables.items()}
    return replace(document, variables=variables)


def parse_document(text: str, schema: GraphQLSchema | None, name: str | None = None) -> Document:
    """The document in `text`, or what it has of the operation of that name, checked against the schema where there is
    one. Raises `DocumentError`."""
    try:
        node = parse(text, max_tokens=_MAX_TOKENS)
    except GraphQLSyntaxError as error:
        line = min(error.locations[0].line if error.locations else 1, len(text.rstrip().splitlines()) or 1)
        wrong = f"not valid GraphQL: {error.message.removeprefix('Syntax Error: ').rstrip('.')}"
        is_file = _FILE_NAME.fullmatch(text.strip()) is not None
        remedy = "write document_file for the name of a file" if is_file else "correct the document there"
        raise DocumentError((Fault(line, wrong, remedy),)) from None
    except RecursionError:
        raise DocumentError((Fault(1, "nested too deeply"),)) from None
    if name is not None:
        node = _only(node, name)
        text = print_ast(node)
    operation = _operation(node)
    _check_size(node, operation)
    if errors := validate(schema, node) if schema is not None else validate(no_schema(), node, _RULES_WITHOUT_SCHEMA):
        raise DocumentError(tuple(_fault(error) for error in errors))
    fragments = {part.name.value: part for part in node.definitions if isinstance(part, FragmentDefinitionNode)}
    root = schema.query_type if schema is not None else None
    return Document(
        text,
        Selection(
            _Selecting(schema, fragments).children(operation.selection_set, root, False),
            variables=frozenset(name for part in operation.directives or () for name in _variables_of(part)),
        ),
        {
            definition.variable.name.value: Variable(
                print_ast(definition.type),
                isinstance(definition.type, NonNullTypeNode) and definition.default_value is None,
                type_from_ast(schema, definition.type) if schema is not None else None,  # type: ignore[arg-type]
            )
            for definition in operation.variable_definitions or ()
        },
    )


def _check_size(node: DocumentNode, operation: OperationDefinitionNode) -> None:
    """Raises `DocumentError` for fragments that spread others so often that nobody could write the whole out."""
    fragments = {part.name.value: part for part in node.definitions if isinstance(part, FragmentDefinitionNode)}
    known: dict[str, int] = {}

    def count(selections: SelectionSetNode | None) -> int:
        return 0 if selections is None else sum(map(count_one, selections.selections))

    def count_one(part: SelectionNode) -> int:
        if not isinstance(part, FragmentSpreadNode):
            return 1 + count(getattr(part, "selection_set", None))
        name = part.name.value
        if name not in known:
            known[name] = 0  # of one that spreads itself, which another rule refuses
            known[name] = 1 + count(fragments[name].selection_set) if name in fragments else 0
        return known[name]

    try:
        total = count(operation.selection_set)
    except RecursionError:
        raise DocumentError((Fault(1, "nested too deeply"),)) from None
    if total > _MAX_SELECTIONS:
        wrong = f"selects more than {_MAX_SELECTIONS} fields (fragments count each time)"
        raise DocumentError((Fault(1, wrong, "spread fewer fragments, or make several queries"),))


def _only(node: DocumentNode, name: str) -> DocumentNode:
    """The operation of that name, with the fragments that it uses. Raises `DocumentError`."""
    operations = [part for part in node.definitions if isinstance(part, OperationDefinitionNode)]
    named = [part for part in operations if part.name is not None and part.name.value == name]
    if len(named) != 1:
        known = ", ".join(part.name.value for part in operations if part.name is not None)
        wrong = f"has {len(named) or 'no'} operation{'s' * (len(named) > 1)} {name}"
        raise DocumentError((Fault(1, wrong, f"it has: {known or 'none with a name'}"),))
    fragments = {part.name.value: part for part in node.definitions if isinstance(part, FragmentDefinitionNode)}
    wanted: list[OperationDefinitionNode | FragmentDefinitionNode] = [named[0]]
    for part in wanted:  # which grows meanwhile
        wanted += [fragments.pop(spread) for spread in _spreads(part.selection_set) if spread in fragments]
    return DocumentNode(definitions=tuple(part for part in node.definitions if part in wanted))


def _spreads(selections: SelectionSetNode) -> set[str]:
    """The names of the fragments that are spread there, in order of nothing."""
    found: set[str] = set()
    levels = [selections]
    for level in levels:
        for part in level.selections:
            if isinstance(part, FragmentSpreadNode):
                found.add(part.name.value)
            elif isinstance(part, FieldNode | InlineFragmentNode) and part.selection_set is not None:
                levels.append(part.selection_set)
    return found


def _operation(node: DocumentNode) -> OperationDefinitionNode:
    operations = [part for part in node.definitions if isinstance(part, OperationDefinitionNode)]
    if len(operations) != 1:
        line = operations[1].loc.start_token.line if len(operations) > 1 and operations[1].loc else 1
        raise DocumentError(
            (Fault(line, f"has {len(operations)} operations", "keep exactly one query, or name one with operation"),)
        )
    if operations[0].operation is not OperationType.QUERY:
        raise DocumentError((Fault(1, f"is a {operations[0].operation.value}", "only queries are polled"),))
    return operations[0]


def _fault(error: GraphQLError) -> Fault:
    line = error.locations[0].line if error.locations else 1
    wrong, found, hint = error.message.partition(" Did you mean ")
    return Fault(line, wrong.rstrip("."), f"did you mean {hint}" if found else "")


class _Selecting(Struct, frozen=True):
    """The walk from a selection set to the tree of its response keys."""

    schema: GraphQLSchema | None
    fragments: Mapping[str, FragmentDefinitionNode]

    def children(self, selections: SelectionSetNode, parent: object, optional: bool) -> dict[str, Selection]:
        found: dict[str, Selection] = {}
        for node in selections.selections:
            for key, selection in self._select(node, parent, optional).items():
                found[key] = _merge(found[key], selection) if key in found else selection
        return found

    def _select(self, node: SelectionNode, parent: object, optional: bool) -> dict[str, Selection]:
        optional = optional or any(part.name.value in ("skip", "include") for part in node.directives or ())
        if isinstance(node, FieldNode):
            return {(node.alias or node.name).value: self._field(node, parent, optional)}
        if isinstance(node, FragmentSpreadNode):
            fragment: FragmentDefinitionNode | InlineFragmentNode = self.fragments[node.name.value]
        elif isinstance(node, InlineFragmentNode):
            fragment = node
        else:
            return {}
        condition = fragment.type_condition.name.value if fragment.type_condition else None
        if condition is None or condition == getattr(parent, "name", None):
            return self.children(fragment.selection_set, parent, optional)
        inner = self.schema.type_map.get(condition) if self.schema is not None else None
        return self.children(fragment.selection_set, inner, True)

    def _field(self, node: FieldNode, parent: object, optional: bool) -> Selection:
        kind = _output_type(parent, node.name.value)
        children = (
            self.children(node.selection_set, get_named_type(kind) if kind else None, False)
            if node.selection_set
            else {}
        )
        known = _field_type(kind) if kind is not None else self._type_name(node, parent)
        return Selection(children, known, optional, frozenset(_variables_of(node)) or _NO_NAMES)

    def _type_name(self, node: FieldNode, parent: object) -> FieldType | None:
        """The type of `__typename`, of which each type that an object may be of is a word."""
        if node.name.value != "__typename" or self.schema is None or not isinstance(parent, GraphQLNamedType):
            return None
        names = [parent.name]
        if isinstance(parent, GraphQLInterfaceType | GraphQLUnionType):
            names = [kind.name for kind in self.schema.get_possible_types(parent)]
        return FieldType(parent.name, True, tuple(names))


def _variables_of(node: FieldNode | DirectiveNode) -> Iterator[str]:
    """The variables that the arguments of a field or a directive name."""
    for argument in node.arguments or ():
        yield from _variables_in(argument.value)


def _variables_in(value: ValueNode) -> Iterator[str]:
    """The variables that the value of an argument names."""
    if isinstance(value, VariableNode):
        yield value.name.value
    elif isinstance(value, ListValueNode):
        for item in value.values:
            yield from _variables_in(item)
    elif isinstance(value, ObjectValueNode):
        for part in value.fields:
            yield from _variables_in(part.value)


def _merge(first: Selection, second: Selection) -> Selection:
    """Both selections of one response key (GraphQL §5.3.2 lets them merge)."""
    children = dict(first.children)
    for key, selection in second.children.items():
        children[key] = _merge(children[key], selection) if key in children else selection
    optional = first.optional and second.optional
    return Selection(children, _either(first.type, second.type), optional, first.variables | second.variables)


def _either(first: FieldType | None, second: FieldType | None) -> FieldType | None:
    """The type of a field that has been selected twice; the words of `__typename` are those of both."""
    if first is None or second is None or first == second:
        return first
    return replace(first, enum_values=tuple(dict.fromkeys((*first.enum_values, *second.enum_values))))


def _output_type(parent: object, name: str) -> GraphQLOutputType | None:
    if isinstance(parent, GraphQLObjectType | GraphQLInterfaceType) and name in parent.fields:
        kind: GraphQLOutputType = parent.fields[name].type
        return kind
    return None


def _field_type(kind: GraphQLOutputType) -> FieldType:
    lists = 0
    inner: object = kind
    while isinstance(inner, GraphQLNonNull | GraphQLList):
        lists += isinstance(inner, GraphQLList)
        inner = inner.of_type
    named = get_named_type(kind)
    values = tuple(named.values) if isinstance(named, GraphQLEnumType) else ()
    return FieldType(named.name, isinstance(named, GraphQLScalarType | GraphQLEnumType), values, lists)


# ---------------------------------------------------------------------------------------------- schemas
