"""One part of a configuration, read as far as it is sound: a fault in it hides none beside it, and makes none."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Iterable, Mapping
from copy import copy
from functools import cache
from types import FunctionType, MethodType, UnionType
from typing import Any, Final, Generic, TypeVar, cast

from msgspec import Struct
from pydantic import ValidationError, create_model
from pydantic_core import ErrorDetails

from exporter.config.key_names import meant_key
from exporter.config.nodes import KeyPath
from exporter.config.scalars import Strict

_Model = TypeVar("_Model", bound=Strict)
_NO_KEYS: Final = ("[key]", "[text]", "[values]")  # parts of pydantic's paths, the latter two of a header's forms


class PartFault(Struct, frozen=True):
    """What is wrong in a part, and the keys that lead there."""

    place: KeyPath
    details: ErrorDetails


class Part(Struct, Generic[_Model], frozen=True):
    """What could be read of a part: none where it is no mapping.

    `unknown` names its keys with faults. Of a mapping or a list there the sound items are in `value`; of anything else
    its default, or what `stand_ins` had for it. `below` has the same of the parts in its lists, by their places, and
    `kept` says which items of a list are in `value`.
    """

    value: _Model | None
    faults: tuple[PartFault, ...]
    unknown: frozenset[str] = frozenset()
    below: Mapping[KeyPath, frozenset[str]] = {}
    kept: Mapping[str, tuple[int, ...]] = {}


def read_part(
    model: type[_Model],
    written: object,
    *,
    context: Mapping[str, object],
    stand_ins: Mapping[str, object],
    faulty: Iterable[KeyPath] = (),
) -> Part[_Model]:
    """A part of a configuration: first each key by itself, then the rules over several keys, as far as these are known.

    `stand_ins` are values of required keys that are missing or wrong. `faulty` are places in the part that have been
    refused already.
    """
    refused = tuple(faulty)
    try:
        value = model.model_validate(written, context=dict(context))
    except ValidationError as error:
        if not isinstance(written, dict):
            return Part(None, tuple(PartFault(_place(one), one) for one in error.errors(include_url=False)))
    else:
        if not refused:
            lists = {key: tuple(range(len(getattr(value, key)))) for key in _part_lists(model)}
            return Part(value, (), kept=lists)
    assert isinstance(written, dict)  # as every part is
    reading = _Reading(model, dict(written), context, stand_ins)
    for place in refused:
        reading.leave_out(place)
    reading.read_below()
    fields = reading.read_fields()
    written_keys = fields.model_fields_set | reading.read.keys()
    value = cast("_Model", model.model_construct(_fields_set=written_keys, **{**dict(fields), **reading.read}))
    reading.check_rules(value)
    return Part(value, tuple(reading.faults), frozenset(reading.unknown), reading.below, reading.kept)


def _place(details: ErrorDetails) -> KeyPath:
    return tuple(part for part in details["loc"] if part not in _NO_KEYS)


class _Reading:
    """One pass over a part, which leaves out what is wrong."""

    def __init__(
        self,
        model: type[Strict],
        rest: dict[str, Any],
        context: Mapping[str, object],
        stand_ins: Mapping[str, object],
    ) -> None:
        self._model = model
        self._rest = rest
        self._context = context
        self._stand_ins = stand_ins
        self.read: dict[str, Any] = {}
        self.faults: list[PartFault] = []
        self.unknown: set[str] = set()
        self.below: dict[KeyPath, frozenset[str]] = {}
        self.kept: dict[str, tuple[int, ...]] = {}
        self._faulty_below: dict[str, list[KeyPath]] = {}

    def leave_out(self, place: KeyPath) -> None:
        """Has the key, or the item of a mapping, at that place not read."""
        if not place:
            return
        key, *within = place
        if within and (key in _parts(self._model) or key in _part_lists(self._model)):
            self._faulty_below.setdefault(str(key), []).append(tuple(within))
        else:
            self._drop(str(key), within)

    def _drop(self, key: str, within: list[str | int]) -> None:
        self.unknown.add(key)
        inside = self._rest.get(key)
        if within and isinstance(inside, dict) and within[0] in inside:
            self._rest[key] = {name: value for name, value in inside.items() if name != within[0]}
        elif key in self._stand_ins and key in self._model.model_fields:
            self._rest[key] = self._stand_ins[key]
        else:
            self._rest.pop(key, None)

    def read_below(self) -> None:
        """Reads the parts inside this one, each by itself."""
        for key, model in _parts(self._model).items():
            if isinstance(self._rest.get(key), dict):
                part = self._part(model, self._rest.pop(key), (key,), self._faulty_below.get(key, ()))
                if part.unknown or part.faults:
                    self.unknown.add(key)
                else:
                    self.read[key] = part.value
        for key, model in _part_lists(self._model).items():
            if isinstance(self._rest.get(key), list):
                self._read_list(key, model, self._rest.pop(key))

    def _read_list(self, key: str, model: type[Strict], written: list[Any]) -> None:
        values, kept = [], []
        for index, item in enumerate(written):
            faulty = [within[1:] for within in self._faulty_below.get(key, ()) if within[0] == index]
            if () in faulty:
                self.unknown.add(key)
                continue
            part = self._part(model, item, (key, index), faulty)
            if part.value is not None:
                values.append(part.value)
                kept.append(index)
            if part.unknown or part.faults:
                self.unknown.add(key)
                self.below[key, index] = part.unknown
        self.read[key], self.kept[key] = tuple(values), tuple(kept)

    def _part(self, model: type[Strict], written: object, at: KeyPath, faulty: Iterable[KeyPath]) -> Part[Strict]:
        part = read_part(model, written, context=self._context, stand_ins=self._stand_ins, faulty=faulty)
        self.faults += [PartFault((*at, *fault.place), fault.details) for fault in part.faults]
        return part

    def read_fields(self) -> Strict:
        """The keys, each by itself, with stand-ins for those that are wrong."""
        fields = _fields_alone(self._model, needs_all=True)
        try:
            return fields.model_validate(self._rest, context=dict(self._context))
        except ValidationError as error:
            self._take_as_known(error)
            for details in error.errors(include_url=False):
                key, *within = _place(details)
                if within or key not in self.unknown:  # else it is wrong for what was left out of it
                    self.faults.append(PartFault((key, *within), details))
            for details in error.errors(include_url=False, include_input=False):
                key, *within = _place(details)
                self._drop(str(key), within)
        return self._read_what_is_left()

    def _read_what_is_left(self) -> Strict:
        """The keys without what was dropped: a stand-in may be of another type, and a mapping now be too small."""
        fields = _fields_alone(self._model, needs_all=False)
        while True:
            try:
                return fields.model_validate(self._rest, context=dict(self._context))
            except ValidationError as error:
                wrong = {str(_place(one)[0]) for one in error.errors(include_url=False, include_input=False)}
                self.unknown |= wrong
                for key in wrong:
                    del self._rest[key]

    def _take_as_known(self, error: ValidationError) -> None:
        """Keys that are written with another name are not missing."""
        known = [one.alias or name for name, one in self._model.model_fields.items()]
        for details in error.errors(include_url=False, include_input=False):
            key, *within = _place(details)
            if details["type"] == "extra_forbidden" and not within:
                meant = meant_key(str(key), known)
                self.unknown |= {meant} - self._rest.keys() - {""}

    def check_rules(self, value: Strict) -> None:
        """The rules over several keys. One that looks at a key with a fault says nothing."""
        for decorator in type(value).__pydantic_decorators__.model_validators.values():
            asked = _Asked(value, self.unknown)
            try:
                inspect.getattr_static(type(value), decorator.cls_var_name)(asked)
            except _UnknownKeyError:
                continue
            except ValueError as error:
                details = ErrorDetails(type="value_error", loc=(), msg="", input=None, ctx={"error": error})
                self.faults.append(PartFault((), details))
                self.unknown |= asked.seen


class _UnknownKeyError(Exception):
    """A rule looks at a key that has a fault."""


class _Asked:
    """A part that notes which of its keys a rule looks at."""

    def __init__(self, part: Strict, unknown: Iterable[str]) -> None:
        self._part = part
        self._unknown = frozenset(unknown)
        self.seen: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        kind = type(self._part)
        if name in kind.model_fields:
            key = kind.model_fields[name].alias or name
            if key in self._unknown:
                raise _UnknownKeyError
            if not kind.model_fields[name].is_required():
                self.seen.add(key)
            return getattr(self._part, name)
        member = inspect.getattr_static(kind, name)
        if isinstance(member, property) and member.fget is not None:
            return member.fget(self)
        return MethodType(member, self) if isinstance(member, FunctionType) else getattr(self._part, name)


@cache
def _fields_alone(model: type[Strict], *, needs_all: bool) -> type[Strict]:
    """The model without its rules over several keys, and without the need of a key for which nothing stands in."""
    fields: dict[str, Any] = {}
    for name, one in model.model_fields.items():
        found = copy(one)
        if one.is_required() and not needs_all:
            found.default = None
        fields[name] = (one.annotation, found)
    return create_model(f"{model.__name__}Fields", __base__=Strict, **fields)


@cache
def _parts(model: type[Strict]) -> Mapping[str, type[Strict]]:
    """The keys of a model that are parts of their own."""
    return {
        one.alias or name: found
        for name, one in model.model_fields.items()
        if (found := _model_in(one.annotation)) is not None
    }


@cache
def _part_lists(model: type[Strict]) -> Mapping[str, type[Strict]]:
    """The keys of a model that are lists of parts."""
    return {
        one.alias or name: found
        for name, one in model.model_fields.items()
        if typing.get_origin(one.annotation) is tuple
        and (found := _model_in(typing.get_args(one.annotation)[0])) is not None
    }


def _model_in(annotation: Any) -> type[Strict] | None:
    if isinstance(annotation, type) and typing.get_origin(annotation) is None:
        return annotation if issubclass(annotation, Strict) else None
    if typing.get_origin(annotation) in (typing.Union, UnionType):
        found = [model for part in typing.get_args(annotation) if (model := _model_in(part)) is not None]
        return found[0] if found else None
    return None
