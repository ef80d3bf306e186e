"""Packs: the calls of several targets as aliases in one operation, and its answer taken apart again.

The variables and root fields of the target at position 3 begin with `t3_`, variables that all share with `all_`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    NameNode,
    OperationDefinitionNode,
    SelectionNode,
    SelectionSetNode,
    VariableNode,
    Visitor,
    parse,
    print_ast,
    visit,
)
from msgspec.structs import replace

from exporter.model.outcome import GraphQLError, Operation, Response, Shape
from exporter.model.samples import Json

_ALIAS: Final = re.compile(r"t([0-9]+)_(.+)", re.DOTALL)
_SHARED: Final = "all_"


def pack_operations(operations: Sequence[Operation], shared: frozenset[str]) -> Operation:
    """One operation for several of the same document, whose variables in `shared` have the same values."""
    variables: dict[str, Json] = {}
    for position, operation in enumerate(operations):
        for name, value in operation.variables.items():
            variables[_SHARED + name if name in shared else alias_prefix(position) + name] = value
    first = operations[0]
    shape = None if first.shape is None else first.shape.in_pack(len(operations))
    return Operation(pack_document(first.document, len(operations), shared), variables, shape)


def unpack_response(response: Response, size: int, shape: Shape | None = None) -> tuple[Response, ...]:
    """A response for each call of a pack. An error of one alias is an error of that call, any other one of all.

    `shape` is what reads the answer to one call, where the response was read by a shape. Each has the bytes of the
    whole, of which any part may be its own.
    """
    data: list[dict[str, Json]] = [{} for _ in range(size)]
    errors: list[list[GraphQLError]] = [[] for _ in range(size)]
    received = response.bytes_received
    for alias, value in (response.data or {}).items():
        if (found := _ALIAS.fullmatch(alias)) and int(found[1]) < size:
            data[int(found[1])][found[2]] = value
    for error in response.errors:
        first = error.path[0] if error.path else None
        if isinstance(first, str) and (found := _ALIAS.fullmatch(first)) and int(found[1]) < size:
            errors[int(found[1])].append(replace(error, path=(found[2], *error.path[1:])))
        else:
            for of_call in errors:
                of_call.append(error)
    if shape is None or response.shaped is None:
        return tuple(Response(part, tuple(of_call), received) for part, of_call in zip(data, errors, strict=True))
    return tuple(
        Response(None, tuple(of_call), received, shape.unpack(response.shaped, position), share=response.share)
        for position, of_call in enumerate(errors)
    )


@lru_cache(maxsize=256)
def pack_document(text: str, size: int, shared: frozenset[str]) -> str:
    """The document that asks what the valid document `text` asks, so many times. Directives of its operation, which
    there is once, have variables of `shared` alone."""
    node = parse(text)
    operation = next(part for part in node.definitions if isinstance(part, OperationDefinitionNode))
    fragments = {part.name.value: part for part in node.definitions if isinstance(part, FragmentDefinitionNode)}
    definitions = operation.variable_definitions or ()
    variables = [_rename(part, "", shared) for part in definitions if part.variable.name.value in shared]
    selections: list[SelectionNode] = []
    copies: list[FragmentDefinitionNode] = []
    for position in range(size):
        prefix = alias_prefix(position)
        variables += [_rename(part, prefix, shared) for part in definitions if part.variable.name.value not in shared]
        own = [_rename(part, prefix, shared) for part in _alias(operation.selection_set.selections, prefix, fragments)]
        selections += own
        copies += _copy(own, fragments, prefix, shared)
    packed = OperationDefinitionNode(
        operation=operation.operation,
        name=operation.name,
        variable_definitions=tuple(variables),
        directives=tuple(_rename(part, "", shared) for part in operation.directives or ()),
        selection_set=SelectionSetNode(selections=tuple(selections)),
    )
    return print_ast(DocumentNode(definitions=(packed, *copies)))


def alias_prefix(position: int) -> str:
    """What stands before the response keys of the call at that position of a pack."""
    return f"t{position}_"


def _alias(
    selections: Sequence[SelectionNode], prefix: str, fragments: Mapping[str, FragmentDefinitionNode]
) -> Iterator[SelectionNode]:
    """The root's selections with prefixed response keys. Fragments are written out here, as their fields are root
    fields, which they need not be elsewhere."""
    for node in selections:
        if isinstance(node, FieldNode):
            yield FieldNode(
                alias=NameNode(value=prefix + (node.alias or node.name).value),
                name=node.name,
                arguments=node.arguments,
                directives=node.directives,
                selection_set=node.selection_set,
            )
        elif isinstance(node, FragmentSpreadNode | InlineFragmentNode):
            fragment = fragments[node.name.value] if isinstance(node, FragmentSpreadNode) else node
            inner = tuple(_alias(fragment.selection_set.selections, prefix, fragments))
            yield InlineFragmentNode(
                type_condition=fragment.type_condition,
                directives=node.directives,
                selection_set=SelectionSetNode(selections=inner),
            )


def _copy(
    selections: Sequence[SelectionNode],
    fragments: Mapping[str, FragmentDefinitionNode],
    prefix: str,
    shared: frozenset[str],
) -> list[FragmentDefinitionNode]:
    """The fragments that renamed selections reach, renamed like them."""
    copies: dict[str, FragmentDefinitionNode] = {}
    waiting = [name for part in selections for name in _spread_names(part)]
    while waiting:
        name = waiting.pop()
        if name not in copies:
            copies[name] = _rename(fragments[name.removeprefix(prefix)], prefix, shared)
            waiting += _spread_names(copies[name])
    return list(copies.values())


def _spread_names(node: SelectionNode | FragmentDefinitionNode) -> list[str]:
    found: list[str] = []

    class Spreads(Visitor):
        def enter_fragment_spread(self, node: FragmentSpreadNode, *_: Any) -> None:
            found.append(node.name.value)

    visit(node, Spreads())
    return found


def _rename(node: Any, prefix: str, shared: frozenset[str]) -> Any:
    """The node with its variables and fragments renamed."""

    class Renaming(Visitor):
        def leave_variable(self, node: VariableNode, *_: Any) -> VariableNode:
            name = node.name.value
            return VariableNode(name=NameNode(value=(_SHARED if name in shared else prefix) + name))

        def leave_fragment_spread(self, node: FragmentSpreadNode, *_: Any) -> FragmentSpreadNode:
            return FragmentSpreadNode(name=NameNode(value=prefix + node.name.value), directives=node.directives)

        def leave_fragment_definition(self, node: FragmentDefinitionNode, *_: Any) -> FragmentDefinitionNode:
            return FragmentDefinitionNode(
                name=NameNode(value=prefix + node.name.value),
                type_condition=node.type_condition,
                directives=node.directives,
                selection_set=node.selection_set,
            )

    return visit(node, Renaming())
