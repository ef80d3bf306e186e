"""Patterns of RE2: a part of a text, in a time that no text can make long."""

from __future__ import annotations

import pytest

from exporter.model.pattern import LONGEST_TEXT, parse_pattern


@pytest.mark.parametrize(
    ("pattern", "text", "part"),
    [
        ("load: ([0-9.]+)", "up 3 days, load: 0.52, 0.4", "0.52"),
        ("([0-9]+) of [0-9]+", "7 of 12 and 8 of 9", "7"),
        ("^([0-9]+)$", "7 of 12", None),
        ("(?i)(?:ok|fine) (x?)", "FINE ", ""),
        ("a(b)?", "a", None),
        ("größe=(.)", "größe=µ", "µ"),
    ],
)
def test_the_group_is_the_part_that_is_taken(pattern: str, text: str, part: str | None) -> None:
    """The first place where the pattern fits counts; a group that took no part is none."""
    assert parse_pattern(pattern).part(text) == part


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("(a", "not a pattern of RE2; see its syntax, which Prometheus has, too"),
        (r"(a)\1", "not a pattern of RE2; see its syntax, which Prometheus has, too"),
        ("(?=a)(b)", "not a pattern of RE2; see its syntax, which Prometheus has, too"),
        ("((((((a{1000}){1000}){1000})))))", "not a pattern of RE2; see its syntax, which Prometheus has, too"),
        ("a", "a pattern has one group, the part that is taken; write (…) once, and (?:…) for others"),
        ("(a)(b)", "a pattern has one group, the part that is taken; write (…) once, and (?:…) for others"),
    ],
)
def test_what_is_no_pattern_with_one_group_is_refused(pattern: str, said: str) -> None:
    """What RE2 does not have, such as references back, and more or fewer groups."""
    with pytest.raises(ValueError) as refused:  # noqa: PT011 - the text is compared
        parse_pattern(pattern)
    assert str(refused.value) == said


def test_no_text_makes_a_pattern_slow() -> None:
    """A pattern that other engines take years for; a text that is longer than any value is not searched."""
    pattern = parse_pattern("((?:a*)*(?:a*)*.*.*.*)b$")
    assert pattern.part("a" * LONGEST_TEXT) is None
    assert parse_pattern("(a)").part("a" * (LONGEST_TEXT + 1)) is None
