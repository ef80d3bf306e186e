"""Response paths are read as users write them, and refused with a remedy."""

from __future__ import annotations

import pytest

from exporter.model.response_path import Key, Mark, ResponsePath, Step, parse_path


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("usage", ("usage",)),
        ("usage.count", ("usage", "count")),
        ("tags[0].name", ("tags", 0, "name")),
        ("grid[1][20]", ("grid", 1, 20)),
        ("_private.__typename", ("_private", "__typename")),
        ("stats.*", ("stats", Mark.EVERY)),
        ("grid.*.*", ("grid", Mark.EVERY, Mark.EVERY)),
        ("tags[0].*.n", ("tags", 0, Mark.EVERY, "n")),
        ('a["*"].*.@key', ("a", Key("*"), Mark.EVERY, Mark.KEY)),
        ("@key", (Mark.KEY,)),
        ("rows.@key", ("rows", Mark.KEY)),
    ],
)
def test_names_joined_by_dots_and_indexes_are_a_path(text: str, steps: tuple[Step, ...]) -> None:
    """`usage.count` and `tags[0].name` mean the fields and the elements that they name."""
    assert parse_path(text) == ResponsePath(steps)
    assert str(parse_path(text)) == text


def test_a_dot_alone_is_the_row_itself() -> None:
    """`.` is the row, for answers that are lists of numbers or texts."""
    assert parse_path(".") == ResponsePath((), innermost=True)


def test_a_path_that_begins_with_a_dot_is_not_looked_up_outwards() -> None:
    """`.id` is the innermost `id`, whatever the parents select."""
    assert parse_path(".id") == ResponsePath(("id",), innermost=True)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "..",
        "a..b",
        "a.",
        "a b",
        "a-b",
        "1a",
        "a[",
        "a[-]",
        "a[--1]",
        "a[x]",
        "a.[0]",
        "a[0]b",
        "a\n",
        "a[٣]",
        "*",
        ".*",
        "a*",
        "a.**",
        "a.@key.b",
        "a@key",
        "a.@keys",
    ],
)
def test_what_is_not_a_path_is_refused_with_the_remedy(text: str) -> None:
    """A mistyped path is a load error that shows how a path is written."""
    with pytest.raises(ValueError, match=r"is not a response path; write names .* such as usage\.count"):
        parse_path(text)


@pytest.mark.parametrize("text", [".", ".id", "id", "usage.count", "tags[0].name", "grid[1][20]"])
def test_a_path_is_shown_as_it_was_written(text: str) -> None:
    """Messages show a path in the user's own spelling."""
    assert str(parse_path(text)) == text


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("$.a", r"leave out the \$; paths begin with a name"),
        ("a[]", "leave out the brackets; paths go through lists without them"),
        ("a[*].b", "leave out the brackets; paths go through lists without them"),
        ("{{ a }}", r"write it without \{\{ \}\}"),
    ],
)
def test_what_other_programs_call_a_path_has_its_own_remedy(text: str, remedy: str) -> None:
    """Whoever comes from JSONPath or from templates reads what to leave out."""
    with pytest.raises(ValueError, match=f"is not a response path; {remedy}"):
        parse_path(text)
