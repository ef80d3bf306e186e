"""Answers with odd rows and nulls, and labels of several fields: a running exporter against a real server."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import pytest

from tests.support.json_server import json_server
from tests.support.processes import Exporter, Snapshot, eventually

CONFIG: Final = """
sources:
  - {name: shop, url: URL, labels: {site: Main}}
lookups:
  - {name: team, table: {tools: {owner: Red}}}
queries:
  - name: skipping
    interval: 1s
    document: "{ skipping { sku price } }"
    rows: skipping
    on_bad_row: skip
    metrics: [{name: kept_price, help: Price., value: price, labels: {sku: sku}}]
  - name: failing
    interval: 1s
    document: "{ failing { sku price } }"
    rows: failing
    metrics: [{name: strict_price, help: Price., value: price, labels: {sku: sku}}]
  - name: publishing
    interval: 1s
    document: "{ publishing { name items { sku stock } } total }"
    rows: publishing.items
    metrics:
      - {name: open_stock, help: Stock., value: stock, labels: {shop: name, sku: sku}}
      - {name: open_orders, help: In all., value: total}
  - name: refusing
    interval: 1s
    document: "{ refusing { name items { sku stock } } }"
    rows: refusing.items
    on_null: fail
    metrics: [{name: strict_stock, help: Stock., value: stock, labels: {shop: name, sku: sku}}]
  - name: texts
    interval: 1s
    for_each: {place: [{name: Bern}]}
    document: "{ texts { owner { login } name url kind } }"
    rows: texts
    labels:
      repository: {of: [owner.login, {const: /}, name], as: lower}
      kind: {of: kind, as: upper}
      host: {of: url, as: host}
      version: {of: name, pattern: "-v([0-9]+)"}
      place: {of: ["{{ place.name }}", {const: "@"}, {lookup: team, key: kind, field: owner}]}
    metrics: [{name: repository_info, help: Repositories., value: 1}]
