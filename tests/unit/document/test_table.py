"""Rows of a big answer held by columns."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from exporter.document.answer_shape import AnswerShape
from exporter.document.table import Table

KIND = msgspec.defstruct("Row", [("f_id", Any, msgspec.UNSET), ("f_n", Any, msgspec.UNSET)], gc=False)


def table(rows: Sequence[Any]) -> Table | None:
    """What is read of rows, each a list of its values or None."""
    raws = [msgspec.Raw(json.dumps(row).encode()) for row in rows]

    def decode(raw: msgspec.Raw) -> Any:
        values = json.loads(bytes(raw))
        return None if values is None else KIND(*values)

    return Table.read(KIND, raws, decode)


def test_rows_are_read_by_columns() -> None:
    """Each field is a column, and a row that is null is none."""
    found = table([["a", 1], None, ["b", None], ["a", 3]])
    assert found is not None
    assert found.nulls == 1
    assert (len(found), list(found.column("f_id")), list(found.column("f_n"))) == (3, ["a", "b", "a"], [1, None, 3])
    with pytest.raises(AttributeError):
        found.column("f_other")


def test_equal_texts_are_one_object() -> None:
    """Many rows with few texts take little memory, whichever part they came in."""
    found = table([["text that is cut out of the answer", at] for at in range(5000)])
    assert found is not None
    assert len(set(map(id, found.column("f_id")))) == 1
    assert set(found.different("f_id") or ()) == {"text that is cut out of the answer"}
    assert found.different("f_n") is None


def test_texts_that_come_late_are_not_taken_for_all_values() -> None:
    """A field that is a number or null in thousands of rows before it is a text has other values than texts."""
    for early in (1, None):
        found = table([[early, at] for at in range(2500)] + [["late", at] for at in range(2500)])
        assert found is not None
        assert set(found.column("f_id")) == {early, "late"}
        assert found.different("f_id") is None


def test_an_object_is_made_where_one_is_asked_for() -> None:
    """A row, a stretch of rows, and those that are wanted."""
    found = table([["a", 1], ["b", 2], ["c", 3]])
    assert found is not None
    assert (found[1].f_id, found[-1].f_n, [row.f_id for row in found]) == ("b", 3, ["a", "b", "c"])
    assert list(found[1:].column("f_id")) == ["b", "c"]
    assert list(found.where([True, False, True]).column("f_n")) == [1, 3]


@pytest.mark.parametrize("other", [1, True, 1.5, ["a"]])
def test_a_column_of_texts_and_others_is_not_held_so(other: Any) -> None:
    """1, 1.0 and true are equal, and must not become one."""
    assert table([["a", 1], [other, 2]]) is None
    assert table([["a", 1], [None, 2]]) is not None


SHAPE = AnswerShape([("org", "apis", "id")], max_values=100, rows_at=("org", "apis"), by_columns_bytes=0)


@pytest.mark.parametrize(
    ("org", "is_table"),
    [
        ({"apis": [{"id": "a"}, {"id": "b"}]}, True),
        ({"apis": []}, True),
        ({"apis": None}, False),
        ({"apis": {"id": "a"}}, False),
        ({"apis": [["a"]]}, False),
        ({"apis": [{"id": "a"}, "b"]}, False),
        ({}, False),
        (None, False),
        ([{"apis": [{"id": "a"}]}], False),
        ("text", False),
    ],
)
def test_a_big_answer_of_another_form_is_read_as_a_small_one(org: Any, is_table: bool) -> None:
    """Only one list of objects is a table; all else is as it always was."""
    body = json.dumps({"data": {"org": org}}).encode()
    found = SHAPE.decode(body).data.f_org
    assert isinstance(getattr(found, "f_apis", None), Table) is is_table
    if not is_table:
        small = AnswerShape([("org", "apis", "id")], max_values=100)
        assert msgspec.json.encode(found) == msgspec.json.encode(small.decode(body).data.f_org)


@pytest.mark.parametrize("body", [b'{"data": {"org": {"apis": [{"id": NaN}]}}}', b'{"data": {"org": {"apis": [{]}}}'])
def test_what_the_decoder_refuses_is_refused_in_rows(body: bytes) -> None:
    """Python's own parser is tried then, as with a small answer."""
    with pytest.raises(ValueError, match="JSON is malformed"):
        SHAPE.decode(body)
