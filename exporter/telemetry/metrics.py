"""The exporter's own metrics: counted from what happened, read from what is known, on a private registry."""

from __future__ import annotations

import asyncio
import platform
import time
from array import array
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import compress
from typing import Final

from msgspec import Struct
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

from exporter import __version__
from exporter.exposition import Format, head, pieces
from exporter.model.samples import Family, MetricType, Samples
from exporter.plan.plan import QueryPlan
from exporter.polling.audit_finding import Finding
from exporter.polling.polling import Polling
from exporter.polling.status import QueryStatus, SourceStatus, query_statuses, source_statuses
from exporter.telemetry.counts import Counts, QueryCounts
from exporter.telemetry.reload_status import ReloadStatus

PREFIX: Final = "insights_exporter_"
_QUERY_LABELS: Final = ("source", "query")
_RENDERED_FOR_SECONDS: Final = 1.0
_MANY_SERIES: Final = 100


class WebFigures(Struct, frozen=True):
    """What telemetry reads of the web server; `config_status` is None without a web configuration."""

    requests_by_code: Mapping[str, int]
    connections: Callable[[], int]
    config_status: ReloadStatus | None = None


class Telemetry:
    """Reads what is known and what was counted, and renders all own metrics."""

    def __init__(
        self,
        polling: Polling,
        counts: Counts,
        config_status: ReloadStatus,
        web: WebFigures,
        *,
        task_count: Callable[[], int] = lambda: len(asyncio.all_tasks()),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._polling = polling
        self._counts = counts
        self._config_status = config_status
        self._web = web
        self._task_count = task_count
        self._monotonic = monotonic
        self._texts: dict[bool, _Text] = {}
        self._known: dict[bool, dict[str, _Known]] = {}
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        GCCollector(registry=self._registry)

    def render(self, *, openmetrics: bool) -> tuple[bytes, ...]:
        """All own metrics as text, in pieces of whole families, at most a second old and never older than the last
        reload; OpenMetrics without its `# EOF`. What has not changed is the same piece as before."""
        now, reload_time = self._monotonic(), self._config_status.time
        text = self._texts.get(openmetrics)
        if text is None or now - text.at >= _RENDERED_FOR_SECONDS or text.reload_time != reload_time:
            content = (*self._pieces(openmetrics), self._of_the_process(openmetrics))
            text = self._texts[openmetrics] = _Text(now, reload_time, content)
        return text.content

    def _pieces(self, openmetrics: bool) -> Iterator[bytes]:
        """Each family, also one without series. Of a family with thousands of series, most often none has changed."""
        before = self._known.get(openmetrics, {})
        known = self._known[openmetrics] = {}
        small: list[bytes] = []
        for samples in self.collect():
            if len(samples) < _MANY_SERIES:
                small.append(_text(samples, openmetrics))
                continue
            if small:
                yield b"".join(small)
                small.clear()
            name = samples.family.name
            same = before.get(name)
            if same is None or same.samples != samples:
                same = _Known(samples, _text(samples, openmetrics))
            known[name] = same
            yield same.text
        yield b"".join(small)

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
        yield from _reload_metrics(self._config_status)
        yield from self._process_metrics()
        queries, sources = list(query_statuses(self._polling)), list(source_statuses(self._polling))
        yield from _state_metrics(queries)
        yield from _count_metrics(
            [((one.source, one.query.name), self._counts.of(one.query.name, one.source)) for one in queries]
        )
        yield from _source_metrics(sources)
        yield from _token_metrics(sources)
        yield from _audit_metrics(self._polling.auditor.findings)

    def _process_metrics(self) -> Iterator[Samples]:
        yield _counter("web_requests", "HTTP requests answered, by status code.", ("code",), [
            ((code,), count) for code, count in sorted(self._web.requests_by_code.items())
        ])  # fmt: skip
        yield _gauge("web_connections", "Open connections to the web server.", (), [((), self._web.connections())])
        if (status := self._web.config_status) is not None:
            yield _gauge(
                "web_config_last_reload_successful",
                "Whether the last loading of the web configuration and its files worked.",
                (),
                [((), status.successful)],
            )
            yield _gauge(
                "web_config_last_reload_success_timestamp_seconds",
                "When the web configuration was last reloaded, in Unix time.",
                (),
                [((), status.success_time)],
            )
        if (shard := self._polling.targets.shard).count > 1:
            yield _gauge("shard", "Which of the shards this exporter is, from 0.", (), [((), shard.index)])
            yield _gauge("shards", "How many shards there are.", (), [((), shard.count)])
        yield _counter(
            "clock_jumps", "Times that the clock was set by ten seconds or more, or the machine slept.", (),
            [((), self._polling.clock_watch.jumps)],
        )  # fmt: skip
        yield _gauge("tasks", "Tasks of the event loop.", (), [((), self._task_count())])


class _Text(Struct, frozen=True):
    """The metrics as they were at a (monotonic) time, after that reload."""

    at: float
    reload_time: float
    content: tuple[bytes, ...]


class _Known(Struct, frozen=True):
    """A family as it was rendered last."""

    samples: Samples
    text: bytes


def _reload_metrics(status: ReloadStatus) -> Iterator[Samples]:
    yield _gauge("config_last_reload_successful", "Whether the last loading of the configuration worked.", (), [
        ((), status.successful)
    ])  # fmt: skip
    yield _gauge(
        "config_last_reload_success_timestamp_seconds",
        "When the configuration was last loaded, in Unix time.",
        (),
        [((), status.success_time)],
    )


def _source_metrics(sources: Sequence[SourceStatus]) -> Iterator[Samples]:
    yield _counter("upstream_requests", "HTTP requests to the API, by status code.", ("source", "code"), [
        ((one.source.name, code), count) for one in sources for code, count in sorted(one.requests_by_code.items())
    ])  # fmt: skip
    yield _gauge("upstream_backoff_seconds", "Remaining seconds of the pause that the source asked for.", ("source",), [
        ((one.source.name,), one.pause_seconds) for one in sources
    ])  # fmt: skip
    budgets = {one.source.name: one.budget for one in sources if one.budget is not None}
    yield _gauge(
        "upstream_budget_remaining",
        "What is left of the API's own limit, as the API last reported it: requests, or points of cost.",
        ("source",),
        [((name,), budget.remaining) for name, budget in budgets.items()],
    )
    yield _gauge(
        "upstream_budget_limit", "The API's own limit, if the API reports it.", ("source",),
        [((name,), budget.limit) for name, budget in budgets.items() if budget.limit is not None],
    )  # fmt: skip
    waits = [(one.source.name, one.rate_limit_wait_seconds) for one in sources]
    yield _counter("rate_limit_wait_seconds", "Seconds that requests waited for rate_limit.", ("source",), [
        ((name,), seconds) for name, seconds in waits if seconds is not None
    ])  # fmt: skip
    yield _gauge(
        "rate_limit_demand_ratio",
        "Requests that the polls need, without further pages, divided by the requests that rate_limit allows.",
        ("source",),
        [((one.source.name,), one.demand.ratio) for one in sources if one.demand is not None],
    )


def _token_metrics(sources: Sequence[SourceStatus]) -> Iterator[Samples]:
    all_tokens = [(one.source.name, one.token) for one in sources if one.token is not None]
    statuses = {name: status for name, status in all_tokens if status.wanted}  # else another shard's

    gauge = _Members.of(("source",), [(name,) for name in statuses]).gauge
    all_statuses = statuses.values()
    yield gauge(
        "token_valid", "Whether there is an access token that has not expired.", (s.valid for s in all_statuses)
    )
    yield gauge(
        "token_blocked",
        "Whether the token endpoint refuses the client's credentials.",
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
    yield _counter("token_forced_renewals", "Token renewals because the API refused the token.", ("source",), [
        ((name,), status.forced_renewals) for name, status in statuses.items()
    ])  # fmt: skip
    yield gauge(
        "token_lifetime_mismatch",
        "Whether the token's own expiry and expires_in differ.",
        (status.lifetime_mismatch for status in all_statuses),
    )


def _state_metrics(queries: Sequence[QueryStatus]) -> Iterator[Samples]:
    """How the queries are now."""
    now = time.time()
    keys = [(q.source, q.query.name) for q in queries]
    gauge = _Members.of(_QUERY_LABELS, keys).gauge
    yield gauge("query_up", "Whether the last poll of every target of the query succeeded.", (q.up for q in queries))
    yield gauge(
        "query_last_success_timestamp_seconds",
        "When the query last succeeded, in Unix time; the oldest of its targets.",
        (q.success_time for q in queries),
    )
    yield gauge("query_interval_seconds", "The query's interval.", (q.query.interval_seconds for q in queries))
    yield gauge("query_series", "Series that the query publishes.", (q.series for q in queries))
    yield gauge("query_partial", "Whether the last answer had errors as well as data.", (q.partial for q in queries))
    yield gauge("query_targets", "Targets of the query.", (q.targets for q in queries))
    yield gauge("query_targets_failing", "Targets whose last poll failed.", (len(q.failing) for q in queries))
    yield _gauge(
        "query_failure_reason",
        "Targets whose last poll failed, by reason; absent while none fails.",
        (*_QUERY_LABELS, "reason"),
        [((*key, reason), count) for key, q in zip(keys, queries, strict=True) for reason, count in q.failures],
    )
    yield gauge(
        "query_next_poll_timestamp_seconds",
        "When the query is next polled, in Unix time; the earliest of its targets. Absent during a poll.",
        (None if q.next_in_seconds is None else now + q.next_in_seconds for q in queries),
    )
    yield gauge(
        "query_pack_size",
        "Targets in one operation, for queries with pack; fewer than configured if the API refused larger packs.",
        (q.pack_size for q in queries),
    )
    yield gauge(
        "query_window_seconds",
        "Length of the query's window.",
        (_window_seconds(q.query) for q in queries),
    )
    yield gauge(
        "query_window_end_timestamp_seconds",
        "End of the newest window with an answer, in Unix time; the oldest of the query's targets.",
        (q.window_end_time for q in queries),
    )
    yield gauge(
        "query_period_start_timestamp_seconds",
        "Start of the period of the query's counters, in Unix time; the oldest of its targets.",
        (q.period_start_time for q in queries),
    )
    yield gauge("polls_in_flight", "Polls in progress.", (q.in_flight for q in queries))


def _window_seconds(query: QueryPlan) -> float | None:
    return None if query.window is None else query.window.length.total_seconds()


def _count_metrics(counted: Sequence[tuple[tuple[str, str], QueryCounts]]) -> Iterator[Samples]:
    """What was counted of the queries, by source and query."""
    keys, counts = [key for key, _ in counted], [count for _, count in counted]

    members = _Members.of(_QUERY_LABELS, keys)
    counter = members.counter

    def by_reason(name: str, text: str, values: Iterable[Mapping[str, int]]) -> Samples:
        return _counter(name, text, (*_QUERY_LABELS, "reason"), [
            ((*key, reason), count)
            for key, reasons in zip(keys, values, strict=True)
            if reasons
            for reason, count in sorted(reasons.items())
        ])  # fmt: skip

    yield counter("polls", "Polls that ended.", (count.polls for count in counts))
    yield by_reason("poll_failures", "Polls that failed, by reason.", (count.failures for count in counts))
    durations = (count.duration_seconds for count in counts)
    yield members.gauge("poll_duration_seconds", "Duration of the last poll.", durations)
    yield counter(
        "poll_overruns", "Ticks missed because the previous poll took too long.", (c.overruns for c in counts)
    )
    yield counter("graphql_errors", "Errors in GraphQL answers.", (count.graphql_errors for count in counts))
    yield by_reason(
        "values_skipped", "Values that were left out, by reason.", (count.values_skipped for count in counts)
    )
    yield by_reason(
        "query_rows_skipped", "Rows left out by on_bad_row, by reason.", (count.rows_skipped for count in counts)
    )
    yield counter(
        "query_rows_cut",
        "Rows not read because of pages.max_rows; a lower bound if the API does not report a total.",
        (count.rows_cut for count in counts),
    )
    yield counter("query_nulls", "Nulls in answers where rows were expected.", (c.nulls for c in counts))
    yield counter(
        "pack_refusals",
        "Times that the API refused a pack, which made packs smaller.",
        (count.pack_refusals for count in counts),
    )
    yield counter(
        "lookup_misses", "Labels left empty because a lookup did not have the key.", (c.lookup_misses for c in counts)
    )
    yield by_reason(
        "audit_failures", "Calls of audits that failed, by reason.", (count.audit_failures for count in counts)
    )
    yield counter(
        "decreases_held",
        "Counter values held because the API returned less within a period.",
        (count.counter_decreases for count in counts),
    )


def _audit_metrics(found: Mapping[tuple[str, str], Finding]) -> Iterator[Samples]:
    findings = [(source, query, finding) for (query, source), finding in sorted(found.items())]
    yield _gauge(
        "audit_difference",
        "Totals of the last audited period minus the totals published at its end.",
        (*_QUERY_LABELS, "metric"),
        [((s, q, metric), value) for s, q, finding in findings for metric, value in finding.difference.items()],
    )
    yield _gauge(
        "audit_difference_ratio",
        "The same difference divided by the published totals.",
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


def _text(samples: Samples, openmetrics: bool) -> bytes:
    return b"".join((head(samples.family, Format.OPENMETRICS if openmetrics else Format.TEXT), *pieces(samples)))


class _Members(Struct, frozen=True):
    """Who has a series in each of many families: their labels by columns, and all values of each label. To look at the
    labels once is most of the work where there are thousands."""

    labels: tuple[str, ...]
    columns: Sequence[Sequence[str]]
    different: Sequence[Collection[str]]

    @classmethod
    def of(cls, labels: tuple[str, ...], keys: Sequence[tuple[str, ...]]) -> _Members:
        columns = list(zip(*keys, strict=True)) or [()] * len(labels)
        return cls(labels, columns, list(map(set, columns)))

    def gauge(self, name: str, text: str, values: Iterable[float | None]) -> Samples:
        """A gauge with a series for each member whose value is known."""
        return self._samples(Family(PREFIX + name, MetricType.GAUGE, text, self.labels), values)

    def counter(self, name: str, text: str, values: Iterable[float]) -> Samples:
        """A counter with a series for each member."""
        return self._samples(Family(f"{PREFIX}{name}_total", MetricType.COUNTER, text, self.labels), values)

    def _samples(self, family: Family, values: Iterable[float | None]) -> Samples:
        found, columns = list(values), self.columns
        if None in found:
            known = [value is not None for value in found]
            columns = [list(compress(column, known)) for column in columns]
        numbers = array("d", [value for value in found if value is not None])  # a third of the memory of a list
        return Samples(family, columns, numbers, self.different)


def _gauge(name: str, text: str, labels: tuple[str, ...], samples: Iterable[tuple[tuple[str, ...], float]]) -> Samples:
    family = Family(PREFIX + name, MetricType.GAUGE, text, labels)
    return Samples.of(family, {values: float(value) for values, value in samples})


def _counter(
    name: str, text: str, labels: tuple[str, ...], samples: Iterable[tuple[tuple[str, ...], float]]
) -> Samples:
    family = Family(f"{PREFIX}{name}_total", MetricType.COUNTER, text, labels)
    return Samples.of(family, {values: float(value) for values, value in samples})
