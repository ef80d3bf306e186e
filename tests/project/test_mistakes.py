"""What `--config.check` says of the mistakes that people make most."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from exporter.daemon.check import check
from exporter.model.errors import ConfigError
from tests.support.configurations import ROOT

FILE: Final = yaml.safe_load((ROOT / "tests/data/config/mistakes.yaml").read_text("utf-8"))
GOOD: Final[str] = FILE["good"]
SECTIONS: Final = {
    "EVERYTHING": GOOD,
    "SOURCES": GOOD[: GOOD.index("queries:")],
    "QUERIES": GOOD[GOOD.index("queries:") :],
}
# said by graphql-core, which gives no remedy for what a schema and a document have in conflict
WITHOUT_REMEDY: Final = re.compile(r"Argument '.*' is required|Variable '.*' of type '.*' used in position")


def said(folder: Path, text: str, schema: str = FILE["schema"]) -> list[str]:
    """Every problem of a configuration, without the name of its file."""
    file = folder / "config.yaml"
    file.write_text(text)
    (folder / "shop.graphql").write_text(schema)
    try:
        found = check(file, {})
    except ConfigError as error:
        problems = error.problems
    else:
        problems = (*found.unmet, *found.plan.warnings)
    return [str(problem).removeprefix(f"{file}:").replace(f"{folder}/", "") for problem in problems]


@pytest.mark.parametrize("one", FILE["mistakes"], ids=lambda one: str(one["mistake"]))
def test_a_mistake_is_told_with_its_line_its_key_and_its_remedy(tmp_path: Path, one: dict[str, Any]) -> None:
    """Whoever makes one of these mistakes reads exactly this."""
    was = SECTIONS.get(one["was"], one["was"])
    assert was in GOOD
    assert said(tmp_path, GOOD.replace(was, one["written"], 1)) == one["says"]
    for line in one["says"]:
        assert re.match(r"\d+: ", line)
        assert "; " in line or WITHOUT_REMEDY.search(line), f"no remedy: {line}"


IN_JSON: Final = FILE["in_json"]


@pytest.mark.parametrize("one", IN_JSON["mistakes"], ids=lambda one: str(one["mistake"]))
def test_a_mistake_beside_paths_into_json_is_told_once(tmp_path: Path, one: dict[str, Any]) -> None:
    """A fault that hides what the document selects makes no other line of the configuration wrong."""
    assert one["was"] in IN_JSON["good"]
    text = IN_JSON["good"].replace(one["was"], one["written"], 1)
    assert said(tmp_path, text, IN_JSON["schema"]) == one["says"]


def test_the_configuration_of_paths_into_json_is_good(tmp_path: Path) -> None:
    """What the mistakes are made in has none."""
    assert said(tmp_path, IN_JSON["good"], IN_JSON["schema"]) == []


def test_there_are_a_hundred_and_one_mistakes(tmp_path: Path) -> None:
    """Each is another one, and the configuration that they are made in is good."""
    assert said(tmp_path, GOOD) == []
    changes = {(one["was"], one["written"]) for one in FILE["mistakes"]}
    assert len(changes) == len(FILE["mistakes"]) >= 101
