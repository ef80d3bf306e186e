"""The examples of docs/any-api.md: what they show is what comes of them."""

from __future__ import annotations

import asyncio
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, cast

import pytest

from exporter.config.load import load
from exporter.exposition.lines import pieces
from exporter.model.outcome import Operation, Response
from exporter.model.samples import Json
from exporter.plan.operation import label_values, moment_at, targets
from exporter.plan.plan import Plan, QueryPlan
from exporter.plan.planner import plan
from exporter.polling.pagination import Conversation
from exporter.series.extraction import extract
from exporter.series.label_texts import Surroundings
from tests.support.configurations import ROOT
from tests.support.polls import Api

SECTION: Final = re.compile(r"^##+ (.+)$", re.MULTILINE)
BLOCK: Final = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
SOURCE: Final = 'sources: [{name: api, url: "https://api.example/graphql"SCHEMA}]\n'
NOW: Final = datetime(2026, 5, 4, 12, 9, tzinfo=UTC)


def examples() -> list[tuple[str, dict[str, str]]]:
    """The blocks of each example, by their kind, and the heading above them."""
    text = (ROOT / "docs" / "any-api.md").read_text("utf-8")
    pieces = SECTION.split(text)[1:]
    found = []
    for heading, section in zip(pieces[::2], pieces[1::2], strict=True):
        blocks: dict[str, str] = {}
        for kind, content in BLOCK.findall(section):
            blocks[kind] = content
            if kind == "text":
                found.append((heading, blocks))
                blocks = {}
    return found


def answers_to(query: QueryPlan, shown: Json) -> list[Json]:
    """What an example shows as the answers to a query: one, or a list of one for each page."""
    if not isinstance(shown, list):
        return [shown]
    pages = shown.pop(0)
    assert isinstance(pages, list), query.name
    return pages


def asked(query: QueryPlan, answers: list[Json]) -> list[Response]:
    """The responses that a poll of the query reads, which are all of these."""
    left = list(answers)

    def answer(_: Operation) -> Response:
        data = cast("dict[str, Json]", left.pop(0))
        return Response(data, extensions=data.get("extensions"))

    api = Api(answer)

    async def read() -> list[Response]:
        conversation = Conversation(query, api, None, 10.0, lambda: 0.0)
        return (await conversation.answer(Operation(query.document.text, {}))).responses

    responses = asyncio.run(read())
    assert not left, query.name
    return responses


def lines(made: Plan, answer: str) -> list[str]:
    """The lines of the page that come of an answer, which is that of each query."""
    data = json.loads(answer)
    rows: dict[str, tuple[object, ...]] = {}
    found: list[str] = []
    for query in made.queries:
        answers = answers_to(query, data)
        for target in targets(query, (), 1000):
            around = Surroundings(label_values(query.sources[0], target), rows=rows)  # type: ignore[arg-type]
            result = extract(query, asked(query, answers), around, moment_at(query, NOW, None))
            rows[query.name] = result.rows
            for samples in result.samples:
                found += b"".join(pieces(samples)).decode().splitlines()
    return found


def by_series(shown: list[str]) -> dict[str, float]:
    """The values of these lines by the name and labels before them, each of which stands once."""
    pairs = [line.rpartition(" ") for line in shown]
    assert len({series for series, _, _ in pairs}) == len(shown)
    return {series: float(value) for series, _, value in pairs}


@pytest.mark.parametrize(("heading", "blocks"), examples(), ids=lambda part: part if isinstance(part, str) else "")
def test_an_example_yields_what_it_shows(tmp_path: Path, heading: str, blocks: dict[str, str]) -> None:
    """Whoever copies an example gets the series that stand below it."""
    (tmp_path / "schema.graphql").write_text(blocks.get("graphql", ""))
    schema = f", schema: {tmp_path / 'schema.graphql'}" if "graphql" in blocks else ""
    file = tmp_path / "config.yaml"
    file.write_text(SOURCE.replace("SCHEMA", schema) + blocks["yaml"])
    made = plan(load(file, {}))
    assert not made.warnings, heading
    assert by_series(lines(made, blocks["json"])) == by_series(blocks["text"].splitlines()), heading
