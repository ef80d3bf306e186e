"""Paths: whatever can be written comes back as written; whatever cannot is refused and nothing worse."""

from __future__ import annotations

from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from exporter.model.response_path import ResponsePath, parse_path, path_text

names = st.from_regex(r"[_A-Za-z][_0-9A-Za-z]{0,8}", fullmatch=True)
indexes = st.integers(0, 999_999)
steps = st.builds(lambda first, rest: (first, *rest), names, st.lists(names | indexes, max_size=6))


@given(steps, st.booleans())
def test_every_path_is_read_back_as_it_is_printed(written: tuple[str | int, ...], innermost: bool) -> None:
    """A path in a message can be copied into the configuration and means the same."""
    path = ResponsePath(written, innermost)
    assert parse_path(str(path)) == path
    assert str(parse_path(path_text(written))) == path_text(written)


@given(st.text(max_size=20) | st.text(alphabet="ab.[]01 -$", max_size=12))
def test_any_text_is_a_path_or_is_refused(text: str) -> None:
    """No text is misread: what is taken as a path prints as that text (but for zeros before an index)."""
    with suppress(ValueError):
        path = parse_path(text)
        assert parse_path(str(path)) == path
        assert str(path).replace("0", "") == text.replace("0", "")
