"""The exporter itself: its queries, how fresh their data is, the upstream and its token, and the process."""

from __future__ import annotations

from typing import Final

from exporter.dashboards.model import DATASOURCE, Dashboard, JsonObject, Panel, Row
from exporter.dashboards.panels import (
    AGE,
    ALL_IS_WELL,
    SOME_IS_BAD,
    Column,
    Thresholds,
    stat,
    state_timeline,
    table,
    time_series,
)
from exporter.dashboards.promql import OWN, added, highest, own, selector
from exporter.dashboards.shipped.words import dashboard
from exporter.dashboards.variables import choice, scraped

_QUERY: Final = "{{source}} / {{query}}"
_BY_QUERY: Final = ("source", "query")
_TOKEN_LIFE: Final[Thresholds] = (("red", None), ("orange", 60.0), ("green", 300.0))
_ONE_IS_GOOD: Final[Thresholds] = (("red", None), ("green", 1.0))


def exporter() -> Dashboard:
    """Whether the other dashboards can be believed."""
    variables = (
        *scraped(),
        choice("source", "Source", selector(f"{OWN}query_up")),
        choice("query", "Query", selector(f"{OWN}query_up", "source")),
    )
    return dashboard(
        "exporter",
        "Whether the queries of the exporter work, how fresh their data is, its access tokens, and its process.",
        variables,
        Row("Headlines", _headlines()),
        Row("Queries", _queries()),
        Row("Upstream and access token", _upstream()),
        Row("Each query", (_each_query(),)),
        Row("What was left out", _left_out(), collapsed=True),
        Row("Process", _process(), collapsed=True),
        annotations=(_configuration_loaded(),),
    )


def _of_query(metric: str) -> str:
    return own(metric, *_BY_QUERY)


def _of_source(metric: str) -> str:
    return own(metric, "source")


def _a_minute(counter: str, *by: str) -> str:
    return f"{added(f'rate({counter}[$__rate_interval])', *by)} * 60"


def _headlines() -> tuple[Panel, ...]:
    up = _of_query("query_up")
    return (
        stat("Queries up", "Share of the queries whose last polls all succeeded, as of now.",
             f"sum({up}) / count({up})", unit="percentunit", thresholds=ALL_IS_WELL, decimals=0),
        stat("Failing queries", "Queries of which a last poll failed, as of now.", f"count({up} == 0) or vector(0)",
             thresholds=SOME_IS_BAD),
        stat("Oldest data", "Time since the end of the oldest window on the page, as of now. A window of whole hours "
             "is up to an hour older than others.",
             f"time() - min({_of_query('query_window_end_timestamp_seconds')})", unit="s", thresholds=AGE),
        stat("Oldest success", "The longest time since a query last succeeded, as of now.",
             f"time() - min({_of_query('query_last_success_timestamp_seconds')})", unit="s", thresholds=AGE),
        stat("Token life", "Time until the first access token expires, as of now.",
             f"min({_of_source('token_expiry_timestamp_seconds')}) - time()", unit="s", thresholds=_TOKEN_LIFE),
        stat("Series", "Series that the queries publish now.", added(_of_query("query_series"))),
        stat("Exporter up", "Whether Prometheus could scrape every exporter, as of now.", f"min({selector('up')})",
             unit="bool_yes_no", thresholds=_ONE_IS_GOOD),
        stat("Token valid", "Whether every source has an access token that has not expired, as of now.",
             f"min({_of_source('token_valid')})", unit="bool_yes_no", thresholds=_ONE_IS_GOOD),
        stat("Client refused", "Whether a token endpoint refuses the client for good, as of now.",
             highest(_of_source("token_blocked")), unit="bool_yes_no", thresholds=SOME_IS_BAD),
        stat("Token lifetimes differ", "Whether a token's own expiry and its expires_in differ, as of now.",
             highest(_of_source("token_lifetime_mismatch")), unit="bool_yes_no", thresholds=SOME_IS_BAD),
        stat("Configuration loaded", "Whether the last loading of the configuration worked, as of now.",
             f"min({own('config_last_reload_successful')})", unit="bool_yes_no", thresholds=_ONE_IS_GOOD),
        stat("Configuration age", "Time since the configuration was last loaded, as of now.",
             f"time() - max({own('config_last_reload_success_timestamp_seconds')})", unit="s"),
    )  # fmt: skip


