"""What an unknown key was meant to be."""

from __future__ import annotations

import pytest

from exporter.config.key_names import meant_key, other_name


@pytest.mark.parametrize(
    ("key", "known", "meant"),
    [
        ("token", ["authorization", "url"], "authorization"),
        ("token", ["credentials", "type"], "credentials"),
        ("Help", ["help", "name"], "help"),
        ("headers", ["url"], ""),
        ("colour", ["url"], ""),
    ],
)
def test_a_key_is_meant_as_one_that_is_known_there(key: str, known: list[str], meant: str) -> None:
    """The name of another program counts only in the section that has what it means."""
    assert meant_key(key, known) == meant


def test_a_misspelt_key_is_no_name_of_another_program() -> None:
    """Only a name that is used elsewhere is one."""
    assert other_name("hepl", ["help"]) == ""
    assert other_name("description", ["help"]) == "help"
