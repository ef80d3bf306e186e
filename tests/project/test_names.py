"""Functions are named with verbs or nouns: `render`, `next_poll_at`; a participle (`rendered`) is the exception."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from fractions import Fraction
from typing import Final

import pytest

from tests.support.configurations import ROOT

MOST: Final = Fraction(1, 25)
ROOMS: Final = ("cli", "config", "document", "model", "plan", "series", "upstream")
# participles that do not end in -ed; without those that are verbs, too, such as put, read and set
_IRREGULAR: Final = """
    begun bought bound broken brought built caught chosen done drawn driven fed felt found forgotten given gone grown
    heard held hidden hung kept known laid led left lent lost made meant met paid risen said seen sent shown sold
    sought spent spoken stood taken taught thought thrown told understood won worn written
"""
IRREGULAR: Final = frozenset(_IRREGULAR.split())
NO_PARTICIPLES: Final = frozenset({"feed", "heed", "need", "proceed", "seed", "speed", "embed", "exceed"})


def is_participle(name: str) -> bool:
    """Whether a function's name begins with a participle."""
    word = name.strip("_").partition("_")[0]
    return word in IRREGULAR or (word.endswith("ed") and word not in NO_PARTICIPLES)


def function_names(room: str) -> Iterable[str]:
    for file in sorted((ROOT / "exporter" / room).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield node.name


@pytest.mark.parametrize("room", ROOMS)
def test_functions_are_named_with_verbs_and_nouns(room: str) -> None:
    """Whoever reads a call sees what it does or gives: of 25 functions at most one begins with a participle."""
    names = list(function_names(room))
    participles = [name for name in names if is_participle(name)]
    assert len(participles) <= MOST * len(names), ", ".join(participles)


def test_the_whole_program_is_named_with_verbs_and_nouns() -> None:
    """The same holds for all rooms together."""
    names = list(function_names("."))
    participles = [name for name in names if is_participle(name)]
    assert len(participles) <= MOST * len(names), ", ".join(participles)


@pytest.mark.parametrize("name", ["rendered", "_told", "found_feeders", "left_over", "_kept_span"])
def test_a_participle_is_seen(name: str) -> None:
    """A name that says what something became instead of what happens is counted, regular or not."""
    assert is_participle(name)


@pytest.mark.parametrize("name", ["render", "feed", "next_poll_at", "__init__", "_put", "read_token", "is_blocked"])
def test_verbs_and_nouns_are_none(name: str) -> None:
    """Names in the field's words are not counted."""
    assert not is_participle(name)
