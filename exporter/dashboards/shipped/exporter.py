"""The exporter itself: is it well, what fails, and why?"""

from __future__ import annotations

from typing import Final

from exporter.dashboards.freshness import first_line
from exporter.dashboards.model import Dashboard, Panel, Row
from exporter.dashboards.panels import (
    GREY,
    INTERVALS,
    ONE_IS_GOOD,
    PLAIN,
    SOME_IS_BAD,
    Column,
    Figure,
    Line,
    Thresholds,
    figures,
    state_timeline,
    table,
    time_series,
)
from exporter.dashboards.promql import OWN, added, highest, leading, of_exporters, own, selector
from exporter.dashboards.shipped.words import framed
from exporter.dashboards.variables import choice, scraped

_QUERY: Final = "{{query}}"
_BY: Final = ("source", "query")
_TOKEN_LIFE: Final[Thresholds] = (("red", None), ("orange", 60.0), ("green", 300.0))
_YES_OR_NO: Final = {"1": ("yes", "green"), "0": ("no", "red")}
_NO_OR_YES: Final = {"0": ("no", "green"), "1": ("yes", "red")}
_UP_OF_EXPORTERS: Final = of_exporters(selector("up"), within="1w")
_UP: Final = {"1": ("up", "green"), "0": ("failing", "red")}


def exporter() -> Dashboard:
    """Whether the other dashboards can be believed."""
    variables = (
        *scraped(),
        choice("source", "Source", selector(f"{OWN}query_up"), hide=2),
        choice("query", "Query", selector(f"{OWN}query_up", "source")),
    )
    return framed(
        "exporter",
        "Is the exporter well, what fails, and why? The first lines say whether, the table says which query, for "
        "which reason, how old its figures are in its own intervals, and when it is polled next.",
        variables,
        Row("", (first_line(variables=_BY), *_headlines(), _each_query(), *_polls())),
        Row("Upstream and access token", _upstream(), collapsed=True),
        Row("What is left out (normally zero)", _left_out(), collapsed=True),
        Row("Process, web server and versions", _process(), collapsed=True),
    )


def _of_query(metric: str) -> str:
    return own(metric, *_BY)


def _of_source(metric: str) -> str:
    return own(metric, "source")


def _of_process(metric: str) -> str:
    return of_exporters(selector(f"process_{metric}"))


def _a_minute(counter: str, *by: str) -> str:
    return f"{added(f'rate({counter}[$__rate_interval])', *by)} * 60"


def _lowest(expression: str, *by: str) -> str:
    return f"min by ({', '.join(by)}) ({expression})"


def _headlines() -> tuple[Panel, ...]:
    up = _of_query("query_up")
    return (
        figures(
            "Polling",
            "Queries whose last polls all succeeded, queries with a failing target, and the series that all publish, "
            "as of now.",
            Figure(f"count({up} == 1) or vector(0)", "well"),
            Figure(f"count({up} == 0) or vector(0)", "failing", thresholds=SOME_IS_BAD),
            Figure(f"{added(_of_query('query_series'))} or vector(0)", "series", thresholds=GREY),
            width=8,
            height=4,
        ),
        figures(
            "Access token",
            "Whether every source has a valid access token, when the first one expires, and whether a token endpoint "
            "refuses the client, as of now.",
            Figure(f"min({_of_source('token_valid')})", "valid", "none", ONE_IS_GOOD, words=_YES_OR_NO),
            Figure(
                f"min({_of_source('token_expiry_timestamp_seconds')}) - time()", "lives", "dtdurations", _TOKEN_LIFE, 0
            ),
            Figure(highest(_of_source("token_blocked")), "refused", "none", SOME_IS_BAD, words=_NO_OR_YES),
            Figure(
                f"{highest(_of_source('token_lifetime_mismatch'))} == 1",
                "lifetimes differ",
                "none",
                SOME_IS_BAD,
                words=_NO_OR_YES,
            ),
            width=8,
            height=4,
        ),
        figures(
            "Scraped",
            "Targets that Prometheus can scrape, and those that it cannot, of the jobs in which there was an exporter "
            "in the last week; and how long since the last start, as of now.",
            Figure(f"sum({_UP_OF_EXPORTERS}) or vector(0)", "up", thresholds=ONE_IS_GOOD),
            Figure(f"count({_UP_OF_EXPORTERS} == 0) or vector(0)", "down", thresholds=SOME_IS_BAD),
            Figure(f"time() - max({_of_process('start_time_seconds')})", "since start", "dtdurations", GREY, 0),
            width=8,
            height=4,
        ),
    )


