"""What the web server shows: the metrics, the page for people, the probes."""

from __future__ import annotations

import html
from dataclasses import dataclass, field

from exporter import __version__
from exporter.exposition import Format, Joiner
from exporter.negotiation import Representation
from exporter.scheduler import Scheduler
from exporter.store import Store
from exporter.telemetry import Telemetry
from exporter.web import ListenAddress


@dataclass(slots=True)
class ExporterSite:
    """What the web server shows."""

    telemetry_path: str
    store: Store
    telemetry: Telemetry
    scheduler: Scheduler
    joiner: Joiner = field(default_factory=Joiner)
    was_ready: bool = False

    def metrics(self, form: Representation) -> bytes:
        own = self.telemetry.rendered(openmetrics=form.format is Format.OPENMETRICS)
        return self.joiner.joined(self.store.page(), own, form.format, form.gzip)

    def home(self) -> bytes:
        return home_page(self.telemetry_path)

    def healthy(self) -> bool:
        return True

    def ready(self) -> bool:
        """Once ready, always ready: a reload with a new query must not take away the page."""
        self.was_ready = self.was_ready or self.scheduler.tried()
        return self.was_ready


def metrics_url(address: ListenAddress, telemetry_path: str, *, tls: bool = False) -> str:
    """Where a person on this machine finds the metrics."""
    host = "localhost" if address.host in (None, "::", "0.0.0.0") else address.host  # noqa: S104 - compared, not bound
    return f"{'https' if tls else 'http'}://{f'[{host}]' if ':' in host else host}:{address.port}{telemetry_path}"


def home_page(telemetry_path: str) -> bytes:
    """The page for a person who opens the exporter's address."""
    path = html.escape(telemetry_path, quote=True)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Insights Exporter</title>
<style>
:root {{ color-scheme: light dark }}
body {{ font: 16px/1.5 system-ui, sans-serif; margin: 3rem auto; max-width: 40rem; padding: 0 1rem }}
</style>
</head>
<body>
<h1>Insights Exporter</h1>
<p>Version {__version__}</p>
<ul>
<li><a href="{path}">Metrics</a></li>
<li><a href="/-/healthy">Healthy</a></li>
<li><a href="/-/ready">Ready</a></li>
</ul>
</body>
</html>
""".encode()
