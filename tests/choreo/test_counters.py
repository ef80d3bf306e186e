"""Counters of any API: those that it keeps itself, and totals of a period. A running exporter against a real server."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any, Final

from prometheus_client.openmetrics.parser import text_string_to_metric_families

from tests.support.json_server import json_server
from tests.support.processes import PATIENCE_SECONDS, Exporter, eventually, get

CONFIG: Final = """
sources: [{name: api, url: URL}]
queries:
  - name: servers
    interval: 5s
    document: "{ servers { name requests } }"
    rows: servers
    metrics:
      - {name: server_requests_total, type: counter, help: Requests., value: requests, labels: {server: name}}
  - name: orders
    interval: 5s
    window: {length: 1m, align: 1m}
    period: year
    document: "query ($from: String!, $to: String!) { orders(from: $from, to: $to) { kind count } }"
    variables: {from: "{{ period.start }}", to: "{{ window.end }}"}
    rows: orders
    metrics:
      - {name: shop_orders_total, type: counter, help: Orders of the year., value: count, labels: {kind: kind}}
"""


def test_counters_are_what_prometheus_counts_from(tmp_path: Path) -> None:
    """The API's own counter is published as it comes, falls included. A total of a period is held where it falls, and
    what is new in it begins at 0 for one poll, so that increase() sees all of it."""
    now: dict[str, Any] = {
        "servers": [{"name": "eu", "requests": 2000}],
        "orders": [{"kind": "lamp", "count": 10}],
    }
    may_go_on = threading.Event()
    new_kinds_asked = 0

    def answer(_: str, __: object, body: Any) -> Any:
        nonlocal new_kinds_asked
        name = "orders" if "orders" in body["query"] else "servers"
        found = now[name]
        if name == "orders" and len(found) > 1:
            new_kinds_asked += 1
            if new_kinds_asked > 1:
                may_go_on.wait(PATIENCE_SECONDS)  # until the page with the 0 has been read
        return {"data": {name: found}}

    with json_server(answer) as url:
        (tmp_path / "config.yaml").write_text(CONFIG.replace("URL", url))
        with Exporter(tmp_path / "config.yaml", tmp_path / "log") as exporter:
            exporter.wait_until_ready()
            assert exporter.value("server_requests_total", server="eu") == 2000, exporter.log
            assert exporter.value("shop_orders_total", kind="lamp") == 10
            now["servers"] = [{"name": "eu", "requests": 3}]
            now["orders"] = [{"kind": "lamp", "count": 4}, {"kind": "desk", "count": 5}]
            eventually(lambda: exporter.value("server_requests_total", server="eu") == 3, "a counter from 0 again")
            eventually(lambda: exporter.value("shop_orders_total", kind="desk") == 0, "the new kind at 0")
            assert exporter.value("shop_orders_total", kind="lamp") == 10
            may_go_on.set()
            eventually(lambda: exporter.value("shop_orders_total", kind="desk") == 5, "the new kind as it is")
            assert exporter.value("shop_orders_total", kind="lamp") == 10
            eventually(
                lambda: exporter.value("insights_exporter_decreases_held_total", query="orders"), "the fall, counted"
            )
            assert not exporter.value("insights_exporter_decreases_held_total", query="servers")
            page = get(f"{exporter.url}/metrics", headers={"accept": "application/openmetrics-text"}).text
    families = text_string_to_metric_families(page)  # type: ignore[no-untyped-call]
    samples = [sample for family in families for sample in family.samples]
    assert {one.labels["kind"] for one in samples if one.name == "shop_orders_created"} == {"lamp", "desk"}
    assert "server_requests_created" not in page  # nobody knows when that began
