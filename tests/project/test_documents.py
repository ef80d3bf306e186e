"""The documents: links lead somewhere, every reason is explained, every example of a configuration loads."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest
import yaml

from exporter.checking import checked
from exporter.errors import Reason
from tests.support.configurations import ROOT

DOCUMENTS: Final = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "grafana" / "README.md"])
LINK: Final = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING: Final = re.compile(r"^#+ (.+)$", re.MULTILINE)
CODE: Final = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)
YAML_BLOCK: Final = re.compile(r"^```yaml\n(.*?)^```", re.MULTILINE | re.DOTALL)
WITHOUT_SOURCES: Final = """\
sources: [{name: any, url: "https://localhost", schema: choreo, values: {org_id: any}}]
include: [choreo/names]
"""
WITHOUT_QUERIES: Final = "queries: [{name: any, document: '{ any }', rows: any}]\n"


def relative(file: Path) -> str:
    return str(file.relative_to(ROOT))


def anchors(file: Path) -> set[str]:
    """The names of a document's headings, as GitHub makes them."""
    headings = HEADING.findall(CODE.sub("", file.read_text("utf-8")))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=relative)
def test_every_link_leads_somewhere(document: Path) -> None:
    """Files that a document names are there, and so are headings."""
    broken = []
    for link in LINK.findall(CODE.sub("", document.read_text("utf-8"))):
        if "://" in link or link.startswith("mailto:"):
            continue
        name, _, anchor = link.partition("#")
        target = (document.parent / name).resolve() if name else document
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert not broken


def test_the_index_names_every_document() -> None:
    """Whoever begins at docs/README.md finds all of it."""
    index = (ROOT / "docs" / "README.md").read_text("utf-8")
    linked = {(ROOT / "docs" / link).resolve() for link in LINK.findall(index)}
    assert {file for file in (ROOT / "docs").glob("*.md") if file.name != "README.md"} <= linked


def test_every_reason_is_explained() -> None:
    """Whoever meets a reason in a log line or a label finds what it means and what to do."""
    text = (ROOT / "docs" / "troubleshooting.md").read_text("utf-8")
    rows = re.findall(r"^\| `(\w+)` \|.+\|.+\|$", text, re.MULTILINE)
    assert sorted(rows) == sorted(Reason)


def recipes() -> list[str]:
    """The pieces of a configuration in the recipes."""
    text = (ROOT / "docs" / "recipes.md").read_text("utf-8")
    return [block for block in YAML_BLOCK.findall(text) if not block.startswith("groups:")]


@pytest.mark.parametrize("block", recipes(), ids=lambda block: re.findall(r"name: (\w+)", block)[0])
def test_every_recipe_loads(block: str, tmp_path: Path) -> None:
    """What a recipe shows can be pasted: with the other half that it leaves out, it is without a fault."""
    sections = yaml.safe_load(block)
    file = tmp_path / "config.yaml"
    halves = "" if "sources" in sections else WITHOUT_SOURCES
    halves += "" if sections.keys() & {"queries", "include"} else WITHOUT_QUERIES
    file.write_text(halves + block)
    found = checked(file, dict.fromkeys(re.findall(r"\$\{(\w+)\}", block), "any"))
    assert found.plan.queries