def _each_query() -> Panel:
    success, interval = _of_query("query_last_success_timestamp_seconds"), _of_query("query_interval_seconds")
    why = highest(_of_query("query_failure_reason"), *_BY, "reason")
    first = f"topk by ({', '.join(_BY)}) (1, {why})"
    reasonless = f"{_lowest(_of_query('query_up'), *_BY)} unless on ({', '.join(_BY)}) {why}"
    return table(
        "Queries",
        "Each query as it is now, of several exporters the worst: the reason why most of its failing targets fail "
        "(empty if none fails); the age of its figures in its own intervals; the end of its newest window; when it is "
        "polled next; its targets and those that fail; its series, the length of its window, and "
        "how long the last poll took. What is wrong comes first.",
        {"source": "Source", "query": "Query", "reason": "Reason"},
        Column("Up", f"0 * ({first}) or {reasonless}", unit="none", thresholds=ONE_IS_GOOD, words=_UP),
        Column("Age in intervals", highest(f"(time() - {success}) / {interval}", *_BY), unit="none",
               thresholds=INTERVALS, decimals=1),
        Column("Window ends", f"{_lowest(_of_query('query_window_end_timestamp_seconds'), *_BY)} * 1000",
               unit="dateTimeFromNow"),
        Column("Counters since", f"{_lowest(_of_query('query_period_start_timestamp_seconds'), *_BY)} * 1000",
               unit="dateTimeAsIso"),
        Column("Next poll",
               f"clamp_min({_lowest(_of_query('query_next_poll_timestamp_seconds'), *_BY)}, time()) * 1000",
               unit="dateTimeFromNow"),
        Column("Interval", _lowest(interval, *_BY), unit="dtdurations"),
        Column("Window", _lowest(_of_query("query_window_seconds"), *_BY), unit="dtdurations"),
        Column("Targets", highest(_of_query("query_targets"), *_BY)),
        Column("Failing", highest(_of_query("query_targets_failing"), *_BY), thresholds=SOME_IS_BAD),
        Column("Series", added(_of_query("query_series"), *_BY)),
        Column("Last poll", highest(_of_query("poll_duration_seconds"), *_BY), unit="s", decimals=2),
        Column("Partial", highest(_of_query("query_partial"), *_BY), unit="none", words=_NO_OR_YES),
        sort_by="Up",
        ascending=True,
        height=14,
    )  # fmt: skip


def _polls() -> tuple[Panel, ...]:
    success, interval = _of_query("query_last_success_timestamp_seconds"), _of_query("query_interval_seconds")
    age = highest(f"(time() - {success}) / {interval}", *_BY)
    last = [f"last_over_time({metric}[$__range] @ end())" for metric in (success, interval)]
    oldest = highest(f"(time() - {last[0]}) / {last[1]}", *_BY)
    share = highest(f"{_of_query('poll_duration_seconds')} / {interval}", *_BY)
    longest = highest(
        f"max_over_time({_of_query('poll_duration_seconds')}[$__range] @ end()) / {interval} @ end()", *_BY
    )
    return (
        state_timeline(
            "Failing queries over time",
            "Whether the last polls of each query succeeded (green) or one failed (red): queries that failed in the "
            "range, at most thirty.",
            f"min by (query) ({_of_query('query_up')}) and on (query) bottomk(30, min by (query) "
            f"(min_over_time({_of_query('query_up')}[$__range] @ end())) == 0)",
            _QUERY,
            width=8,
        ),
        time_series(
            "Poll failures by reason",
            "Failed polls a minute, by reason. What to do about each is in the documents, under troubleshooting.",
            Line(_a_minute(_of_query("poll_failures_total"), "reason"), "{{reason}}"),
            unit="cpm",
            stacked=True,
            width=8,
        ),
        time_series(
            "Calls to the API",
            "HTTP requests to the API a minute by status code, and the polls that made them.",
            Line(_a_minute(_of_source("upstream_requests_total"), "code"), "{{code}}"),
            Line(_a_minute(_of_query("polls_total")), "polls", "text", dashed=True),
            unit="cpm",
            width=8,
        ),
        time_series(
            "Age in intervals",
            "Time since each query last succeeded, in its own intervals: above 2 it is late, above 5 stopped. The "
            "ten oldest at the end of the range.",
            Line(leading(age, _BY, oldest), _QUERY),
            unit="none",
            calcs=("lastNotNull", "max"),
            thresholds=(("transparent", None), ("orange", 2.0), ("red", 5.0)),
        ),
        time_series(
            "Poll duration in intervals",
            "Duration of the last poll divided by the interval of the query: above 100 % ticks are missed. The ten "
            "longest over the whole range.",
            Line(leading(share, _BY, longest), _QUERY),
            unit="percentunit",
            calcs=("max",),
        ),
    )


def _upstream() -> tuple[Panel, ...]:
    renewals = ("result", "reason")
    return (
        time_series(
            "Demand on the rate limit",
            "Requests that the polls need, divided by those that rate_limit allows, of each source with rate_limit: "
            "above 100 % polls come too late. On the right the seconds of the pause that a source asked for "
            "(Retry-After), and the seconds a second that requests waited for rate_limit.",
            Line(highest(_of_source("rate_limit_demand_ratio"), "source"), "{{source}}"),
            Line(highest(_of_source("upstream_backoff_seconds"), "source"), "{{source}} left alone", right="s"),
            Line(
                added(f"rate({_of_source('rate_limit_wait_seconds_total')}[$__rate_interval])", "source"),
                "{{source}} waits",
                right="s",
            ),
            unit="percentunit",
            calcs=("lastNotNull", "max"),
            width=16,
            thresholds=(("transparent", None), ("red", 1.0)),
        ),
        time_series(
            "Token renewals",
            "Token requests a minute by result and reason, and renewals because the API refused the token.",
            Line(_a_minute(_of_source("token_renewals_total"), *renewals), "{{result}} {{reason}}"),
            Line(_a_minute(_of_source("token_forced_renewals_total")), "refused by the API", "orange"),
            unit="cpm",
            width=8,
        ),
    )  # fmt: skip


def _left_out() -> tuple[Panel, ...]:
    def of(counter: str, legend: str) -> Line:
        return Line(_a_minute(_of_query(counter)), legend)

    return (
        time_series(
            "Values skipped",
            "Values a minute that were left out, and rows with on_bad_row: skip, by query and reason.",
            Line(_a_minute(_of_query("values_skipped_total"), *_BY, "reason"), f"{_QUERY} {{{{reason}}}}"),
            Line(_a_minute(_of_query("query_rows_skipped_total"), *_BY, "reason"), f"{_QUERY} rows: {{{{reason}}}}"),
            unit="cpm",
            width=8,
        ),
        time_series(
            "Left out",
            "A minute, of all chosen queries: errors in answers; rows beyond pages.max_rows; nulls where rows were "
            "expected; labels left empty because a lookup did not have the key; packs that the API refused; counter "
            "values held, "
            "as the upstream gave less.",
            of("graphql_errors_total", "GraphQL errors"),
            of("query_rows_cut_total", "rows cut"),
            of("query_nulls_total", "nulls on the way to rows"),
            of("lookup_misses_total", "names not found"),
            of("pack_refusals_total", "packs refused"),
            of("decreases_held_total", "decreases held"),
            unit="cpm",
            width=8,
        ),
        time_series(
            "Ticks missed",
            "Ticks a minute that were missed because the previous poll was too slow; times a minute that the clock "
            "was set or the machine "
            "slept; polls in progress; and targets that go into one operation, of queries with pack.",
            of("poll_overruns_total", "ticks missed"),
            Line(_a_minute(own("clock_jumps_total")), "clock jumps"),
            Line(added(_of_query("polls_in_flight")), "polls in progress"),
            Line(highest(_of_query("query_pack_size"), *_BY), f"{_QUERY} pack"),
            unit="none",
            width=8,
        ),
    )


def _process() -> tuple[Panel, ...]:
    legend = "{{instance}}"
    build = {"instance": "Instance", "version": "Version", "python_version": "Python"}
    return (
        time_series("CPU and tasks", "Cores in use (left), and tasks of the event loop (right).",
                    Line(of_exporters(f"rate({selector('process_cpu_seconds_total')}[$__rate_interval])"), legend),
                    Line(own("tasks"), f"{legend} tasks", right="none"), unit="none", width=8),
        time_series("Memory and open files", "Resident memory (left), and open file descriptors (right).",
                    Line(_of_process("resident_memory_bytes"), legend),
                    Line(_of_process("open_fds"), f"{legend} files", right="none"), unit="bytes", width=8),
        time_series("Web server", "HTTP requests answered a minute by status code, open connections, and how long "
                    "Prometheus took to scrape (right).",
                    Line(_a_minute(own("web_requests_total"), "code"), "{{code}}"),
                    Line(added(own("web_connections")), "connections", "text", dashed=True),
                    Line(highest(of_exporters(selector("scrape_duration_seconds"))), "scrape", right="s"),
                    unit="cpm", width=8),
        figures("Configuration",
                "Whether the configuration and the web configuration could be loaded, and when that was, as of now.",
                Figure(f"min({own('config_last_reload_successful')})", "read", "none", ONE_IS_GOOD, words=_YES_OR_NO),
                Figure(f"max({own('config_last_reload_success_timestamp_seconds')}) * 1000", "when", "dateTimeFromNow",
                       PLAIN),
                Figure(f"min({own('web_config_last_reload_successful')})", "web read", "none", ONE_IS_GOOD,
                       words=_YES_OR_NO),
                Figure(f"max({own('web_config_last_reload_success_timestamp_seconds')}) * 1000", "when",
                       "dateTimeFromNow", PLAIN),
                width=12, height=6),
        table("Versions", "Versions of the exporter and of Python now.", build,
              Column("Running", highest(own("build_info"), *build)), width=12, height=6),
    )  # fmt: skip
