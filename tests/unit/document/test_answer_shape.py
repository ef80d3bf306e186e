"""What reads the answers to a document: objects with the keys that are used, and nothing else of an answer."""

from __future__ import annotations

import json
from typing import Any

import pytest

from exporter.document.aliases import alias_prefix
from exporter.document.answer_shape import AnswerShape, attribute
from exporter.model.outcome import ABSENT

SHAPE = AnswerShape([("org", "name"), ("org", "apis", "id"), ("n",)], max_values=100)


def read(content: Any, shape: AnswerShape = SHAPE) -> Any:
    """An answer as the decoder gives it; it is the same if any JSON was read before."""
    found = shape.decode(json.dumps(content).encode())
    assert tree(found) == tree(shape.convert(content))
    return found


def tree(node: Any) -> Any:
    """An answer's objects as mappings, without what is absent."""
    if isinstance(node, list):
        return [tree(item) for item in node]
    if hasattr(node, "__struct_fields__"):
        values = {name: getattr(node, name) for name in node.__struct_fields__}
        return {name.removeprefix("f_"): tree(value) for name, value in values.items() if value is not ABSENT}
    return node


def test_the_keys_that_are_used_are_read() -> None:
    """Others are skipped, at every depth, whatever they hold."""
    content = {"data": {"org": {"name": "Acme", "apis": [{"id": 1, "big": {"x": []}}], "y": 1}, "z": [[1]], "n": 2}}
    assert tree(read(content)) == {"data": {"org": {"name": "Acme", "apis": [{"id": 1}]}, "n": 2}}


def test_an_absent_key_is_not_null() -> None:
    """An answer without data is told from one whose data is null, and so is every key in it."""
    assert read({}).data is ABSENT
    assert read({"data": None}).data is None
    assert read({"data": {}}).errors is ABSENT
    assert getattr(read({"data": {"n": None}}).data, attribute("n")) is None
    assert getattr(read({"data": {}}).data, attribute("n")) is ABSENT


@pytest.mark.parametrize("n", [None, True, 5, 2.5, "text", [1, "a", None], [[[["deep"]]]]])
def test_a_value_is_not_judged(n: Any) -> None:
    """A scalar, null, or any list of them is left to whoever knows what it should be."""
    assert tree(read({"data": {"n": n}})) == {"data": {"n": n}}


def test_nothing_is_kept_of_an_object_where_a_scalar_belongs() -> None:
    """It stays an object, so that it is not taken for a value."""
    assert tree(read({"data": {"n": {"a": 1}}})) == {"data": {"n": {}}}
    assert tree(read({"data": {"n": [{"a": 1}]}})) == {"data": {"n": [{}]}}


@pytest.mark.parametrize("org", [None, 5, "x", [], [{"name": "a"}], [[{"name": "a"}, None]], [[[{"name": "a"}]]]])
def test_an_object_may_be_what_an_answer_makes_of_it(org: Any) -> None:
    """Null, a scalar, and lists of it are read as they are."""
    assert tree(read({"data": {"org": org}})) == {"data": {"org": org}}


def test_errors_are_read_beside_the_data() -> None:
    """Message, path and the extensions that say more of it, and nothing else of them."""
    error = {"message": "no", "path": ["org", 0], "extensions": {"secret": 1}, "locations": [{"line": 1}]}
    assert tree(read({"data": None, "errors": [error]})) == {
        "data": None,
        "errors": [{"message": "no", "path": ["org", 0], "extensions": {}}],
    }
    assert tree(read({"errors": "no"})) == {"errors": "no"}


def test_what_is_whole_is_read_as_any_json() -> None:
    """Rows that other queries refer to keep their objects."""
    shape = AnswerShape([("org", "apis", "id")], [("org", "apis", "tags")], max_values=100)
    tags = {"a": [1, {"b": None}]}
    found = read({"data": {"org": {"apis": [{"id": 1, "tags": tags, "n": 2}]}}}, shape)
    assert tree(found) == {"data": {"org": {"apis": [{"id": 1, "tags": tags}]}}}
    only = AnswerShape([], [("org",)], max_values=100)
    assert tree(read({"data": {"org": tags, "n": 1}}, only)) == {"data": {"org": tags}}


