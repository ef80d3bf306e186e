"""The words of `map` and `states` against the type of their field, both ways."""

from __future__ import annotations

from typing import Any

import pytest

from exporter.config.metric import Metric
from exporter.document.document import FieldType
from exporter.plan.words import omissions, word_problems

PLACE = ("queries", 0, "metrics", 0)
KIND = FieldType("Kind", leaf=True, enum_values=("UP", "DOWN", "DEGRADED"))
BOOLEAN = FieldType("Boolean", leaf=True)
INT = FieldType("Int", leaf=True)


def metric(**keys: Any) -> Metric:
    """A metric of a field `kind`."""
    return Metric.model_validate({"name": "x", "help": "X.", "value": "kind", **keys})


@pytest.mark.parametrize(
    ("keys", "kind"),
    [
        ({"map": {"UP": 1, "DOWN": 0}}, KIND),
        ({"states": ["UP", "DEGRADED"]}, KIND),
        ({"map": {"true": 1, "false": 0}}, BOOLEAN),
        ({"map": {"1": 5, "2.5": 6}}, INT),
        ({"map": {"anything": 1}}, FieldType("String", leaf=True)),
        ({}, KIND),
    ],
)
def test_words_that_the_field_may_be_are_taken(keys: dict[str, Any], kind: FieldType) -> None:
    """A word of the enum, true and false, a number, and any text of a String are fine."""
    assert not list(word_problems(metric(**keys), kind, PLACE))


@pytest.mark.parametrize(
    ("keys", "kind", "key", "wrong", "remedy"),
    [
        ({"map": {"DWON": 0}}, KIND, ("map", "DWON"), "DWON is no word of Kind", "did you mean DOWN?"),
        ({"states": ["UP", "off"]}, KIND, ("states",), "off is no word of Kind", "it has: UP, DOWN, DEGRADED"),
        ({"map": {"yes": 1}}, BOOLEAN, ("map", "yes"), "yes is no word of Boolean", "it has: true, false"),
        ({"map": {"many": 1}}, INT, ("map", "many"), "many is no number, and kind is Int", "write numbers"),
    ],
)
def test_a_word_that_the_field_never_is_has_a_place_and_a_remedy(
    keys: dict[str, Any], kind: FieldType, key: tuple[str, ...], wrong: str, remedy: str
) -> None:
    """Each message has the key, what is wrong and what would be right."""
    (problem,) = word_problems(metric(**keys), kind, PLACE)
    assert (problem.place, problem.wrong, problem.remedy) == ((*PLACE, *key), wrong, remedy)


def test_every_wrong_word_is_reported() -> None:
    """Two slips in a map are two problems."""
    assert len(list(word_problems(metric(map={"A": 1, "UP": 2, "B": 3}), KIND, PLACE))) == 2


@pytest.mark.parametrize(
    ("keys", "key", "missing", "remedy"),
    [
        ({"map": {"UP": 1}}, "map", "DOWN, DEGRADED", "add a number for each, or default"),
        ({"states": ["UP", "DOWN"]}, "states", "DEGRADED", "add them to the list"),
    ],
)
def test_words_without_a_number_or_state_are_named(keys: dict[str, Any], key: str, missing: str, remedy: str) -> None:
    """Whoever forgets words of an enum hears which ones."""
    (problem,) = omissions(metric(**keys), KIND, PLACE)
    assert problem.place == (*PLACE, key)
    assert (problem.wrong, problem.remedy) == (f"leaves out words of kind: {missing}", remedy)


@pytest.mark.parametrize("keys", [{}, {"map": {"UP": 1}, "default": 0}, {"map": {"UP": 1, "DOWN": 0, "DEGRADED": 2}}])
def test_nothing_is_left_out_where_all_words_have_a_number(keys: dict[str, Any]) -> None:
    """A default says what the others are, and a metric without words needs none."""
    assert not list(omissions(metric(**keys), KIND, PLACE))


def test_a_long_enum_is_named_in_part() -> None:
    """A message stays readable where an enum has dozens of words."""
    kind = FieldType("Country", leaf=True, enum_values=tuple(f"C{index:02}" for index in range(13)))
    (problem,) = omissions(metric(map={"C00": 1}), kind, PLACE)
    assert problem.wrong.endswith("C09, C10 and 2 more")
