"""What the web server shows: the metrics, the pages for people, the probes."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from exporter.config.load import Loaded
from exporter.config.redacted import shown_yaml
from exporter.config.source import Source
from exporter.daemon.logs import censored
from exporter.exposition import Format, Joiner
from exporter.model.window import iso_text
from exporter.plan.plan import QueryPlan
from exporter.polling.polling import Polling
from exporter.series.store import State
from exporter.upstream.access_token import TokenStatus
from exporter.web.messages import Answer
from exporter.web.negotiation import Representation
from exporter.web.server import ListenAddress
from exporter.web.status_page import SCRIPT, STYLE, QueryView, SourceView, View, families_found, status_page


@dataclass(slots=True)
class ExporterSite:
    """What the web server shows. `loaded` is the configuration that is in use."""

    telemetry_path: str
    polling: Polling
    loaded: Loaded
    joiner: Joiner = field(default_factory=Joiner)
    was_ready: bool = False

    def metrics(self, form: Representation) -> bytes:
        own = self.polling.telemetry.rendered(openmetrics=form.format is Format.OPENMETRICS)
        return self.joiner.join(self.polling.store.page(), own, form.format, form.gzip)

    async def home(self, sought: str) -> Answer:
        pieces = self.polling.store.page().raw(Format.TEXT)
        families = await asyncio.to_thread(families_found, pieces, sought)  # of a big page it takes a while
        queries, sources = tuple(_query_views(self.polling)), tuple(_source_views(self.polling))
        view = View(time.time(), self.telemetry_path.removeprefix("/"), queries, sources, families, sought)
        return html_answer(status_page(view), styles=[STYLE], scripts=[SCRIPT])

    def configuration(self) -> Answer:
        """The configuration that is in use, as YAML."""
        return Answer.of(shown_yaml(self.loaded, censored).encode(), fields=(("cache-control", "no-store"),))

    def healthy(self) -> bool:
        return True

    def ready(self) -> bool:
        """Once ready, always ready: a reload with a new query must not take away the page."""
        self.was_ready = self.was_ready or self.polling.scheduler.tried()
        return self.was_ready


def metrics_url(address: ListenAddress, path: str, *, tls: bool = False) -> str:
    """Where a person on this machine finds the metrics, which are at that path."""
    host = "localhost" if address.host in (None, "::", "0.0.0.0") else address.host  # noqa: S104 - compared, not bound
    return f"{'https' if tls else 'http'}://{f'[{host}]' if ':' in host else host}:{address.port}{path}"


def _query_views(polling: Polling) -> Iterator[QueryView]:
    states: dict[tuple[str, str], list[State]] = {}
    for owner, state in polling.store.states():
        states.setdefault((owner.query, owner.source), []).append(state)
    for query in polling.plan.queries:
        for source in query.sources:
            if not polling.scheduler.is_elsewhere(query, source):
                yield _query_view(polling, query, source, states.get((query.name, source.name), []))


def _query_view(polling: Polling, query: QueryPlan, source: Source, states: list[State]) -> QueryView:
    scheduler, tried = polling.scheduler, [state for state in states if state.tried]
    failing = [state for state in tried if not state.up]
    latest = max(tried, key=lambda state: state.polled_time or 0.0, default=None)
    worst = max(failing or tried, key=lambda state: state.problem_time or 0.0, default=State())
    problem, up = censored(worst.problem), not failing if tried else None
    if scheduler.fan_out_failed(query.name, source.name):
        problem, up = f"more calls are needed than max_calls ({query.max_calls}) allows; the old targets stay", False
    return QueryView(
        query.name,
        source.name,
        up,
        targets=scheduler.target_count(query.name, source.name),
        failing=len(failing),
        polled_time=latest.polled_time if latest is not None else None,
        duration_seconds=latest.duration_seconds if latest is not None else None,
        rows=sum(state.row_count for state in states) if query.rows is not None else None,
        series=sum(state.series for state in states),
        in_flight=scheduler.gates[source.name].in_flight.get(query.name, 0),
        next_in_seconds=scheduler.next_in_seconds(query.name, source.name),
        window=_window_text(query, latest),
        problem=problem,
        problem_time=worst.problem_time,
    )


def _window_text(query: QueryPlan, state: State | None) -> str:
    """The window of the result on the page, in the words of the request, and where its counters begin."""
    if state is None or state.window_end_time is None or state.window_seconds is None:
        return ""
    end = datetime.fromtimestamp(state.window_end_time, UTC).astimezone(query.zone)
    start = (end.astimezone(UTC) - timedelta(seconds=state.window_seconds)).astimezone(query.zone)
    text = f"{iso_text(start)} to {iso_text(end)}"
    if state.period_start_time is None:
        return text
    since = datetime.fromtimestamp(state.period_start_time, UTC).astimezone(query.zone)
    return f"{text}, counters since {iso_text(since)}"


def _source_views(polling: Polling) -> Iterator[SourceView]:
    now = time.time()
    for source in polling.plan.sources:
        token = polling.upstreams[source.name].token
        status = token.status() if token is not None else None
        if status is None:
            said = "none is needed" if source.authorization is None and source.basic_auth is None else "no OAuth 2.0"
            yield SourceView(source.name, censored(source.url), said, True, None, None, 0, 0, "")
            continue
        failure = status.last_failure
        yield SourceView(
            source.name,
            censored(source.url),
            _token_text(status),
            status.valid or not status.wanted,
            remaining_seconds=None if status.expiry_time is None else max(0.0, status.expiry_time - now),
            age_seconds=status.age_seconds,
            renewals=sum(count for (result, _), count in status.renewals.items() if result == "ok"),
            failed_renewals=sum(count for (result, _), count in status.renewals.items() if result != "ok"),
            problem="" if failure is None else censored(f"{failure.reason}: {failure.detail}"),
        )


def _token_text(status: TokenStatus) -> str:
    if status.blocked:
        return "refused for good"
    if status.valid:
        return "valid"
    return "none yet" if not status.wanted or not status.renewals else "none"


def html_answer(page: str, *, styles: Iterable[str] = (), scripts: Iterable[str] = ()) -> Answer:
    """A page that loads nothing, in which only these styles and scripts are taken for its own."""
    policy = (
        "default-src 'none'",
        *(f"{kind} {' '.join(map(_hash_source, texts))}" for kind, texts in _told(styles, scripts)),
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
    fields = (
        ("content-security-policy", "; ".join(policy)),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cache-control", "no-store"),
    )
    return Answer.of(page.encode("utf-8", "replace"), "text/html; charset=utf-8", fields=fields)


def _told(styles: Iterable[str], scripts: Iterable[str]) -> list[tuple[str, tuple[str, ...]]]:
    pairs = (("style-src", tuple(styles)), ("script-src", tuple(scripts)))
    return [(kind, texts) for kind, texts in pairs if texts]


def _hash_source(text: str) -> str:
    """How a policy names an inline style or script (CSP Level 3 §2.3.1)."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
