"""What a label's text can be made into: there is a text for every text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.model.label_text import TextChange, TextForm, host


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


@given(st.text(), st.sampled_from([None, *TextForm]))
def test_every_text_has_a_form(text: str, form: TextForm | None) -> None:
    """No text of an API can make a poll fail here."""
    assert isinstance(TextChange(form).of(text), str)
