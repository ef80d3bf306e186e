"""The documents: links lead somewhere, every reason is explained, every example of a configuration loads."""

from __future__ import annotations

import ast
import re
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Final

import pytest
import yaml

from exporter.daemon.check import check
from exporter.model.errors import Reason
from tests.support.configurations import ROOT

DOCUMENTS: Final = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "grafana" / "README.md"])
LINK: Final = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING: Final = re.compile(r"^#+ (.+)$", re.MULTILINE)
CODE: Final = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)
YAML_BLOCK: Final = re.compile(r"^```yaml\n(.*?)^```", re.MULTILINE | re.DOTALL)
HEADS: Final = ("By reason", "At the start")
REFERENCES: Final = ("configuration", "metrics", "reliability", "performance", "runbook", "choreo-operations")
WRITTEN_BY_SCRIPT: Final = re.compile(r"<!-- (\w+): written by .*?<!-- end of \1 -->", re.DOTALL)
WORD: Final = re.compile(r"\S*\w\S*")
MOST_WORDS: Final = 8000  # of all guides
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


def guides() -> list[Path]:
    """What people read from top to bottom: the documents without references and licences."""
    files = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
    return [file for file in files if file.stem not in (*REFERENCES, "LICENSE")]


def words(text: str) -> int:
    """The number of words in prose and tables, without code blocks and without what a script writes."""
    return len(WORD.findall(WRITTEN_BY_SCRIPT.sub("", CODE.sub("", text))))


def test_the_guides_are_short() -> None:
    """A new user can read all guides in an hour: more detail belongs in a reference."""
    counts = {relative(file): words(file.read_text("utf-8")) for file in guides()}
    assert sum(counts.values()) <= MOST_WORDS, counts


def test_words_are_counted() -> None:
    """Code, generated parts and the lines of a table are not words."""
    text = "One `two`.\n\n| three | - |\n| --- | --- |\n\n```sh\nno\n```\n<!-- x: written by y -->no<!-- end of x -->\n"
    assert words(text) == 3


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
    found = check(file, dict.fromkeys(re.findall(r"\$\{(\w+)\}", block), "any"))
    assert found.plan.queries


# What stands in a quoted message for something else: a word in capitals, a letter, a number, a word that is told on.
STANDS_FOR: Final = re.compile(
    r"\b(?:(?:HOST|PORT|FILE|LINE|KEY|NAME|FAMILY)(?::(?:PORT|LINE))?|[xyzY]|\d+ s|\d+|token(?= endpoint)"
    r"|[a-z]+_[a-z_]+)\b|…"
)


def quoted_messages() -> list[str]:
    """What the program says, as the tables by reason and of the start quote it."""
    text = (ROOT / "docs" / "troubleshooting.md").read_text("utf-8")
    by_reason, at_the_start = (text.partition(f"## {head}\n")[2].partition("\n## ")[0] for head in HEADS)
    cells = re.findall(r"^\| `\w+` \| (.+) \| .+ \|$", by_reason, re.MULTILINE)
    cells += re.findall(r"^\| (`.+`) \| .+ \|$", at_the_start, re.MULTILINE)
    return [quoted for cell in cells for quoted in re.findall(r"`([^`]+)`", cell)]


@cache
def told_texts() -> tuple[str, ...]:
    """All texts in the program, with {} for what is put in."""
    texts = []
    for file in (ROOT / "exporter").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(node.value)
            elif isinstance(node, ast.JoinedStr):
                texts.append("".join(str(p.value) if isinstance(p, ast.Constant) else "{}" for p in node.values))
    return tuple(texts)


@cache
def stated_errors() -> tuple[str, ...]:
    """The errors of the faulty configurations, which tests/unit holds to be what the program says."""
    files = (ROOT / "tests" / "data" / "config" / "bad").glob("*.yaml")
    lines = (line for file in files for line in file.read_text("utf-8", "replace").splitlines())
    return tuple(line for line in lines if line.startswith("# error"))


def pattern(message: str, put_in: str) -> str:
    """What finds a quoted message where that pattern stands for what is put in."""
    ends = [0, *(end for match in STANDS_FOR.finditer(message) for end in match.span()), len(message)]
    parts = [re.escape(message[start:end]) for start, end in pairwise(ends)]
    return "".join(f"(?:{put_in}|{part})" if number % 2 else part for number, part in enumerate(parts))


@pytest.mark.parametrize("message", sorted(set(quoted_messages())))
def test_a_message_that_is_explained_can_be_met(message: str) -> None:
    """Whoever looks for what the program said finds it in the words that the program has."""
    in_code, in_words = pattern(message, r"\{\}(?::\{\})?"), pattern(message, r"\S+?")
    assert any(re.search(in_code, text) for text in told_texts()) or any(
        re.search(in_words, text) for text in stated_errors()
    )


def test_messages_are_found_in_the_document() -> None:
    """The test above has something to look for, in both tables."""
    assert {"the connection was reset", "cannot listen"} <= set(quoted_messages())
