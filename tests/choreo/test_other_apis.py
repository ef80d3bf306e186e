"""Other GraphQL APIs, by configuration alone: cursor pages, a static bearer token, Basic authentication."""

from __future__ import annotations

import base64
import signal
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from tests.support.graphql_api import connection, graphql_api
from tests.support.processes import Exporter, eventually, get

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


COUNTED = """
sources: [{name: shop, url: URL, authorization: {credentials: test-bearer}}]
queries:
  - name: today
    interval: 30s
    window: {length: 5m, delay: 2m}
    period: day
    document: "query ($from: String!) { sold(from: $from) { shop count seconds } }"
    variables: {from: "{{ period.start }}"}
    rows: sold
    labels: {shop: shop}
    metrics:
      - {name: shop_orders_total, type: counter, help: Orders since midnight., value: count}
      - {name: shop_busy_seconds_total, type: counter, help: Time with customers since midnight., value: seconds}
      - {name: shop_orders_last_seconds, help: Time of the last order., value: seconds}
"""


def openmetrics(exporter: Exporter) -> list[Metric]:
    """The page's own families of the shop, as Prometheus asks for them, through the parser of OpenMetrics."""
    answer = get(f"{exporter.url}/metrics", headers={"accept": "application/openmetrics-text; version=1.0.0"})
    assert answer.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    families = text_string_to_metric_families(answer.text)  # type: ignore[no-untyped-call]
    return [family for family in families if family.name.startswith("shop_")]


def test_openmetrics_says_when_a_counter_began(tmp_path: Path) -> None:
    """Whoever asks for OpenMetrics gets the start of the day with each counter and the unit of a name; the text format
    has neither, and `created_series: false` leaves the starts away."""
    sdl = "type Query { sold(from: String!): [Shop!]! } type Shop { shop: ID!, count: Int!, seconds: Float! }"
    sold = [{"shop": "s-1", "count": 3, "seconds": 1.5}, {"shop": "s-2", "count": 4, "seconds": 2.5}]
    config = tmp_path / "config.yaml"
    with graphql_api(sdl, {"sold": lambda *_, **__: sold}, "Bearer test-bearer") as api:
        config.write_text(COUNTED.replace("URL", api.url))
        with Exporter(config, tmp_path / "log") as exporter:
            exporter.wait_until_ready()
            families = {family.name: family for family in openmetrics(exporter)}
            assert {name: family.unit for name, family in families.items()} == {
                "shop_orders": "",
                "shop_busy_seconds": "seconds",
                "shop_orders_last_seconds": "seconds",
            }, exporter.log
            midnight = exporter.value("insights_exporter_query_period_start_timestamp_seconds")
            for name in ("shop_orders", "shop_busy_seconds"):
                samples = families[name].samples
                assert [one.name for one in samples] == [f"{name}_total", f"{name}_created"] * 2
                assert {one.value for one in samples if one.name == f"{name}_created"} == {midnight}
            assert exporter.value("insights_exporter_query_series") == 6
            assert "_created{shop" not in exporter.page()
            assert "# UNIT" not in exporter.page()
            config.write_text(f"created_series: false\n{config.read_text()}")
            exporter.popen.send_signal(signal.SIGHUP)
            eventually(lambda: "_created" not in str(openmetrics(exporter)), "counters without their starts")
            assert exporter.value("shop_orders_total") == 7
