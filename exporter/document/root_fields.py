"""The root fields of a document, each as a document of its own: which of them an API refuses can then be told."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    Node,
    OperationDefinitionNode,
    SelectionSetNode,
    VariableNode,
    Visitor,
    parse,
    print_ast,
    visit,
)
from msgspec import Struct


class RootField(Struct, frozen=True):
    """A root field: its response key, the operation that it asks, a document with it alone, and its variables."""

    key: str
    operation: str
    document: str
    variables: frozenset[str]


@lru_cache(maxsize=256)
def root_fields(text: str) -> tuple[RootField, ...]:
    """The root fields of the valid document `text`; those in fragments stay together in the whole document."""
    node = parse(text)
    operation = next(part for part in node.definitions if isinstance(part, OperationDefinitionNode))
    fragments = {part.name.value: part for part in node.definitions if isinstance(part, FragmentDefinitionNode)}
    fields = [one for one in operation.selection_set.selections if isinstance(one, FieldNode)]
    return tuple(_alone(field, operation, fragments) for field in fields)


def _alone(
    field: FieldNode, operation: OperationDefinitionNode, fragments: dict[str, FragmentDefinitionNode]
) -> RootField:
    used = _Used()
    visit(field, used)
    needed: dict[str, FragmentDefinitionNode] = {}
    while missing := used.fragments - needed.keys():
        for name in missing:
            needed[name] = fragments[name]
            visit(fragments[name], used)
    for directive in operation.directives or ():
        visit(directive, used)
    alone = OperationDefinitionNode(
        operation=operation.operation,
        variable_definitions=tuple(
            one for one in operation.variable_definitions or () if one.variable.name.value in used.variables
        ),
        directives=operation.directives,
        selection_set=SelectionSetNode(selections=(field,)),
    )
    document = print_ast(DocumentNode(definitions=(alone, *needed.values())))
    return RootField((field.alias or field.name).value, field.name.value, document, frozenset(used.variables))


class _Used(Visitor):
    """Collects the variables and fragments that a part of a document names."""

    def __init__(self) -> None:
        super().__init__()
        self.variables: set[str] = set()
        self.fragments: set[str] = set()

    def enter(self, node: Node, *_: Any) -> None:
        if isinstance(node, VariableNode):
            self.variables.add(node.name.value)
        elif isinstance(node, FragmentSpreadNode):
            self.fragments.add(node.name.value)
