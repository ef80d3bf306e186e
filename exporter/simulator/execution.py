"""GraphQL over the published schema: documents parsed and validated once, operations executed by graphql-core."""

from collections import Counter, OrderedDict
from collections.abc import Mapping
from importlib import resources
from typing import Any

from graphql import (
    DocumentNode,
    ExecutionResult,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLResolveInfo,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
    build_schema,
    execute_sync,
    get_operation_ast,
    parse,
    validate,
)
from msgspec import Struct

from exporter.simulator.asking import Asking
from exporter.simulator.resolvers import RESOLVERS, Resolver

KEPT_DOCUMENTS = 256


class Document(Struct, frozen=True):
    """A parsed document with the errors that validation found in it."""

    node: DocumentNode | None
    errors: tuple[GraphQLError, ...]


class WireAnswer(Struct, frozen=True):
    """What became of an operation: its HTTP status and its JSON body."""

    status: int
    body: dict[str, Any]


def resolver_for(name: str, resolver: Resolver) -> Any:
    """A resolver as graphql-core calls it; it refuses operations that the settings refuse."""

    def resolve(_: Any, info: "GraphQLResolveInfo[Asking]", **arguments: Any) -> Any:
        asking = info.context
        if name in asking.settings.refused_operations:
            raise GraphQLError(f"{name} is not permitted.")
        return resolver(asking, arguments)

    return resolve


def insights_schema() -> GraphQLSchema:
    """The published schema with a resolver on each field of Query; raises KeyError if one has none."""
    text = resources.files("exporter").joinpath("choreo", "insights.graphql").read_text(encoding="utf-8")
    schema = build_schema(text)
    assert schema.query_type is not None
    for name, field in schema.query_type.fields.items():
        field.resolve = resolver_for(name, RESOLVERS[name])
    return schema


def root_fields(document: DocumentNode, operation: OperationDefinitionNode) -> Counter[str]:
    """How often an operation selects each root field, under whatever aliases, fragments included."""
    fragments = {d.name.value: d for d in document.definitions if isinstance(d, FragmentDefinitionNode)}
    counts: Counter[str] = Counter()

    def visit(selections: SelectionSetNode, inside: frozenset[str]) -> None:
        for selection in selections.selections:
            if isinstance(selection, FieldNode):
                counts[selection.name.value] += 1
            elif isinstance(selection, InlineFragmentNode):
                visit(selection.selection_set, inside)
            elif isinstance(selection, FragmentSpreadNode):
                name = selection.name.value
                if name in fragments and name not in inside:
                    visit(fragments[name].selection_set, inside | {name})

    visit(operation.selection_set, frozenset())
    return counts


def refusal(*errors: GraphQLError) -> WireAnswer:
    """The answer to an operation that is not executed."""
    return WireAnswer(400, {"errors": [error.formatted for error in errors]})


class Execution:
    """Executes operations. Not for several threads at once."""

    def __init__(self, max_aliases: int) -> None:
        self._schema = insights_schema()
        self._max_aliases = max_aliases
        self._documents: OrderedDict[str, Document] = OrderedDict()

    def _document(self, text: str) -> Document:
        """The document of a text, parsed and validated when it is first seen."""
        if text not in self._documents:
            try:
                node = parse(text, max_tokens=50_000)
                self._documents[text] = Document(node, tuple(validate(self._schema, node)))
            except GraphQLError as error:
                self._documents[text] = Document(None, (error,))
            while len(self._documents) > KEPT_DOCUMENTS:
                self._documents.popitem(last=False)
        self._documents.move_to_end(text)
        return self._documents[text]

    def answer(
        self, asking: Asking, text: str, variables: Mapping[str, Any], operation_name: str | None
    ) -> tuple[WireAnswer, Counter[str]]:
        """The answer to an operation, and how often it selects each root field.

        Status 400 if it could not be executed at all; errors of single fields stand beside their null in `data`.
        """
        document = self._document(text)
        if document.node is None:
            return refusal(*document.errors), Counter()
        operation = get_operation_ast(document.node, operation_name)
        if operation is None:
            return refusal(GraphQLError("operationName is unknown, or needed and missing.")), Counter()
        fields = root_fields(document.node, operation)
        if document.errors:
            return refusal(*document.errors), fields
        if self._max_aliases and fields.total() > self._max_aliases:
            error = GraphQLError(f"At most {self._max_aliases} root fields are allowed, {fields.total()} were given.")
            return refusal(error), fields
        result = execute_sync(
            self._schema,
            document.node,
            context_value=asking,
            variable_values=dict(variables),
            operation_name=operation_name,
        )
        return executed(result), fields


def executed(result: ExecutionResult) -> WireAnswer:
    """The answer to an executed operation; without data, its variables did not fit."""
    if result.data is None and result.errors:
        return refusal(*result.errors)
    errors = {"errors": [error.formatted for error in result.errors]} if result.errors else {}
    return WireAnswer(200, {**errors, "data": result.data})
