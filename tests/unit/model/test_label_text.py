"""What a label's text can be made into: there is a text for every text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.model.label_text import TextChange, TextForm, host
from exporter.model.pattern import parse_pattern


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("https://Shop.Example:8443/a?b=c", "shop.example"),
        ("http://user:pass@shop.example", "shop.example"),
        ("ws://[2001:DB8::1]:80/", "2001:db8::1"),
        ("shop.example/a", ""),
        ("http://[::1", ""),
        ("", ""),
    ],
)
def test_the_host_of_a_url(url: str, found: str) -> None:
    """Without its port, its user and its brackets; what is no URL has none."""
    assert host(url) == found


@pytest.mark.parametrize(("text", "part"), [("api-V2-x", "v2"), ("V1", "v1"), ("none", ""), ("", "")])
def test_a_part_of_a_text(text: str, part: str) -> None:
    """What the group of the pattern fits first, and then the form; empty where it fits nowhere."""
    assert TextChange(TextForm.LOWER, parse_pattern("(V[0-9]+)")).of(text) == part


@given(st.text(), st.sampled_from([None, *TextForm]))
def test_every_text_has_a_form(text: str, form: TextForm | None) -> None:
    """No text of an API can make a poll fail here."""
    assert isinstance(TextChange(form).of(text), str)
