"""Other GraphQL APIs, by configuration alone: cursor pages, a static bearer token, Basic authentication."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import Exporter

ORDERS: list[dict[str, Any]] = [
    {"id": f"o{number}", "total": {"amount": f"{number}.50"}, "paid": number % 2 == 0} for number in range(23)
]


class Shop(BaseHTTPRequestHandler):
    """A shop's GraphQL API: orders in cursor pages, for those whose Authorization header is right."""

    protocol_version = "HTTP/1.1"
    wanted = ""

    def do_POST(self) -> None:
        """Answers with one page."""
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.headers["authorization"] != self.wanted:
            self.answer(401, {})
            return
        variables = body["variables"]
        start = int(variables.get("after") or 0)
        end = min(start + variables["first"], len(ORDERS))
        page = {
            "edges": [{"node": order} for order in ORDERS[start:end]],
            "pageInfo": {"hasNextPage": end < len(ORDERS), "endCursor": str(end)},
        }
        self.answer(200, {"data": {"orders": page}})

    def answer(self, status: int, content: Any) -> None:
        """Sends JSON."""
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Keeps quiet."""


@contextmanager
def shop(authorization: str) -> Iterator[str]:
    """A running shop's URL."""
    handler = type("Wanting", (Shop,), {"wanted": authorization})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/graphql"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


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
    variables: {first: 10}
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
    with shop(authorization) as url:
        config.write_text(CONFIG.replace("URL", url).replace("WAY", way))
        with Exporter(config, tmp_path / "log") as exporter:
            exporter.wait_until_ready()
            amounts = {labels["id"]: value for labels, value in exporter.samples("shop_order_amount")}
            assert amounts == {order["id"]: float(order["total"]["amount"]) for order in ORDERS}, exporter.log
            assert exporter.value("shop_order_paid") == 12
            assert "test-bearer" not in exporter.log + exporter.page()