def _queries() -> tuple[Panel, ...]:
    duration, interval = _of_query("poll_duration_seconds"), _of_query("query_interval_seconds")
    window_end = _of_query("query_window_end_timestamp_seconds")
    success = _of_query("query_last_success_timestamp_seconds")
    return (
        state_timeline("Queries", "Whether the last polls of each query succeeded (green) or one failed (red).",
                       f"min by (source, query) ({_of_query('query_up')})", _QUERY),
        time_series("Poll failures", "Failed polls a minute, by reason.",
                    (_a_minute(_of_query("poll_failures_total"), "reason"), "{{reason}}"), unit="cpm", stacked=True),
        time_series("Polls", "Polls a minute, of each query.",
                    (_a_minute(_of_query("polls_total"), *_BY_QUERY), _QUERY), unit="cpm"),
        time_series("Data age", "Time since the end of the window on the page, of each query.",
                    (f"time() - min by (source, query) ({window_end})", _QUERY), unit="s"),
        time_series("Intervals since the last success", "Time since each query last succeeded, in its own intervals.",
                    (highest(f"(time() - {success}) / {interval}", *_BY_QUERY), _QUERY)),
        time_series("Poll durations", "Duration of the last poll of each query.",
                    (highest(duration, *_BY_QUERY), _QUERY), unit="s"),
        time_series("Share of the interval", "Duration of the last poll, divided by the interval of the query.",
                    (highest(f"{duration} / {interval}", *_BY_QUERY), _QUERY), unit="percentunit"),
        time_series("Polls under way", "Polls under way at each moment, of each query.",
                    (added(_of_query("polls_in_flight"), *_BY_QUERY), _QUERY)),
        time_series("Ticks missed", "Ticks a minute that a poll before was too slow for, of each query.",
                    (_a_minute(_of_query("poll_overruns_total"), *_BY_QUERY), _QUERY), unit="cpm"),
        time_series("Series", "Series that each query publishes.",
                    (added(_of_query("query_series"), *_BY_QUERY), _QUERY)),
        time_series("Failing targets", "Targets whose last poll failed, of each query.",
                    (added(_of_query("query_targets_failing"), *_BY_QUERY), _QUERY)),
        time_series("Targets in an operation", "Targets that go into one operation, of each query with pack.",
                    (highest(_of_query("query_pack_size"), *_BY_QUERY), _QUERY)),
    )  # fmt: skip


def _upstream() -> tuple[Panel, ...]:
    renewals = ("source", "result", "reason")
    expiry = _of_source("token_expiry_timestamp_seconds")
    return (
        time_series("Upstream requests", "HTTP requests to the API a minute, by status code.",
                    (_a_minute(_of_source("upstream_requests_total"), "source", "code"), "{{source}} {{code}}"),
                    unit="cpm", stacked=True),
        time_series("Left alone", "Time for which a source asked to be left alone (Retry-After).",
                    (highest(_of_source("upstream_backoff_seconds"), "source"), "{{source}}"), unit="s"),
        time_series("Waiting for the rate limit", "Seconds a second that requests waited for rate_limit, in all.",
                    (added(f"rate({_of_source('rate_limit_wait_seconds_total')}[$__rate_interval])", "source"),
                     "{{source}}"), unit="none"),
        time_series("Demand on the rate limit", "Requests that the polls need, divided by those that rate_limit "
                    "allows; above 100 % polls come too late.",
                    (highest(_of_source("rate_limit_demand_ratio"), "source"), "{{source}}"), unit="percentunit"),
        time_series("Token life", "Time until the access token expires.",
                    (f"min by (source) ({expiry}) - time()", "{{source}}"), unit="s"),
        time_series("Token renewals", "Token requests a minute, by result and reason.",
                    (_a_minute(_of_source("token_renewals_total"), *renewals), "{{source}} {{result}} {{reason}}"),
                    unit="cpm"),
        time_series("Forced renewals", "Renewals a minute because the API refused the token.",
                    (_a_minute(_of_source("token_forced_renewals_total"), "source"), "{{source}}"), unit="cpm"),
    )  # fmt: skip


