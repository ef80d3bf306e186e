"""Values against the types that a schema gives to variables: what can be known before anything is sent."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Final, TypeAlias, cast

from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLList,
    GraphQLNonNull,
    is_required_input_field,
    is_specified_scalar_type,
)
from msgspec import Struct
from msgspec.structs import replace

from exporter.document.document import FieldType
from exporter.model.samples import Json
from exporter.model.suggestion import suggestion
from exporter.model.template import Reference, Template, Text

InputType: TypeAlias = GraphQLInputType
KeysBelow: TypeAlias = tuple[str | int, ...]

_INT_LIMIT: Final = 2**31
# What a leaf of an answer, by its type, may be given to (GraphQL §3.5); an enum's word is text in JSON.
_GOES_INTO: Final = {
    "Int": {"Int", "Float", "ID"},
    "Float": {"Float"},
    "Boolean": {"Boolean"},
    "String": {"String", "ID"},
    "ID": {"String", "ID"},
}
_REMEDIES: Final = {
    "Int": "write a whole number",
    "Float": "write a number",
    "Boolean": "write true or false",
    "String": "write text, in quotes where it looks like a number",
    "ID": "write text",
}


class Literal(Struct, frozen=True):
    """A value that is known, as it stands in the file."""

    value: Json


# What is known of a reference's value: itself, its type, or nothing.
Known: TypeAlias = Literal | FieldType | None


class ValueFault(Struct, frozen=True):
    """What is wrong with a value: at which key below it, and what would be right."""

    at: KeysBelow
    wrong: str
    remedy: str = ""


def value_faults(
    kind: InputType,
    value: Template,
    known: Callable[[Reference], Iterable[Known]],
    filled: Collection[KeysBelow] = (),
) -> Iterator[ValueFault]:
    """The faults of a value for an input of that type. `known` tells what a reference can be; `filled` are the places
    that are filled later, so that they are not missing."""
    yield from _Checking(known, filled).faults(kind, value, ())


def place_faults(kind: InputType, steps: KeysBelow, value: Json) -> Iterator[ValueFault]:
    """The faults of setting one value at a place below an input of that type."""
    tree = cast("Template", value)
    for step in reversed(steps):
        tree = {str(step): tree}
    yield from _Checking(lambda _: (), None).faults(kind, tree, ())


class _Checking(Struct, frozen=True):
    known: Callable[[Reference], Iterable[Known]]
    filled: Collection[KeysBelow] | None  # None: nothing is missing

    def faults(self, kind: InputType, value: Template, at: KeysBelow) -> Iterator[ValueFault]:
        if isinstance(value, Reference):
            for found in self.known(value):
                yield from self._of_reference(kind, value, found, at)
        elif isinstance(kind, GraphQLNonNull):
            if value is None:
                yield ValueFault(at, f"is null, and {kind} is never null", "give it a value")
            else:
                yield from self.faults(kind.of_type, value, at)
        elif value is None or (isinstance(value, str) and "${" in value):
            return  # a variable of the environment that is not set is told elsewhere
        elif isinstance(value, Text):
            yield from _of_type(kind, FieldType("String", True), "text", at)
        elif isinstance(kind, GraphQLList):
            items = list(enumerate(value)) if isinstance(value, list) else None
            for index, item in items or ():
                yield from self.faults(kind.of_type, item, (*at, index))
            if items is None:
                yield from self.faults(kind.of_type, value, at)  # one value is a list of one (GraphQL §3.11)
        elif isinstance(kind, GraphQLInputObjectType):
            yield from self._of_object(kind, value, at)
        else:
            yield from _of_leaf(kind, value, at)

    def _of_object(self, kind: GraphQLInputObjectType, value: Template, at: KeysBelow) -> Iterator[ValueFault]:
        if not isinstance(value, dict):
            wrong = f"is {_kind(value)}, and {kind.name} is an object"
            yield ValueFault(at, wrong, f"give it its fields: {', '.join(kind.fields)}")
            return
        for name, item in value.items():
            if name in kind.fields:
                yield from self.faults(kind.fields[name].type, item, (*at, name))
            else:
                yield ValueFault((*at, name), f"{kind.name} has no field {name}", _nearest(name, kind.fields))
        for name, field in kind.fields.items():
            here = (*at, name)
            if self.filled is None or name in value or not is_required_input_field(field):
                continue
            if not any(place[: len(here)] == here for place in self.filled):
                yield ValueFault(at, f"{kind.name} needs {name}", f"add {name}: (it is {field.type})")

    def _of_reference(self, kind: InputType, reference: Reference, found: Known, at: KeysBelow) -> Iterator[ValueFault]:
        shown = f"{{{{ {reference.name} }}}}"
        if isinstance(found, Literal):
            for fault in self.faults(kind, cast("Template", found.value), ()):
                where = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in fault.at)
                yield ValueFault(at, f"{shown}{where} {fault.wrong}", fault.remedy)
        elif found is not None:
            yield from _of_type(kind, found, shown, at)


def _of_type(kind: InputType, found: FieldType, shown: str, at: KeysBelow) -> Iterator[ValueFault]:
    """The fault, if a value of the one type does not fit the other. Null is seen only when it comes. A type without a
    name is not known."""
    inner = kind.of_type if isinstance(kind, GraphQLNonNull) else kind
    if isinstance(inner, GraphQLList):
        yield from _of_type(inner.of_type, replace(found, lists=max(0, found.lists - 1)), shown, at)
    elif found.lists:
        wrong = f"{shown} is a list, because of batch, and {inner} is not"
        yield ValueFault(at, wrong, "put it where a list is wanted, or drop batch")
    elif not found.name:
        return
    elif isinstance(inner, GraphQLInputObjectType):
        fields = ", ".join(inner.fields)
        yield ValueFault(at, f"{shown} is {found.name}, and {inner.name} is an object", f"give it its fields: {fields}")
    elif not _fits(inner, found):
        yield ValueFault(at, f"{shown} is {found.name}, and {inner} is wanted", "refer to what is of that type")


def _fits(kind: object, found: FieldType) -> bool:
    if isinstance(kind, GraphQLEnumType):
        words = set(found.enum_values)
        return words <= set(kind.values) if words else found.name not in ("Int", "Float", "Boolean")
    if not is_specified_scalar_type(kind):  # type: ignore[arg-type]
        return True
    if found.enum_values:
        return str(kind) in ("String", "ID")
    return str(kind) in _GOES_INTO.get(found.name, {str(kind)})


def _of_leaf(kind: object, value: Template, at: KeysBelow) -> Iterator[ValueFault]:
    if isinstance(kind, GraphQLEnumType):
        if value not in kind.values if isinstance(value, str) else True:
            shown = value if isinstance(value, str) else _kind(value)
            yield ValueFault(at, f"{shown} is no word of {kind.name}", _nearest(str(value), kind.values))
    elif is_specified_scalar_type(kind) and not _is_of(str(kind), value):  # type: ignore[arg-type]
        yield ValueFault(at, f"is {_kind(value)}, and {kind} is wanted", _REMEDIES[str(kind)])


def never_equal(field: FieldType, value: Json) -> str:
    """What would be right, where a field of that type is never equal to a value; empty where it may be."""
    if value is None or (isinstance(value, str) and "${" in value):
        return ""
    if field.enum_values:
        return "" if value in field.enum_values else _nearest(str(value), field.enum_values)
    scalar = "String" if field.name == "ID" else field.name  # an answer has ids as text (GraphQL §3.5.5)
    return "" if scalar not in _REMEDIES or _is_of(scalar, cast("Template", value)) else _REMEDIES[scalar]


def _is_of(scalar: str, value: Template) -> bool:
    if isinstance(value, bool):
        return scalar == "Boolean"
    if isinstance(value, str):
        return scalar in ("String", "ID")
    if isinstance(value, int | float):
        whole = isinstance(value, int) or value.is_integer()
        return scalar == "Float" or (whole and (scalar == "ID" or (scalar == "Int" and _fits_int(value))))
    return False


def _fits_int(value: int | float) -> bool:
    """Whether an Int can hold it: 32 bits, signed (GraphQL §3.5.1)."""
    return -_INT_LIMIT <= value < _INT_LIMIT


def _kind(value: Template) -> str:
    match value:
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case list():
            return "a list"
        case dict():
            return "a mapping"
    return "text"


def _nearest(word: str, known: Iterable[str]) -> str:
    names = list(known)
    if found := suggestion(word, names):
        return found
    return f"write one of: {', '.join(names)}"
