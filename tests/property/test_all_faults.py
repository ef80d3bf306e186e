"""All faults of a configuration at once: none hides another, and none makes another."""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Final

from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.daemon.check import check
from exporter.model.errors import ConfigError

SCHEMA: Final = """
type Query { shops: [Shop!] sales(shop: ID!, from: String!): [Sale!] }
type Shop { id: ID! name: String! open: Boolean! }
type Sale { count: Int! status: Status }
enum Status { PAID OPEN }
"""
BASE: Final = """
sources:
  - {name: shop, url: "https://api.example/graphql", schema: shop.graphql, labels: {org: a}, values: {region: eu}}
queries:
  - name: shops
    document: "{ shops { id name open } }"
    rows: shops
    metrics: [{name: shop_open, help: O., value: open, from: boolean, labels: {id: id}}]
"""
SALES: Final = """
  - name: NAME
    for_each: {shop: shops}
    window: {length: 5m, align: 1m}
    document: "query ($shop: ID!, $from: String!) { sales(shop: $shop, from: $from) { count status } }"
    variables: {shop: "{{ shop.id }}", from: "{{ window.start }}"}
    rows: sales
    labels: {shop: "{{ shop.name }}"}
    metrics:
      - {name: NAME_sales, help: S., value: count}
      - {name: NAME_paid, help: P., value: status, map: {PAID: 1, OPEN: 0}}
"""
# What is replaced in a query, by what: first faults of form, then of substance.
MISTAKES: Final = (
    ("    rows: sales", "    rows: sales\n    intervall: 1m"),
    ("    rows: sales", "    rows: sales\n    interval: 60"),
    ("    rows: sales", "    rows: $.sales"),
    ("window: {length", "window: {size"),
    ("align: 1m", "align: 7m"),
    ("help: S.", "help: 5"),
    ("NAME_sales, help", "NAME-sales, help"),
    ("value: count", "value: [count]"),
    ("value: status, map", "value: status, from: bool, map"),
    ('labels: {shop: "{{', 'labels: {a-b: count, shop: "{{'),
    ("name: NAME\n", "name: my NAME\n"),
    ("    document: ", "    documnt: "),
    ("    rows: sales", "    rows: sales\n    timeout: 5m"),
    ("    rows: sales", "    rows: sales\n    audit: {after: 2h}"),
    ("variables: {shop: ", "variables: {shop: 1, shop: "),
    ("NAME_sales, help", "NAME_sales_total, help"),
    ("for_each: {shop: shops}", "for_each: {shop: stores}"),
    ("{ count status }", "{ cout status }"),
    ("value: count", "value: cnt"),
    ("    rows: sales", "    rows: sale"),
    ("shop.name", "shop.nme"),
    ("window.start", "windw.start"),
    ("PAID: 1", "PAYD: 1"),
    ("value: count", "value: status"),
    ("NAME_sales, help: S.", "shop_open, help: Other."),
    ("query ($shop: ID!, ", "query ($shop: ID!, $more: Int!, "),
    ("{ count status } }", "{ count status }"),
    ('labels: {shop: "{{', 'labels: {owner: {lookup: owners, key: count, field: x}, shop: "{{'),
    ("value: count", "value: count, missing: {rows_of: nothing, labels: {shop: id}}"),
    ("variables: {shop: ", 'variables: {extra: "{{ source.none }}", shop: '),
)


VARYING: Final = re.compile(r"(queries|sources|lookups)\[\d+\]|on line \d+( of [^;]+)?|one of: .*")


def said(text: str, further: str = "") -> Counter[str]:
    """What is wrong with a configuration, each without its line and the number of its query."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "c.yaml")
        file.write_text(text)
        Path(folder, "more.yaml").write_text(further)
        Path(folder, "shop.graphql").write_text(SCHEMA)
        try:
            check(file, {})
        except ConfigError as error:
            lines = [(problem.file, problem.line or 0) for problem in error.problems]
            assert lines == sorted(lines)
            found = [f"{problem.key}: {problem.wrong}; {problem.remedy}" for problem in error.problems]
            return Counter(VARYING.sub("", one) for one in found)
    return Counter()


def query(number: int) -> str:
    """A query with a mistake of that number."""
    was, written = MISTAKES[number]
    assert was in SALES
    return SALES.replace(was, written, 1).replace("NAME", f"q{number}")


@cache
def alone(number: int) -> Counter[str]:
    found = said(BASE + query(number))
    assert found, MISTAKES[number]
    return found


@settings(max_examples=10, deadline=None)
@given(st.permutations(range(len(MISTAKES))), st.integers(2, len(MISTAKES)), st.booleans())
def test_faults_beside_each_other_are_all_told(order: list[int], count: int, in_further_file: bool) -> None:
    """Each fault is told as if it were the only one, in files of their own too."""
    chosen = order[:count]
    queries = "".join(map(query, chosen))
    found = (
        said(f"{BASE}query_files: [more.yaml]\n", f"queries:\n{queries}") if in_further_file else said(BASE + queries)
    )
    assert found == sum((alone(number) for number in chosen), Counter())


def test_a_file_that_is_no_yaml_hides_no_fault_of_another() -> None:
    """What the broken file may have is not said to be missing."""
    fed = query(17).replace("shop: shops", "shop: elsewhere")
    found = said(BASE + fed + "query_files: [more.yaml]\n", "queries: [\n")
    assert [one.partition(";")[0] for one in sorted(found)] == [
        ".document: Cannot query field 'cout' on type 'Sale'",
        ": not valid YAML: while parsing a flow node, did not find expected node content",
    ]
