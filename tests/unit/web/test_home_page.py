"""The page for people: what it may load. What it says is in `test_pages.py` and `test_status_page.py`."""

from __future__ import annotations

import base64
import hashlib

from exporter.web.home_page import html_answer


def test_a_page_takes_nothing_for_its_own_but_what_is_named() -> None:
    """Styles and scripts by their hash; nothing is loaded, framed or kept."""
    style, script = "b {color: red}", "alert('ü')"
    answer = html_answer("<p>ü\ud800", styles=[style], scripts=[script])
    fields = dict(answer.fields)

    def source(text: str) -> str:
        return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

    assert fields[b"content-security-policy"].decode() == (
        f"default-src 'none'; style-src {source(style)}; script-src {source(script)};"
        " connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )
    assert fields[b"content-type"] == b"text/html; charset=utf-8"
    assert (fields[b"x-content-type-options"], fields[b"referrer-policy"]) == (b"nosniff", b"no-referrer")
    assert fields[b"cache-control"] == b"no-store"
    assert answer.body == "<p>ü?".encode()
    assert dict(html_answer("").fields)[b"content-security-policy"] == (
        b"default-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )
