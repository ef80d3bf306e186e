"""The exporter's own metrics: counted from what happened, read from what is known, on a private registry."""

from __future__ import annotations

import platform
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import partial
from typing import Final

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

from exporter import __version__
from exporter.exposition import Format, head, pieces
from exporter.model.outcome import PollOutcome
from exporter.model.samples import Family, MetricType, Samples
from exporter.plan.plan import Plan, QueryPlan
from exporter.polling.audit import Auditor
from exporter.polling.scheduler import Scheduler
from exporter.series.store import Owner, State, Store
from exporter.telemetry.counts import QueryCounts
from exporter.telemetry.reload_status import ReloadStatus
from exporter.upstream.access_token import TokenStatus

PREFIX: Final = "insights_exporter_"
_QUERY_LABELS: Final = ("source", "query")
_RENDERED_FOR_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class SourceView:
    """What telemetry reads of a source: its token's status (none without OAuth 2.0) and its requests by status code."""

    token: Callable[[], TokenStatus] | None
    requests_by_code: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Running:
    """What telemetry reads at each rendering."""

    plan: Plan
    store: Store
    scheduler: Scheduler
    auditor: Auditor
    sources: Mapping[str, SourceView]
    web_requests_by_code: Mapping[str, int]
    web_connections: Callable[[], int]
    task_count: Callable[[], int]
    web_config_status: Callable[[], ReloadStatus] | None = None


class Telemetry:
    """Counts polls (it is the scheduler's observer) and renders all own metrics."""

    def __init__(self, running: Running | None = None, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.running = running
        self._monotonic = monotonic
        self._counts: dict[tuple[str, str], QueryCounts] = {}
        self._loaded_time = time.time()
        self._loaded = True
        self._rendered: dict[bool, tuple[float, bytes]] = {}
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        GCCollector(registry=self._registry)

    def loaded(self, successful: bool) -> None:
        """Notes that the configuration was loaded anew, or could not be, so that the old one is in use."""
        self._loaded = successful
        if successful:
            self._loaded_time = time.time()
        self._rendered.clear()

    def forget_all_but(self, pairs: Set[tuple[str, str]]) -> None:
        """Forgets what was counted of other queries and sources."""
        self._counts = {pair: counts for pair, counts in self._counts.items() if pair in pairs}

    def counts(self, query: str, source: str) -> QueryCounts:
        """What was counted of a query on a source."""
        return self._counts.setdefault((query, source), QueryCounts())

    def polled(self, owner: Owner, outcome: PollOutcome, decreases: int = 0) -> None:
        """Counts a poll."""
        counts = self.counts(owner.query, owner.source)
        counts.polls += 1
        counts.duration_seconds = outcome.duration_seconds
        counts.graphql_errors += outcome.graphql_errors
        counts.counter_decreases += decreases
        if outcome.reason is not None:
            counts.failures[outcome.reason.value] += 1
        if outcome.result is not None:
            counts.values_skipped.update(outcome.result.skipped)
            counts.lookup_misses += outcome.result.lookup_misses
            counts.rows_cut += outcome.result.rows_cut

    def overran(self, owner: Owner, ticks: int) -> None:
        """Counts missed ticks."""
        self.counts(owner.query, owner.source).overruns += ticks

    def packs_refused(self, query: str, source: str) -> None:
        """Counts a refusal of packs."""
        self.counts(query, source).pack_refusals += 1

    def audit_failed(self, query: str, source: str, reason: str) -> None:
        """Counts a call of an audit that failed."""
        self.counts(query, source).audit_failures[reason] += 1

    def rendered(self, *, openmetrics: bool) -> bytes:
        """All own metrics as text, at most a second old; OpenMetrics without its `# EOF`."""
        now = self._monotonic()
        at, text = self._rendered.get(openmetrics, (-_RENDERED_FOR_SECONDS, b""))
        if now - at >= _RENDERED_FOR_SECONDS:
            text = b"".join((*_written(self.collect(), openmetrics), self._of_the_process(openmetrics)))
            self._rendered[openmetrics] = (now, text)
        return text

    def _of_the_process(self, openmetrics: bool) -> bytes:
        """What prometheus_client knows of any process. Its writer takes 6 to 15 µs a line, too much for the rest."""
        if openmetrics:
            return bytes(generate_openmetrics(self._registry)).removesuffix(b"# EOF\n")  # type: ignore[no-untyped-call]
        return generate_latest(self._registry)

    def collect(self) -> Iterable[Samples]:
        """Every own metric as it is now."""
        yield _gauge("build_info", "Version of the exporter and of Python.", ("version", "python_version"), [
            ((__version__, platform.python_version()), 1)
        ])  # fmt: skip
        if self.running is None:
            return
        yield _gauge("config_last_reload_successful", "Whether the last loading of the configuration worked.", (), [
            ((), self._loaded)
        ])  # fmt: skip
        yield _gauge(
            "config_last_reload_success_timestamp_seconds",
            "When the configuration was last loaded, in Unix time.",
            (),
            [((), self._loaded_time)],
        )
        yield from self._process_metrics(self.running)
        yield from self._query_metrics(self.running)
        yield from self._source_metrics(self.running)
        yield from _token_metrics(self.running.sources)
        yield from _audit_metrics(self.running.auditor)

    def _process_metrics(self, running: Running) -> Iterator[Samples]:
        yield _counter("web_requests", "HTTP requests answered, by status code.", ("code",), [
            ((code,), count) for code, count in sorted(running.web_requests_by_code.items())
        ])  # fmt: skip
        yield _gauge("web_connections", "Open connections to the web server.", (), [((), running.web_connections())])
        if running.web_config_status is not None:
            status = running.web_config_status()
            yield _gauge(
                "web_config_last_reload_successful",
                "Whether the last reading of the web configuration and of its files worked.",
                (),
                [((), status.successful)],
            )
            yield _gauge(
                "web_config_last_reload_success_timestamp_seconds",
                "When the web configuration was last read anew, in Unix time.",
                (),
                [((), status.success_time)],
            )
        if (shard := running.scheduler.shard).count > 1:
            yield _gauge("shard", "Which of the shards this exporter is, from 0.", (), [((), shard.index)])
            yield _gauge("shards", "How many shards there are.", (), [((), shard.count)])
        yield _gauge("tasks", "Tasks of the event loop.", (), [((), running.task_count())])

    def _query_metrics(self, running: Running) -> Iterator[Samples]:
        views = list(_query_views(running))
        yield from _state_metrics(views)
        yield from _count_metrics(
            [((view.source, view.query.name), self.counts(view.query.name, view.source)) for view in views]
        )

    def _source_metrics(self, running: Running) -> Iterator[Samples]:
        yield _counter("upstream_requests", "HTTP requests to the API, by status code.", ("source", "code"), [
            ((name, code), count)
            for name, view in running.sources.items()
            for code, count in sorted(view.requests_by_code.items())
        ])  # fmt: skip
        now = self._monotonic()
        yield _gauge("upstream_backoff_seconds", "Seconds for which the source asked to be left alone.", ("source",), [
            ((name,), gate.remaining_seconds(now)) for name, gate in running.scheduler.gates.items()
        ])  # fmt: skip
        yield _counter("rate_limit_wait_seconds", "Seconds that requests waited for rate_limit.", ("source",), [
            ((name,), pace.waited_seconds) for name, pace in running.scheduler.paces.items()
        ])  # fmt: skip
        demands = [(source.name, running.scheduler.demand(source)) for source in running.plan.sources]
        yield _gauge(
            "rate_limit_demand_ratio",
            "Requests that the polls need, without further pages, to those that rate_limit allows.",
            ("source",),
            [((name,), demand.ratio) for name, demand in demands if demand is not None],
        )


def _token_metrics(sources: Mapping[str, SourceView]) -> Iterator[Samples]:
    all_tokens = {name: view.token() for name, view in sources.items() if view.token is not None}
    statuses = {name: status for name, status in all_tokens.items() if status.wanted}  # else another shard's

    gauge = partial(_present_gauge, labels=("source",), keys=[(name,) for name in statuses])
    all_statuses = statuses.values()
    yield gauge(
        "token_valid", "Whether there is an access token that has not expired.", (s.valid for s in all_statuses)
    )
    yield gauge(
        "token_blocked",
        "Whether the token endpoint refuses the client for good.",
        (s.blocked for s in all_statuses),
    )
    yield gauge(
        "token_expiry_timestamp_seconds", "When the access token expires, in Unix time.",
        (status.expiry_time for status in all_statuses),
    )  # fmt: skip
    yield _counter("token_renewals", "Token requests, by result.", ("source", "result", "reason"), [
        ((name, *key), count)
        for name, status in statuses.items()
        for key, count in sorted(status.renewals.items())
    ])  # fmt: skip
    yield _counter("token_forced_renewals", "Renewals because the API refused the token.", ("source",), [
        ((name,), status.forced_renewals) for name, status in statuses.items()
    ])  # fmt: skip
    yield gauge(
        "token_lifetime_mismatch",
        "Whether the token's own expiry and expires_in differ.",
        (status.lifetime_mismatch for status in all_statuses),
    )


def _state_metrics(views: Sequence[_QueryView]) -> Iterator[Samples]:
    """How the queries are now."""
    keys = [(view.source, view.query.name) for view in views]
    gauge = partial(_present_gauge, labels=_QUERY_LABELS, keys=keys)
    yield gauge("query_up", "Whether the last poll of every target of the query succeeded.", (v.up for v in views))
    yield gauge(
        "query_last_success_timestamp_seconds",
        "When the query last succeeded, in Unix time; of its targets, the oldest.",
        (view.success_time for view in views),
    )
    yield gauge("query_interval_seconds", "The query's interval.", (view.query.interval_seconds for view in views))
    yield gauge("query_series", "Series that the query publishes.", (view.series for view in views))
    yield gauge("query_partial", "Whether the last answer had errors beside its data.", (v.partial for v in views))
    yield gauge("query_targets", "Targets that the query is polled for.", (view.targets for view in views))
    yield gauge("query_targets_failing", "Targets whose last poll failed.", (view.targets_failing for view in views))
    yield gauge(
        "query_pack_size",
        "Targets that go into one operation, of queries with pack; fewer than configured if the API takes no more.",
        (view.pack_size for view in views),
    )
    yield gauge(
        "query_window_seconds", "Length of the window that the query asks for.", (v.window_seconds for v in views)
    )
    yield gauge(
        "query_window_end_timestamp_seconds",
        "End of the window on the page, in Unix time; of the query's targets, the oldest.",
        (view.window_end_time for view in views),
    )
    yield gauge("polls_in_flight", "Polls that are under way.", (view.in_flight for view in views))


def _count_metrics(counted: Sequence[tuple[tuple[str, str], QueryCounts]]) -> Iterator[Samples]:
    """What was counted of the queries, by source and query."""
    keys, counts = [key for key, _ in counted], [count for _, count in counted]

    def counter(name: str, text: str, values: Iterable[float]) -> Samples:
        return _counter(name, text, _QUERY_LABELS, list(zip(keys, values, strict=True)))

    def by_reason(name: str, text: str, values: Iterable[Counter[str]]) -> Samples:
        return _counter(name, text, (*_QUERY_LABELS, "reason"), [
            ((*key, reason), count)
            for key, reasons in zip(keys, values, strict=True)
            for reason, count in sorted(reasons.items())
        ])  # fmt: skip

    yield counter("polls", "Polls that ended.", (count.polls for count in counts))
    yield by_reason("poll_failures", "Polls that failed, by reason.", (count.failures for count in counts))
    durations = (count.duration_seconds for count in counts)
    yield _present_gauge(
        "poll_duration_seconds", "Duration of the last poll.", durations, labels=_QUERY_LABELS, keys=keys
    )
    yield counter("poll_overruns", "Ticks missed, as the poll before took too long.", (c.overruns for c in counts))
    yield counter("graphql_errors", "Errors in GraphQL answers.", (count.graphql_errors for count in counts))
    yield by_reason(
        "values_skipped", "Values that were left out, by reason.", (count.values_skipped for count in counts)
    )
    yield counter(
        "query_rows_cut", "Rows left behind, as pages.max_rows was reached.", (count.rows_cut for count in counts)
    )
    yield counter(
        "pack_refusals", "Refusals of packs that made them smaller.", (count.pack_refusals for count in counts)
    )
    yield counter(
        "lookup_misses", "Labels left empty, as a lookup did not know the key.", (c.lookup_misses for c in counts)
    )
    yield by_reason(
        "audit_failures", "Calls of audits that failed, by reason.", (count.audit_failures for count in counts)
    )
    yield counter(
        "decreases_held",
        "Counter values held, as the upstream gave less within a period.",
        (count.counter_decreases for count in counts),
    )


def _audit_metrics(auditor: Auditor) -> Iterator[Samples]:
    findings = [(source, query, finding) for (query, source), finding in sorted(auditor.findings.items())]
    yield _gauge(
        "audit_difference",
        "What the totals of the last audited period are above those that were published at its end.",
        (*_QUERY_LABELS, "metric"),
        [((s, q, metric), value) for s, q, finding in findings for metric, value in finding.difference.items()],
    )
    yield _gauge(
        "audit_difference_ratio",
        "The same difference to what was published.",
        (*_QUERY_LABELS, "metric"),
        [
            ((s, q, metric), value / finding.published[metric])
            for s, q, finding in findings
            for metric, value in finding.difference.items()
            if finding.published[metric]
        ],
    )
    yield _gauge(
        "audit_targets", "Targets whose totals were compared in the last audit.", _QUERY_LABELS,
        [((source, query), finding.targets) for source, query, finding in findings],
    )  # fmt: skip
    yield _gauge(
        "audit_timestamp_seconds", "When the last period of the query was audited, in Unix time.", _QUERY_LABELS,
        [((source, query), finding.time) for source, query, finding in findings],
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _QueryView:
    """One query on one source, over all its targets."""

    query: QueryPlan
    source: str
    up: bool
    partial: bool
    series: int
    targets: int
    targets_failing: int
    success_time: float | None
    window_seconds: float | None
    window_end_time: float | None
    in_flight: int
    pack_size: int | None


def _query_views(running: Running) -> Iterator[_QueryView]:
    states: dict[tuple[str, str], list[State]] = {}
    for owner, state in running.store.states():
        states.setdefault((owner.query, owner.source), []).append(state)
    up: dict[tuple[str, str], bool] = {}
    for query in running.plan.queries:
        feeder = query.fed_by
        for source in query.sources:
            if running.scheduler.is_elsewhere(query, source):
                continue
            known = states.get((query.name, source.name), [])
            failing = sum(state.tried and not state.up for state in known)
            refused = running.scheduler.fan_out_failed(query.name, source.name)
            # without a row there is nothing to poll: then the query is as well as the one that feeds it
            well = all(state.up for state in known) if known else feeder is not None and up[feeder, source.name]
            up[query.name, source.name] = well and not refused
            yield _QueryView(
                query,
                source.name,
                up=up[query.name, source.name],
                partial=any(state.partial for state in known),
                series=sum(state.series for state in known),
                targets=running.scheduler.target_count(query.name, source.name),
                targets_failing=failing,
                success_time=min((s.success_time for s in known if s.success_time is not None), default=None),
                window_seconds=query.window.length.total_seconds() if query.window else None,
                window_end_time=min((s.window_end_time for s in known if s.window_end_time is not None), default=None),
                in_flight=running.scheduler.gates[source.name].in_flight.get(query.name, 0),
                pack_size=running.scheduler.pack_size(query.name, source.name) if query.pack is not None else None,
            )


def _written(metrics: Iterable[Samples], openmetrics: bool) -> Iterator[bytes]:
    """Each family, also one without series."""
    for samples in metrics:
        yield head(samples.family, Format.OPENMETRICS if openmetrics else Format.TEXT)
        yield from pieces(samples)


def _present_gauge(
    name: str,
    text: str,
    values: Iterable[float | None],
    *,
    labels: tuple[str, ...],
    keys: Sequence[tuple[str, ...]],
) -> Samples:
    """A gauge with a series for each key whose value is known."""
    pairs = zip(keys, values, strict=True)
    return _gauge(name, text, labels, [(key, value) for key, value in pairs if value is not None])


def _gauge(name: str, text: str, labels: tuple[str, ...], samples: Iterable[tuple[tuple[str, ...], float]]) -> Samples:
    family = Family(PREFIX + name, MetricType.GAUGE, text, labels)
    return Samples.of(family, {values: float(value) for values, value in samples})


def _counter(
    name: str, text: str, labels: tuple[str, ...], samples: Iterable[tuple[tuple[str, ...], float]]
) -> Samples:
    family = Family(f"{PREFIX}{name}_total", MetricType.COUNTER, text, labels)
    return Samples.of(family, {values: float(value) for values, value in samples})
