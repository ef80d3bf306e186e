"""Overview: are the APIs well?"""

from __future__ import annotations

from typing import Final

from exporter.dashboards.freshness import first_line
from exporter.dashboards.links import api_of_cells, page_link
from exporter.dashboards.model import Dashboard, Panel, Row
from exporter.dashboards.panels import (
    ERROR_RATIO,
    GREEN,
    GREY,
    GREY_LINE,
    LATENCY,
    LEFT,
    ORANGE,
    PER_MINUTE,
    RED,
    SOME_IS_4XX,
    SOME_IS_5XX,
    Column,
    Figure,
    Line,
    Thresholds,
    stat,
    table,
    time_series,
)
from exporter.dashboards.promql import (
    WEEK,
    a_minute,
    a_week_before,
    added,
    highest,
    in_range,
    or_zero,
    ratio,
    recorded,
    selector,
    series,
    total,
)
from exporter.dashboards.shipped.alerting import firing_alerts
from exporter.dashboards.shipped.objectives import budget_left
from exporter.dashboards.shipped.words import (
    API,
    API_PLACE_COLUMNS,
    FIVE,
    FOUR,
    LAST_WEEK,
    P95,
    P95_THRESHOLD,
    PLACE,
    PLACE_COLUMNS,
    PROXY,
    RANGE,
    REQUESTS,
    SERVER_ERRORS,
    TARGET,
    errors_in_range,
    framed,
    one_side,
)
from exporter.dashboards.variables import places

_QUERIES: Final = (
    "overview",
    "api_traffic",
    "errors_by_class",
    "errors_by_category",
    "api_proxy_errors",
    "api_target_errors",
    "api_proxy_errors_today",
    "api_target_errors_today",
    "api_latency",
)
_KEPT: Final = ("datasource", "job", "instance", "organization", "environment")
_SIDES: Final = (("proxy", "gateway"), ("target", "backends"))
_LATENCY: Final = "choreo_response_latency_p95_seconds"
_THROTTLED: Final[Thresholds] = (("green", None), ("orange", 0.05))
_SEVERAL: Final = 5  # answers in five minutes: with little traffic, a single failure is a large share
_STATES: Final = {
    "5": ("failing", RED),
    "4": ("some fail", ORANGE),
    "3": ("throttled", ORANGE),
    "2": ("slow", ORANGE),
    "1": ("well", GREEN),
    "0": ("nothing new", "text"),
}
_BY: Final = (*API, "environment", "organization")


def overview() -> Dashboard:
    """The page that is opened first."""
    return framed(
        "overview",
        "Are the APIs well? The first lines say whether the figures are current, which alerts fire, and the overall "
        "state; the table names the APIs that are worst. Choreo's page Overview, for all environments at once.",
        places(),
        Row("", (first_line(*_QUERIES), firing_alerts(), *_headlines(), _apis(), *_over_time())),
        Row("Environments and their names", _environments(), collapsed=True),
    )


def classes(ago: str = "") -> tuple[str, str, str]:
    """Requests per minute by class of the status code: successful, 4xx, 5xx; of all APIs."""

    def failed(code_class: str) -> str:
        sides = (
            or_zero(a_minute(f"choreo_window_{side}_errors", ago=ago, code_class=f'="{code_class}"'))
            for side in ("proxy", "target")
        )
        return f"({' + '.join(sides)})"

    requests, errors = a_minute("choreo_window_requests", ago=ago), a_minute("choreo_window_errors", ago=ago)
    return f"{requests} - {errors}", failed("4xx"), failed("5xx")


