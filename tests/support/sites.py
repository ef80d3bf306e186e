"""What the web server shows of an exporter, without the server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final

from exporter.config.load import load
from exporter.config.redacted import Redacted
from exporter.plan.planner import plan
from exporter.polling.polling import Polling
from exporter.telemetry.reporter import Reporter
from exporter.web.messages import Answer
from exporter.web.pages import ExporterSite

CONFIG: Final = """\
sources:
  - {name: acme, url: "https://api.example/secret-path"}
queries:
  - name: orders
    window: {length: 5m}
    timezone: Asia/Colombo
    document: "query ($t: T) { open(t: $t) }"
    variables: {t: "{{ window.end }}"}
    metrics: [{name: shop_open_orders, help: Orders., value: open}]
"""
OWN: Final = b"# HELP own Own.\n# TYPE own gauge\nown 1.0\n"


def site_of(folder: Path, *, censor: Callable[[str], str] = str, config: str = CONFIG) -> ExporterSite:
    """The site of that configuration, whose own metrics are `OWN`."""
    file = folder / "c.yaml"
    file.write_text(config)
    loaded = load(file, {})
    reporter = Reporter()
    polling, shown = Polling(plan(loaded), reporter), Redacted.of(loaded)
    return ExporterSite(
        "/metrics", polling, reporter.counts, shown, lambda openmetrics: OWN + b"x" * openmetrics, censor
    )


def home(site: ExporterSite, sought: str = "") -> str:
    """The status page, with what is sought on it."""

    async def answer() -> Answer:
        return await site.home(sought, refresh=False)

    return asyncio.run(answer()).body.decode()
