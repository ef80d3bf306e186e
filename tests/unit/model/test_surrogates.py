"""Halves of surrogate pairs in JSON."""

from __future__ import annotations

import json
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.model.surrogates import without_lone_surrogates


@pytest.mark.parametrize(
    ("text", "content"),
    [
        (r'"\ud800"', "\ufffd"),
        (r'"\uDFFF x"', "\ufffd x"),
        (r'"\ud83d\ude00"', "\U0001f600"),
        (r'"\ud83d\ud83d\ude00"', "\ufffd\U0001f600"),
        (r'"\ude00\ud83d"', "\ufffd\ufffd"),
        (r'"\\ud800"', r"\ud800"),
        (r'"\\\ud800\n"', "\\\ufffd\n"),
        ('"x"', "x"),
    ],
)
def test_half_of_a_surrogate_pair_is_replaced(text: str, content: str) -> None:
    """Whole pairs are characters, and an escaped backslash begins no escape."""
    assert json.loads(without_lone_surrogates(text)) == content


@given(st.text(st.sampled_from("a\\u\ud800\udfff\U0001f600")))
def test_what_is_left_can_be_written(text: str) -> None:
    """Whatever an answer has, its page is UTF-8."""
    found = json.loads(without_lone_surrogates(json.dumps(text)))
    assert found.encode().decode() == found


@pytest.mark.parametrize("part", [r"\n", r"\\\ud800"])
def test_escapes_take_little_memory(part: str) -> None:
    """A text with one half of a pair in it, or thousands, does not become many times as much."""
    text = '"\\ud800' + part * (2**20 // len(part)) + '"'
    tracemalloc.start()
    try:
        found = without_lone_surrogates(text)
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert json.loads(found)[0] == "\ufffd"
    assert peak_bytes < 6 * len(text)