def _headlines() -> tuple[Panel, ...]:
    requests = total(in_range("choreo_requests_total"))
    five = " + ".join(
        or_zero(total(in_range(f"choreo_{side}_errors_total", code_class='="5xx"'))) for side in ("proxy", "target")
    )
    allowed = f"1 - max({recorded('api:choreo_availability_objective:threshold', *PLACE)})"
    worst = f"min({budget_left(recorded_of=_everything)})"
    return (
        stat(
            "Requests in the range",
            f"Requests, successful and failed, {RANGE}; and in the same range a week before.",
            total(in_range("choreo_requests_total")),
            decimals=0,
            legend="requests",
            compared=Figure(a_week_before("choreo_requests_total"), "a week before", thresholds=GREY,
                            decimals=0),
            links=(page_link("Traffic", "traffic", _KEPT),),
        ),
        stat(
            "5xx in the range",
            f"Share of the requests {RANGE} that were {SERVER_ERRORS}; and what the strictest objective allows.",
            ratio(f"({five})", requests),
            unit="percentunit",
            thresholds=ERROR_RATIO,
            decimals=2,
            legend="5xx",
            compared=Figure(allowed, "allowed", "percentunit", GREY, 2),
            links=(page_link("Errors", "errors", _KEPT),),
        ),
        stat(
            "95th percentile now",
            "Response latency in the last 5 minutes; of several environments, the highest, because percentiles "
            "cannot be averaged; and the strictest threshold.",
            highest(series(_LATENCY)),
            unit="s",
            thresholds=LATENCY,
            legend="p95",
            compared=Figure(f"min({recorded('api:choreo_latency_p95_seconds:threshold', *PLACE)})", "threshold", "s",
                            GREY),
            links=(page_link("Latency", "latency", _KEPT),),
        ),
        stat(
            "Error budget left now",
            "What is left of the error budget of the last 30 days, of the API with the least left, as of now. Empty "
            "where Prometheus has not loaded the rules.",
            worst,
            unit="percentunit",
            thresholds=LEFT,
            decimals=1,
            nothing="not known",
            links=(page_link("Objectives", "objectives", _KEPT),),
        ),
    )  # fmt: skip


def _everything(record: str) -> str:
    return recorded(record, *PLACE)


def _apis() -> Panel:
    requests = total(in_range(REQUESTS), *_BY)
    before = a_week_before(REQUESTS, *_BY)
    five, four = (_errors(codes, requests) for codes in (FIVE, FOUR))
    requests_now, *counts_now = _counts_now()
    five_now, throttled_now = (_share(count, requests_now) for count in counts_now)
    return table(
        "APIs, the worst first",
        "Each API. As of now, which sorts the table: failing (more than 5 % are answered with 5xx), some fail (more "
        "than 1 %), throttled (the gateway refuses more than 5 % for a limit, with 429), slow (the 95th percentile is "
        "above its threshold), well, or nothing new (no request was counted in "
        "five minutes); those shares; the 95th percentile of the newest quarter of an hour; and what "
        f"is left of the error budget of 30 days. It needs at least {_SEVERAL} such answers in five minutes to be a "
        f"state. Then, {RANGE}: requests per minute; answers with 4xx and with 5xx; "
        "and the requests against the week before. The small line is requests per minute. A click opens the API.",
        API_PLACE_COLUMNS,
        Column("State now", _state_now(), unit="none", words=_STATES, thresholds=GREY, first=True),
        Column("5xx now", five_now, unit="percentunit", decimals=1),
        Column("429 now", throttled_now, unit="percentunit", decimals=1),
        Column("p95 now", highest(series(P95), *_BY), unit="s", thresholds=LATENCY),
        Column(
            "Budget left",
            f"min by ({', '.join(_BY)}) ({budget_left(recorded_of=_everything)})",
            unit="percentunit",
            thresholds=LEFT,
            decimals=0,
        ),
        Column("Requests/min", f"{requests} * 60 / $__range_s", unit="none", decimals=2),
        Column("4xx", four, thresholds=SOME_IS_4XX),
        Column("5xx", five, thresholds=SOME_IS_5XX),
        Column("To last week", f"{requests} / ({before}) - 1", unit="percentunit", decimals=0),
        Column("Trend", a_minute("choreo_window_api_requests", *_BY), unit=PER_MINUTE, trend=True),
        sort_by="State now",
        then_by="5xx now",
        links={"API": (api_of_cells(API_PLACE_COLUMNS),)},
        height=11,
    )


def _share(part: str, whole: str) -> str:
    """A share of requests, at most all: the counters of both are polled one after the other, and a flood grows."""
    return f"clamp_max({ratio(or_zero(part, like=whole), whole)}, 1)"


def _now(what: str, windows: str) -> str:
    """What was counted in the last five minutes, as the rules know it every minute; without them, in the newest
    windows, which are of five minutes and polled less often."""
    return f"({added(recorded(f'api:choreo_api_{what}:increase5m', *PLACE), *_BY)} or {windows})"


def _counts_now() -> tuple[str, str, str]:
    """Of each API in the last five minutes: requests, those answered with 5xx, and those with 429."""
    failed = " or ".join(one_side(series(side, code=FIVE), side) for side in (PROXY, TARGET))
    return (
        _now("requests", total(series("choreo_window_api_requests"), *_BY)),
        _now("errors", added(failed, *_BY)),
        _now("throttled", total(series(PROXY, code='="429"'), *_BY)),
    )