@pytest.mark.parametrize("key", ["__class__", "f_n", "__typename", "n", "class", "ünï"])
def test_any_response_key_is_read(key: str) -> None:
    """A key that means something in Python is a key like any other."""
    shape = AnswerShape([(key,), ("a", key)], max_values=10)
    found = shape.decode(json.dumps({"data": {key: 1, "a": {key: 2}}}).encode())
    assert getattr(found.data, attribute(key)) == 1
    assert getattr(getattr(found.data, attribute("a")), attribute(key)) == 2


@pytest.mark.parametrize("body", [b"", b"{", b"no JSON", b'{"data": NaN}', b'{"data": {"n": 1e999}}', b"[1]", b"5"])
def test_what_is_no_answer_is_refused(body: bytes) -> None:
    """So is JSON that only Python's own parser reads."""
    with pytest.raises(ValueError):  # noqa: PT011 - the words are msgspec's
        SHAPE.decode(body)


def test_an_answer_that_is_nested_too_deeply_is_refused() -> None:
    """The process does not fall."""
    with pytest.raises((RecursionError, ValueError)):
        SHAPE.decode(b'{"data": {"n": ' + b"[" * 100_000 + b"]" * 100_000 + b"}}")


def test_data_that_was_read_before_is_taken() -> None:
    """An answer that came from somewhere else becomes the same objects."""
    assert tree(SHAPE.data({"n": 1, "other": 2})) == {"n": 1}
    assert SHAPE.data(None) is None


def test_a_pack_is_read_with_the_alias_of_each_call() -> None:
    """It may have as many values as its calls together, and each call gets its own data."""
    pack = SHAPE.in_pack(2)
    first, second = alias_prefix(0), alias_prefix(1)
    content = {"data": {f"{first}n": 1, f"{second}n": 2, f"{first}org": {"name": "a"}, f"{second}org": None, "n": 9}}
    data = read(content, pack).data
    assert [tree(SHAPE.unpack(data, position)) for position in range(2)] == [
        {"n": 1, "org": {"name": "a"}},
        {"n": 2, "org": None},
    ]
    assert tree(SHAPE.unpack(read({"data": {f"{second}n": 2}}, pack).data, 0)) == {}
    assert (pack.max_values, SHAPE.max_values) == (200, 100)


def test_a_pack_reads_whole_values_too() -> None:
    """Exports are the same in a pack and alone; the reason of a limit stays."""
    shape = AnswerShape([], [("org",)], max_values=10, max_values_reason="10 rows")
    pack = shape.in_pack(3)
    data = pack.decode(json.dumps({"data": {f"{alias_prefix(2)}org": {"a": 1}}}).encode()).data
    assert tree(shape.unpack(data, 2)) == {"org": {"a": 1}}
    assert pack.max_values_reason == "10 rows"


def test_queries_that_read_the_same_share_what_reads_it() -> None:
    """A decoder is made once for the same keys, and a pack of a size once for a query."""
    same = AnswerShape([("org", "name"), ("org", "apis", "id"), ("n",)], max_values=5)
    assert type(read({"data": {}}).data) is type(read({"data": {}}, same).data)
    assert SHAPE.in_pack(4) is SHAPE.in_pack(4)
    assert SHAPE.in_pack(4) is not SHAPE.in_pack(5)


def test_the_limits_are_those_that_were_given() -> None:
    """Whoever reads the answer holds it against them."""
    shape = AnswerShape([("n",)], max_values=7, max_values_reason="why", in_pages=True)
    assert (shape.max_values, shape.max_values_reason, shape.in_pages) == (7, "why", True)
    assert (SHAPE.max_values_reason, SHAPE.in_pages) == ("", False)