"""
GOOD_ROWS: Final = [{"sku": "a", "price": 1}, {"sku": "b", "price": 2}]
ODD_ROWS: Final = [
    {"sku": "a", "price": 10},
    {"sku": "b"},  # lacks a field
    {"sku": "c", "price": {"net": 2}},  # an object where a value belongs
    {"sku": "a", "price": 11},  # the labels of the first
    {"sku": "d", "price": 4},
]
GOOD_SHOPS: Final = [{"name": "Bern", "items": [{"sku": "a", "stock": 4}]}]
TEXTS: Final = [
    {"owner": {"login": "Acme"}, "name": "Shop-v12", "url": "https://Git.Example:8443/acme/shop", "kind": "tools"},
    {"owner": None, "name": "Till", "url": None, "kind": "other"},
]


def answers(rows: list[Any], shops: Any) -> dict[str, Any]:
    """What the server has for each query."""
    return {
        "skipping": {"skipping": rows},
        "failing": {"failing": rows},
        "publishing": {"publishing": shops, "total": 7},
        "refusing": {"refusing": shops},
        "texts": {"texts": TEXTS},
    }


@dataclass(frozen=True)
class Course:
    """The page while the answers were good, odd, and good again, and the log of it all."""

    good: Snapshot
    odd: Snapshot
    again: Snapshot
    log: str


COUNTED: Final = ("rows_skipped", "nulls")  # the exporter's own metrics are made once a second, after the series


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Course]:
    """One exporter that polls the same server through the three times."""
    folder = tmp_path_factory.mktemp("odd")
    now = answers(GOOD_ROWS, GOOD_SHOPS)

    def answer(_: str, __: object, body: Any) -> Any:
        (name,) = [name for name in now if name in body["query"]]
        return {"data": now[name]}

    def up(exporter: Exporter) -> dict[str, float]:
        return {labels["query"]: value for labels, value in exporter.samples("insights_exporter_query_up")}

    with json_server(answer) as url:
        (folder / "config.yaml").write_text(CONFIG.replace("URL", url))
        with Exporter(folder / "config.yaml", folder / "log") as exporter:
            exporter.wait_until_ready()
            good = Snapshot(exporter.page())
            now = answers(ODD_ROWS, None)

            def odd() -> bool:
                failed = {name for name, value in up(exporter).items() if not value}
                gone = not exporter.samples("open_stock")
                counted = all(exporter.value(f"insights_exporter_query_{name}_total") for name in COUNTED)
                published = gone and exporter.value("kept_price", sku="d") == 4
                return failed == {"failing", "refusing"} and counted and published

            eventually(odd, "what the odd answers become")
            page = Snapshot(exporter.page())
            now = answers(GOOD_ROWS, GOOD_SHOPS)

            def again() -> bool:
                prices = exporter.value("kept_price", sku="b") == exporter.value("strict_price", sku="b") == 2
                published = prices and bool(exporter.samples("open_stock"))
                return all(up(exporter).values()) and published and "any more" in exporter.log

            eventually(again, "the good answers")
            yield Course(good, page, Snapshot(exporter.page()), exporter.log)


def test_an_odd_row_costs_a_row(course: Course) -> None:
    """With on_bad_row: skip the others are published, each left out is counted by its reason, and the first quoted."""
    assert {labels["sku"]: value for labels, value in course.odd.samples("kept_price")} == {"a": 10, "d": 4}
    skipped = course.odd.samples("insights_exporter_query_rows_skipped_total", query="skipping")
    assert {labels["reason"] for labels, value in skipped if value} == {
        "absent_field", "wrong_form", "duplicate_series"
    }  # fmt: skip
    assert len({value for _, value in skipped if value}) == 1  # one of each in each poll
    assert course.odd.total("insights_exporter_query_up", query="skipping") == 1
    (line, *_) = [line for line in course.log.splitlines() if "rows of an answer were left out" in line]
    assert "query=skipping" in line
    assert r"{\"sku\":\"b\"}" in line
    assert not course.good.total("insights_exporter_query_rows_skipped_total")


def test_without_a_word_an_odd_row_keeps_the_old_values(course: Course) -> None:
    """Nothing of such an answer is taken, the query is down, and good answers bring it back."""
    for page in (course.good, course.odd, course.again):
        assert {labels["sku"]: value for labels, value in page.samples("strict_price")} == {"a": 1, "b": 2}
    assert course.odd.total("insights_exporter_query_up", query="failing") == 0
    assert course.odd.total("insights_exporter_poll_failures_total", query="failing", reason="schema") >= 1
    assert not course.odd.samples("insights_exporter_query_rows_skipped_total", query="failing", reason="absent_field")


def test_a_null_takes_the_series_and_is_counted_and_said(course: Course) -> None:
    """The rest of the answer is published, and the log says when the null began and when it ended."""
    assert len(course.good.samples("open_stock")) == len(course.again.samples("open_stock")) == 1
    assert not course.odd.samples("open_stock")
    assert course.odd.total("open_orders") == 7
    assert course.odd.total("insights_exporter_query_up", query="publishing") == 1
    assert course.odd.total("insights_exporter_query_nulls_total", query="publishing") >= 1
    assert not course.good.total("insights_exporter_query_nulls_total")
    lines = [line for line in course.log.splitlines() if "null" in line and "query=publishing" in line]
    began, ended = lines
    assert "level=warning" in began
    assert "path=publishing" in began
    assert "any more" in ended


def test_a_null_that_is_a_failure_keeps_the_old_values(course: Course) -> None:
    """With on_null: fail the series stay, the query is down, and the failure names the path."""
    for page in (course.good, course.odd, course.again):
        assert page.samples("strict_stock") == [({"site": "Main", "shop": "Bern", "sku": "a"}, 4)]
    assert course.odd.total("insights_exporter_query_up", query="refusing") == 0
    assert course.odd.total("insights_exporter_poll_failures_total", query="refusing", reason="schema") >= 1
    assert "refusing is null where rows are expected" in course.log


def test_labels_are_made_of_several_fields(course: Course) -> None:
    """Fields, constants, references and lookups are joined; a part, a host, and either case are taken of them."""
    found = [labels for labels, _ in course.good.samples("repository_info")]
    assert sorted(found, key=lambda labels: labels["repository"], reverse=True) == [
        {
            "site": "Main", "repository": "acme/shop-v12", "kind": "TOOLS", "host": "git.example", "version": "12",
            "place": "Bern@Red",
        },
        {"site": "Main", "repository": "/till", "kind": "OTHER", "host": "", "version": "", "place": "Bern@"},
    ]  # fmt: skip
