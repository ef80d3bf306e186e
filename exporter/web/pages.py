"""What the web server shows: the metrics, the pages for people, the probes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from exporter.config.redacted import Redacted
from exporter.exposition import Format, Joiner
from exporter.model.listen_address import ListenAddress
from exporter.polling.polling import Polling
from exporter.telemetry.counts import Counts
from exporter.web.messages import Answer
from exporter.web.negotiation import Representation
from exporter.web.shared_pages import SharedPages


@dataclass(slots=True)
class ExporterSite:
    """What the web server shows. `counts` has the last polls of each query, `shown` is the configuration that is in
    use, `censor` has the last look at every text that people read, and `own_metrics` renders the exporter's own, for
    OpenMetrics or not."""

    telemetry_path: str
    polling: Polling
    counts: Counts
    shown: Redacted
    own_metrics: Callable[[bool], bytes | tuple[bytes, ...]]
    censor: Callable[[str], str]
    joiner: Joiner = field(default_factory=Joiner)
    was_ready: bool = False
    shared: SharedPages[tuple[str, bool]] = field(init=False)
    thread: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "web: pages"))
    rendering: tuple[Redacted, asyncio.Future[Answer]] | None = None

    def __post_init__(self) -> None:
        self.shared = SharedPages(self._home)

    def metrics(self, form: Representation) -> bytes:
        own = self.own_metrics(form.format is Format.OPENMETRICS)
        return self.joiner.join(self.polling.store.page(), own, form.format, form.gzip)

    def home(self, sought: str, *, refresh: bool) -> Awaitable[Answer]:
        """The status page, at most a second old."""
        return self.shared.page((sought, refresh))

    async def _home(self, asked: tuple[str, bool]) -> Answer:
        # with all that is for people alone: many an exporter is read by Prometheus and nobody else
        from exporter.web.home_page import home_page

        sought, refresh = asked
        render = home_page(self.polling, self.counts, self.censor, self.telemetry_path, sought, refresh=refresh)
        # of a big page it takes a while; in a thread of its own, so that no poll waits for one
        return await asyncio.get_running_loop().run_in_executor(self.thread, render)

    async def configuration(self) -> Answer:
        """The configuration that is in use, as YAML. It is rendered once after each load, beside the event loop."""
        if self.rendering is None or self.rendering[0] is not self.shown:
            page = asyncio.get_running_loop().run_in_executor(self.thread, self._configuration, self.shown)
            self.rendering = (self.shown, page)
        return await asyncio.shield(self.rendering[1])

    def _configuration(self, shown: Redacted) -> Answer:
        return Answer.of(shown.yaml(self.censor).encode(), fields=(("cache-control", "no-store"),))

    def healthy(self) -> bool:
        return True

    def ready(self) -> bool:
        """Once ready, always ready: a reload with a new query must not take away the page."""
        self.was_ready = self.was_ready or self.polling.targets.are_tried()
        return self.was_ready


def metrics_url(address: ListenAddress, path: str, *, tls: bool = False) -> str:
    """Where a person on this machine finds the metrics, which are at that path."""
    host = "localhost" if address.host in (None, "::", "0.0.0.0") else address.host  # noqa: S104 - compared, not bound
    return f"{'https' if tls else 'http'}://{f'[{host}]' if ':' in host else host}:{address.port}{path}"
