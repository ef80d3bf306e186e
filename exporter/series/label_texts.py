"""The texts of labels, one for each record: from the answer, from references, and from what lookups know."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from exporter.model.errors import Reason, ResultFailure
from exporter.model.outcome import Names
from exporter.model.samples import Json, LabelValues
from exporter.model.template import Template, bind, references, scalar_text
from exporter.plan.plan import Bound, Column, Constant, LabelPlan, LookupColumn, MadeText, MissingPlan, label_columns
from exporter.series.records import Records, Texts, hops_text


class Surroundings(Struct, frozen=True):
    """What an extraction needs beside the answer: what references in labels can name, what lookups know, and the rows
    of other queries, for what an answer does not name."""

    values: Mapping[str, Json] = {}
    names: Mapping[str, Names] = {}
    rows: Mapping[str, Sequence[Mapping[str, Json]]] = {}


class LabelTexts:
    """Label values of one extraction; counts the keys that lookups did not know."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self.misses = 0

    def texts(self, records: Records, labels: Sequence[LabelPlan]) -> list[Texts]:
        """For each label one text for each record."""
        return [self._column(records, label) for label in labels]

    def _column(self, records: Records, label: LabelPlan) -> Texts:
        match label:
            case Column():
                return records.texts.get(label) or _texts(records, label)
            case LookupColumn(key=Column() as key):
                return self._names(label, self._column(records, key))
            case MadeText(parts, change) if any(label_columns(label)):
                columns = [self._column(records, part).column for part in parts]
                wholes = list(map("".join, zip(*columns, strict=True)))
                texts = {whole: change.of(whole) for whole in set(wholes)}
                alike = {text: text for text in texts.values()}
                return Texts([alike[texts[whole]] for whole in wholes], alike)
        text = self._text(label)
        return Texts([text] * len(records), (text,))

    def _names(self, label: LookupColumn, keys: Texts) -> Texts:
        """What a lookup gives for a column of keys."""
        rows = self._around.names.get(label.lookup, {})
        names = {key: rows[key].get(label.field, "") if key in rows else "" for key in keys.different}
        if not rows.keys() >= names.keys():
            self.misses += sum(key not in rows for key in keys.column)
        return Texts(list(map(names.__getitem__, keys.column)), set(names.values()))

    def keys_of_missing(self, missing: MissingPlan) -> list[LabelValues]:
        """The label values of every row that an answer should have named."""
        parts = [part if isinstance(part, str) else (self._text(part),) for part in missing.labels]
        needed = {part for part in parts if isinstance(part, str)}
        return [
            tuple(_scalar_text(row[part], part) if isinstance(part, str) else part[0] for part in parts)
            for row in self._around.rows.get(missing.query, ())
            if row.keys() >= needed  # not so of rows that are left over from another configuration
        ]

    def _text(self, label: LabelPlan) -> str:
        """The text of a label that does not depend on the record."""
        match label:
            case Constant(text):
                return text
            case Bound(template):
                return self._bind(template)
            case LookupColumn(lookup, key, name):
                return self._look_up(lookup, self._text(key), name)
            case MadeText(parts, change):
                return change.of("".join(map(self._text, parts)))
        raise AssertionError("the planner takes no column here")

    def _bind(self, template: Template) -> str:
        values = self._around.values
        for reference in references(template):
            if isinstance(values[reference.name], list | dict):  # of an odd row of another query
                raise _no_label(reference.name)
        return scalar_text(bind(template, values))

    def _look_up(self, lookup: str, key: str, name: str) -> str:
        row = self._around.names.get(lookup, {}).get(key)
        if row is None:
            self.misses += 1
            return ""
        return row.get(name, "")


def _texts(records: Records, column: Column) -> Texts:
    """The texts of a column; equal ones are one object, so that a set of labels is cheaper to hash and to write."""
    values = records.column(column)
    kinds = set(map(type, values))
    if list in kinds or has_object(kinds):
        raise _no_label(hops_text(column.hops))
    if kinds & {bool, float}:  # of which several are one key: 1, 1.0 and true
        values = list(map(scalar_text, values))
    texts = {value: scalar_text(value) for value in set(values)}
    return Texts(list(map(texts.__getitem__, values)), set(texts.values()))


def _scalar_text(value: Json, name: str) -> str:
    if isinstance(value, list | dict):
        raise _no_label(name)
    return scalar_text(value)


def _no_label(name: str) -> ResultFailure:
    return ResultFailure(Reason.SCHEMA, f"{name} is a list or an object, which cannot be a label")


def has_object(kinds: Iterable[type]) -> bool:
    """Whether one of the types is that of an object of an answer."""
    return any(issubclass(kind, dict | Struct) for kind in kinds)
