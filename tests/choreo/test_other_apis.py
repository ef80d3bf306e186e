"""Other GraphQL APIs, by configuration alone: cursor pages, a static bearer token, Basic authentication."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from tests.support.graphql_api import connection, graphql_api
from tests.support.processes import Exporter

SDL = """
type Query { orders(first: Int!, after: String): Orders! }
type Orders { edges: [Edge!]!, pageInfo: PageInfo! }
type Edge { node: Order! }
type PageInfo { hasNextPage: Boolean!, endCursor: String }
type Order { id: ID!, paid: Boolean!, total: Money! }
type Money { amount: String! }
"""
ORDERS: list[dict[str, Any]] = [
    {"id": f"o{number}", "total": {"amount": f"{number}.50"}, "paid": number % 2 == 0} for number in range(23)
]

CONFIG = """
sources:
  - name: shop
    url: URL
    WAY
queries:
  - name: orders
    interval: 30s
    document: |
      query ($first: Int!, $after: String) {
        orders(first: $first, after: $after) {
          edges { node { id paid total { amount } } }
          pageInfo { hasNextPage endCursor }
        }
      }
    pages: {size: 5, limit: first, cursor: after, info: orders.pageInfo}
    rows: orders.edges.node
    metrics:
      - {name: shop_order_amount, help: Amount., value: total.amount, from: string, labels: {id: id}}
      - {name: shop_order_paid, help: Whether it is paid., value: paid, from: boolean, labels: {id: id}}
"""


@pytest.mark.parametrize(
    ("way", "authorization"),
    [
        ("authorization: {credentials_file: token}", "Bearer test-bearer"),
        ("basic_auth: {username: ann, password: test-pass}", f"Basic {base64.b64encode(b'ann:test-pass').decode()}"),
        ("http_headers: {Authorization: test-bearer}", "test-bearer"),
    ],
)
def test_cursor_pages_behind_static_authentication(tmp_path: Path, way: str, authorization: str) -> None:
    """All pages are followed by their cursor; strings and booleans become numbers where the configuration says so."""
    (tmp_path / "token").write_text("test-bearer\n")
    config = tmp_path / "config.yaml"
    with graphql_api(SDL, {"orders": connection(ORDERS)}, authorization) as api:
        config.write_text(CONFIG.replace("URL", api.url).replace("WAY", way))
        with Exporter(config, tmp_path / "log") as exporter:
            exporter.wait_until_ready()
            amounts = {labels["id"]: value for labels, value in exporter.samples("shop_order_amount")}
            assert amounts == {order["id"]: float(order["total"]["amount"]) for order in ORDERS}, exporter.log
            assert exporter.value("shop_order_paid") == 12
            assert "test-bearer" not in exporter.log + exporter.page()
