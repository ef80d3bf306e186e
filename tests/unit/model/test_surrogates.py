"""Halves of surrogate pairs in JSON."""

from __future__ import annotations

import json

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
