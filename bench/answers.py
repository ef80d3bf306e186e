"""Answers of any size with four labels a row, the configuration that reads them, and plans made of it."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

from exporter.daemon.check import ready_to_start
from exporter.plan.plan import Plan

SERIES_NAME = "bench_window_requests"
LABELS = ("api", "application", "method", "code")


def rows(count: int, generation: int = 0) -> Iterator[dict[str, str | int]]:
    """So many rows; the values of another generation differ."""
    for at in range(count):
        yield {
            "api": f"api-{at // 40:06d}",
            "application": f"application-{at // 8 % 5}",
            "method": ("GET", "POST")[at // 4 % 2],
            "code": ("200", "404", "500", "503")[at % 4],
            "requests": (at * 7919 + generation * 104729) % 1_000_003,
        }


def answer(count: int, generation: int = 0) -> bytes:
    """The body of a GraphQL answer with so many rows."""
    return json.dumps({"data": {"usage": list(rows(count, generation))}}).encode()


def configuration(url: str, queries: int, *, interval: str = "10s", concurrency: int = 100, families: int = 0) -> str:
    """Queries on one source; each has a label of its own, and, with families, one of so many families."""
    head = dedent(f"""\
        max_series: 2000000
        sources:
          - name: bench
            url: {url}
            concurrency: {concurrency}
            max_body_size: 256MiB
        queries:
        """)
    return head + "".join(
        dedent(f"""\
          - name: usage_{at}
            interval: {interval}
            max_series: 2000000
            document: "query usage_{at} {{ usage {{ {" ".join(LABELS)} requests }} }}"
            rows: usage
            labels: {{number: {{const: "{at}"}}}}
            metrics:
              - name: {SERIES_NAME}{f"_{at % families}" if families else ""}
                help: Requests.
                labels: {{{", ".join(f"{name}: {name}" for name in LABELS)}}}
                value: requests
        """)
        for at in range(queries)
    )


def plan(queries: int = 1, *, families: int = 0) -> Plan:
    """The plan of that configuration."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "config.yaml")
        file.write_text(configuration("http://127.0.0.1:9/", queries, families=families))
        return ready_to_start(file, {}).plan