def _state_now() -> str:
    """The worst state that an API is in, as a number of `_STATES`: the first that there is of what `or` joins."""
    (_, _), (_, some), (_, many) = ERROR_RATIO
    (_, _), (_, limited) = _THROTTLED
    requests, failed, throttled = _counts_now()
    slow = f"{highest(series(P95), *_BY)} > {highest(_everything(P95_THRESHOLD), *_BY)}"
    worse = (
        *(f"{of} > {share} * {requests} and {of} >= {_SEVERAL}"
          for of, share in ((failed, many), (failed, some), (throttled, limited))),
        slow,
    )  # fmt: skip
    states = (f"0 * ({worst}) + {number}" for number, worst in zip(range(5, 1, -1), worse, strict=True))
    return " or ".join((*states, f"{requests} > bool 0"))


def _errors(codes: str, requests: str) -> str:
    """Of all APIs, as this page has no choice among them."""
    return errors_in_range(codes, *_BY, like=requests).replace(', api=~"$api"', "")


def _over_time() -> tuple[Panel, ...]:
    well, four, five = classes()
    latency = series(_LATENCY)
    return (
        time_series(
            "Requests by status class",
            "Requests per minute by class of the status code, from windows of five minutes. The dashed line is all "
            "requests at the same time a week before. (Console: API Request Summary.)",
            Line(five, "5xx", RED),
            Line(four, "4xx", ORANGE),
            Line(well, "successful", GREEN),
            Line(a_minute("choreo_window_requests", ago=WEEK), "a week before", GREY_LINE, dashed=True),
            stacked=True,
            width=8,
        ),
        time_series(
            "Failed requests by category",
            f"Failed requests (4xx and 5xx) per minute by what failed, from windows of five minutes. {LAST_WEEK}",
            Line(a_minute("choreo_window_errors_by_category", "category"), "{{category}}"),
            Line(a_minute("choreo_window_errors_by_category", ago=WEEK), "a week before", GREY_LINE, dashed=True),
            stacked=True,
            width=8,
            links=(page_link("Errors", "errors", _KEPT),),
        ),
        time_series(
            "95th percentile",
            "95th percentile of the response latency in windows of five minutes, by environment (of several tenants, "
            f"the highest). {LAST_WEEK} It is the highest of all.",
            Line(highest(latency, "environment"), "{{environment}}"),
            Line(highest(latency + WEEK), "a week before", GREY_LINE, dashed=True),
            unit="s",
            width=8,
            links=(page_link("Latency", "latency", _KEPT),),
        ),
    )


def _server_errors(side: str) -> str:
    return total(in_range(f"choreo_{side}_errors_total", code_class='="5xx"'), *PLACE)


def _environments() -> tuple[Panel, ...]:
    requests, failed = (total(in_range(f"choreo_{what}_total"), *PLACE) for what in ("requests", "errors"))
    quarter = total(series("choreo_window_15m_successful_requests"), *PLACE)
    failed_quarter = total(series("choreo_window_15m_errors"), *PLACE)
    organization = {
        "organization_handle": "Handle",
        "organization_name": "Name",
        "organization_id": "Organization id",
    }
    environment = {**PLACE_COLUMNS, "environment_type": "Type", "environment_id": "Environment id"}
    return (
        table(
            "Environments",
            f"Requests, failed requests (4xx and 5xx) and 5xx {RANGE}; then of the newest whole quarter of an hour. "
            "(Console: Total Traffic, Error Request Count, Average Error Rate, 95th Percentile Latency.)",
            PLACE_COLUMNS,
            Column("Requests", requests),
            Column("Failed", failed),
            Column("Failed share", ratio(failed, requests), unit="percentunit", decimals=2),
            *(Column(f"5xx {name}", _server_errors(side), thresholds=SOME_IS_5XX) for side, name in _SIDES),
            Column("Successful, 15 min", quarter),
            Column("Failed, 15 min", failed_quarter),
            Column("p95, 15 min", highest(series("choreo_response_latency_15m_p95_seconds"), *PLACE), unit="s"),
            height=7,
        ),
        table(
            "Organizations",
            "The organizations that the access token may see now, with their ids.",
            organization,
            Column("Known", highest(selector("choreo_organization_info", "organization"), *organization)),
            width=12,
            height=7,
        ),
        table(
            "Environments and their ids",
            "The environments that exist now, with their types and ids.",
            environment,
            Column("Known", highest(series("choreo_environment_info"), *environment)),
            width=12,
            height=7,
        ),
    )