def _each_query() -> Panel:
    def lowest(metric: str) -> str:
        return f"min by (source, query) ({_of_query(metric)})"

    return table(
        "Queries",
        "What is known of each query now.",
        {"source": "Source", "query": "Query"},
        Column("Up", lowest("query_up"), unit="bool_yes_no", thresholds=_ONE_IS_GOOD),
        Column("Interval", lowest("query_interval_seconds"), unit="s"),
        Column("Window", lowest("query_window_seconds"), unit="s"),
        Column("Data age", f"time() - {lowest('query_window_end_timestamp_seconds')}", unit="s"),
        Column("Last poll", highest(_of_query("poll_duration_seconds"), *_BY_QUERY), unit="s"),
        Column("Targets", highest(_of_query("query_targets"), *_BY_QUERY)),
        Column("Failing", highest(_of_query("query_targets_failing"), *_BY_QUERY), thresholds=SOME_IS_BAD),
        Column("Series", added(_of_query("query_series"), *_BY_QUERY)),
        Column("Partial", highest(_of_query("query_partial"), *_BY_QUERY), unit="bool_yes_no"),
        sort_by="Data age",
        height=12,
    )


def _left_out() -> tuple[Panel, ...]:
    def of(title: str, description: str, counter: str) -> Panel:
        expr = _a_minute(_of_query(counter), *_BY_QUERY)
        return time_series(title, f"{description} a minute, of each query.", (expr, _QUERY), unit="cpm")

    skipped = _a_minute(_of_query("values_skipped_total"), *_BY_QUERY, "reason")
    return (
        time_series("Values skipped", "Values a minute that were left out, by reason.",
                    (skipped, f"{_QUERY} {{{{reason}}}}"), unit="cpm"),
        of("GraphQL errors", "Errors in answers", "graphql_errors_total"),
        of("Rows left behind", "Rows beyond pages.max_rows", "query_rows_cut_total"),
        of("Names not found", "Labels left empty, as a lookup did not know the key,", "lookup_misses_total"),
        of("Packs refused", "Packs that the API refused for their size", "pack_refusals_total"),
        of("Decreases held", "Counter values held, as the upstream gave less,", "decreases_held_total"),
        time_series("Came too late", "What the API's totals were above those on the page, of each audited period.",
                    (highest(_of_query("audit_difference"), *_BY_QUERY, "metric"), f"{_QUERY} {{{{metric}}}}"),
                    signed=True, width=24),
    )  # fmt: skip


def _process() -> tuple[Panel, ...]:
    legend = "{{instance}}"
    cpu = selector("process_cpu_seconds_total")
    build = {"instance": "Instance", "version": "Version", "python_version": "Python"}
    return (
        time_series("CPU", "Cores in use.", (f"rate({cpu}[$__rate_interval])", legend), unit="none"),
        time_series("Memory", "Resident memory.", (selector("process_resident_memory_bytes"), legend), unit="bytes"),
        time_series("Open files", "Open file descriptors.", (selector("process_open_fds"), legend)),
        time_series("Tasks", "Tasks of the event loop.", (own("tasks"), legend)),
        time_series("Web requests", "HTTP requests answered a minute, by status code.",
                    (_a_minute(own("web_requests_total"), "code"), "{{code}}"), unit="cpm", stacked=True),
        time_series("Web connections", "Open connections to the web server.", (own("web_connections"), legend)),
        stat("Web configuration read", "Whether the web configuration (--web.config.file) could be read, as of now.",
             f"min({own('web_config_last_reload_successful')})", unit="bool_yes_no", thresholds=_ONE_IS_GOOD, width=6),
        stat("Web configuration age", "Time since the web configuration was last read anew, as of now.",
             f"time() - max({own('web_config_last_reload_success_timestamp_seconds')})", unit="s", width=6),
        time_series("Scrape durations", "How long Prometheus took to scrape.",
                    (selector("scrape_duration_seconds"), legend), unit="s"),
        table("Versions", "Versions of the exporter and of Python now.", build,
              Column("Running", highest(own("build_info"), *build)), width=12, height=8),
    )  # fmt: skip


def _configuration_loaded() -> JsonObject:
    """A mark where the configuration was loaded."""
    return {
        "name": "Configuration loaded",
        "enable": True,
        "datasource": dict(DATASOURCE),
        "expr": f"{own('config_last_reload_success_timestamp_seconds')} * 1000",
        "iconColor": "blue",
        "titleFormat": "Configuration loaded",
        "textFormat": "{{instance}}",
        "useValueForTime": True,
    }
