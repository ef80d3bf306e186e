"""Texts that hold JSON are opened where they are declared, and nowhere else; hostile ones do no harm."""

from __future__ import annotations

import json
from typing import Any

import pytest

from exporter.document.aliases import alias_prefix
from exporter.document.answer_shape import AnswerShape
from exporter.document.json_texts import JsonTexts, NotJson, Way, open_texts
from exporter.model.errors import Reason, UpstreamFailure
from exporter.model.response_path import Mark

EVERY = Mark.EVERY
MOST = 1000


def opened(data: Any, *ways: Way, most: int = MOST) -> Any:
    return open_texts(data, ways, JsonTexts(most, "by the test", str))


@pytest.mark.parametrize(
    ("text", "content"),
    [
        ('{"a": [1, null]}', {"a": [1, None]}),
        ('"x"', "x"),
        (r'["\ud800", "\\ud800", "\ud83d\ude00"]', ["\ufffd", r"\ud800", "\U0001f600"]),
        (r'{"\udfff": 1}', {"\ufffd": 1}),
        ("  ", None),
        ("", None),
        ("null", None),
        ('{"a": NaN}', "NaN"),
        ('"\\ud800"', "\ufffd"),
    ],
)
def test_a_text_is_what_it_holds(text: str, content: Any) -> None:
    """Whatever the API's own answers may be; an empty text is null."""
    found = opened({"t": text}, ("t",))["t"]
    assert str(found["a"]).lower() == "nan" if content == "NaN" else found == content


@pytest.mark.parametrize("text", ["{", "{oops}", '{"a": 1} x', "[" * 100_000, "9" * 5000 + "x", "'a'"])
def test_a_text_that_is_no_json_is_known_as_that(text: str) -> None:
    """It is neither null nor an object without keys; a depth that no parser takes is the same."""
    found = opened({"t": text}, ("t",), most=10**6)["t"]
    assert isinstance(found, NotJson)
    assert found.text == text


def test_what_is_no_text_stays() -> None:
    """An API may send an object there, a number or null."""
    data = {"t": [{"a": 1}, 5, None, True]}
    assert opened(data, ("t",)) == data


def test_texts_are_opened_in_lists_in_maps_and_in_other_texts() -> None:
    """Wherever the way leads; a text beside it stays a text."""
    data = {
        "l": ["1", "[2]"],
        "m": {"x": {"b": "3"}, "y": {"b": "{}", "c": "4"}},
        "o": json.dumps({"i": "{}"}),
        "n": "6",
    }
    found = opened(data, ("l",), ("m", EVERY, "b"), ("o",), ("o", "i"))
    assert found == {"l": [1, [2]], "m": {"x": {"b": 3}, "y": {"b": {}, "c": "4"}}, "o": {"i": {}}, "n": "6"}
    assert data["l"] == ["1", "[2]"]  # the answer itself is as it came


def test_a_way_that_an_answer_does_not_have_opens_nothing() -> None:
    """Nulls and other forms are left to who reads them."""
    answers: list[Any] = [{}, {"m": None}, {"m": 5}, {"m": {"x": 5}}, {"m": {"x": {}}}, None, [[[[["1"]]]]]]
    for data in answers:
        assert opened(data, ("m", EVERY, "b"), ("l",)) == data


def test_more_values_than_an_answer_may_have_are_refused() -> None:
    """Also where the texts have them together, and where the answer writes them as escapes."""
    assert len(opened({"t": json.dumps([1] * 998)}, ("t",))["t"]) == 998
    for data in ({"t": json.dumps([1] * 1000)}, {"t": ["[1,2,3]"] * 251}):
        with pytest.raises(UpstreamFailure, match="more values than may be; 1000 are allowed: by the test") as refused:
            opened(data, ("t",))
        assert refused.value.reason is Reason.TOO_LARGE


def test_an_answer_is_read_with_its_texts_open() -> None:
    """However it came: by the decoder, as any JSON, or as one of several calls in one operation."""
    shape = AnswerShape([("o", "t"), ("n",)], [("o", "t")], max_values=100, texts=[("o", "t"), ("o", "t", "i")])
    content = {"data": {"o": [{"t": '{"a": 1, "i": "[2]"}'}, {"t": None}], "n": 1}}
    for found in (shape.decode(json.dumps(content).encode()), shape.convert(content)):
        assert [row.f_t for row in found.data.f_o] == [{"a": 1, "i": [2]}, None]
    answer = {alias_prefix(at) + "o": {"t": text} for at, text in enumerate(("5", '{"i": "[]"}'))}
    pack = shape.in_pack(2).decode(json.dumps({"data": answer}).encode())
    calls: list[Any] = [shape.unpack(pack.data, at) for at in range(2)]
    assert [call.f_o.f_t for call in calls] == [5, {"i": []}]
